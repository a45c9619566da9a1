/* SPDX-License-Identifier: MIT */
/** \file check_observe.c \brief Queries handed in instead of attended with; rows that attend and add nothing. */
#include "support/each.h"
#include "support/feed.h"
#include "support/fixture.h"
#include "support/kinds.h"
#include "support/selected.h"

#include <math.h>
#include <string.h>

/* ---------------------------------------------------------------- observe ---- */

#define RECALL ",every=128,most=1024 ; window=32,sinks=5"

/* Stages that look at queries alone, and those that weigh tokens by log-sum-exps. */
static const struct kind looking[] = {
	{.recipe = "spark:mode=group,values=0.5 ; window=40,sinks=3,seal=chunk", .layers = 2},
	{.recipe = "think:keep=0.25/0.5/1/0.25/0.5/0.5 | kivi:bits=4 ; window=0", .layers = 3},
	{.recipe = "clusterkv:recall=64,per=8,metric=query,obs=16" RECALL, .layers = 2},
	{.recipe = "f16", .layers = 2},
	{.recipe = "kivi:bits=4 ; window=40,sinks=3", .layers = 2},
	{.recipe = "morphkv:budget=80,obs=16,fuse=sum ; window=16,sinks=4,block=32,seal=prompt,skip=0",
     .layers = 1,
     .selects = true},
};
static const struct kind weighing[] = {
	{.recipe = "h2o:budget=72,recent=0.5 ; window=16,sinks=4,block=32,seal=prompt,skip=0",
     .layers = 1,
     .selects = true},
	{.recipe = "snapkv:budget=72,obs=16,pool=5,pooling=avg,gqa=mean ; "
               "window=16,sinks=4,block=32,seal=prompt,skip=0",
     .layers = 1,
     .selects = true},
	{.recipe = "corm:obs=6 ; window=16,sinks=4,block=32,seal=prompt,skip=0",
     .layers = 1,
     .selects = true},
	{.recipe = "zeromerge:budget=72,residual=0.25 ; window=16,sinks=4,block=32,seal=prompt,skip=1",
     .layers = 2,
     .selects = true},
};

/* A prompt, generation and a rejected draft, attended with in one cache and handed in to the other. */
static void live_twice(struct feed *attends, struct stream *a, struct feed *observes,
                       struct stream *b)
{
	static const struct {
		size_t n, dropped;
		clkv_phase phase;
	} steps[] = {{120, 0, CLKV_PROMPT}, {181, 0, CLKV_PROMPT_END}, {1, 0, CLKV_DECODE},
	             {9, 4, CLKV_DECODE},   {64, 0, CLKV_DECODE},      {70, 0, CLKV_DECODE}};
	for (uint64_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
		struct feed_item x = {a, steps[i].n, steps[i].phase, steps[i].dropped, 1 + i};
		struct feed_item y = {b, steps[i].n, steps[i].phase, steps[i].dropped, 1 + i};
		struct feed_result result;
		feed_step(attends, &x, 1, &result);
		observes->observed = &result;
		feed_step(observes, &y, 1, NULL);
		observes->observed = NULL;
		feed_result_close(&result);
	}
}

START_TEST(test_queries_handed_in_do_what_attention_does)
{
	static struct stream a, b;
	struct feed attends, observes;
	const struct kind *kind = &looking[_i];
	kind_open(&attends, kind, fixture.context, fixture.queue);
	kind_open(&observes, kind, fixture.context, fixture.queue);
	ck_assert_int_eq(clkv_cache_weighs(observes.cache), 0);
	stream_open(&attends, &a);
	stream_open(&observes, &b);
	live_twice(&attends, &a, &observes, &b);
	kind_same_streams(kind, &attends, &a, &observes, &b, kind->recipe);
	feed_close(&attends);
	feed_close(&observes);
}
END_TEST

/* Scores are weights of at most 1, summed over as many rows as there are. A log-sum-exp that goes through base e and back
 * is off by two roundings of a number below 16, 2e-6, and so is each weight, relatively. */
static void close_head(const struct feed *feed_a, const struct stream *a, const struct feed *feed_b,
                       const struct stream *b, int layer, size_t head)
{
	struct selected_kept x, y;
	selected_read(feed_a, a, layer, head, &x);
	selected_read(feed_b, b, layer, head, &y);
	ck_assert_uint_gt(x.kept.n, 0);
	ck_assert_uint_eq(x.kept.n, y.kept.n);
	for (size_t i = 0; i < x.kept.n; i++) {
		EACH_MSG(x.kept.positions[i] == y.kept.positions[i], "slot %zu: token %u, not %u", i,
		         y.kept.positions[i], x.kept.positions[i]);
		EACH_MSG(fabsf(x.kept.scores[i] - y.kept.scores[i]) <= 1e-5f * fabsf(x.kept.scores[i]),
		         "slot %zu: score %g, not %g", i, (double)y.kept.scores[i],
		         (double)x.kept.scores[i]);
	}
	selected_free(&x);
	selected_free(&y);
}

START_TEST(test_tokens_are_weighed_by_what_is_handed_in)
{
	static struct stream a, b;
	struct feed attends, observes;
	const struct kind *kind = &weighing[_i];
	kind_open(&attends, kind, fixture.context, fixture.queue);
	kind_open(&observes, kind, fixture.context, fixture.queue);
	ck_assert_int_eq(clkv_cache_weighs(observes.cache), 1);
	stream_open(&attends, &a);
	stream_open(&observes, &b);
	live_twice(&attends, &a, &observes, &b);
	ck_assert_uint_eq(stream_info(&a).sealed, stream_info(&b).sealed);
	for (int layer = kind->layers - 1; layer < kind->layers; layer++)
		for (size_t head = 0; head < 2; head++)
			close_head(&attends, &a, &observes, &b, layer, head);
	feed_close(&attends);
	feed_close(&observes);
}
END_TEST

/* A step of 4 rows on a new sequence, appended to. */
static clkv_step *begin_appended(struct feed *feed, struct stream *stream, struct tensor *rows)
{
	struct tensor_layout f32 = {.dtype = CLKV_F32};
	static double values[4 * 6 * 64];
	clkv_step *step;
	clkv_error error;
	stream_open(feed, stream);
	tensor_open(rows, fixture.queue, f32, 4, 6, 64, values);
	clkv_step_item item = {stream->seq, 4, CLKV_PROMPT};
	feed_ok(clkv_step_begin(feed->cache, &item, 1, fixture.queue, &step, &error), &error, "begin");
	return step;
}

START_TEST(test_what_is_handed_in_wrongly_is_refused)
{
	static struct stream stream;
	struct feed feed;
	struct tensor rows;
	clkv_error error;
	clkv_observe_args args = CLKV_INIT(clkv_observe_args);
	kind_open(&feed, &weighing[0], fixture.context, fixture.queue);
	clkv_step *step = begin_appended(&feed, &stream, &rows);
	args.q = rows.t;
	ck_assert_int_eq(clkv_step_observe(step, 0, &args, 0, NULL, NULL, &error),
	                 CLKV_ERROR_INVALID_STATE); /* not appended */
	feed_ok(clkv_append(step, 0, &rows.t, &rows.t, 0, NULL, NULL, &error), &error, "append");
	ck_assert_int_eq(clkv_step_observe(step, 0, &args, 0, NULL, NULL, &error),
	                 CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_msg(strstr(error.text, "lse is NULL: stage 'h2o'") != NULL, "%s", error.text);
	args.lse = rows.t.mem, args.lse_offset = rows.bytes / 4 - 23;
	ck_assert_int_eq(clkv_step_observe(step, 0, &args, 0, NULL, NULL, &error),
	                 CLKV_ERROR_INVALID_ARGUMENT);
	args.lse_offset--;
	ck_assert_int_eq(clkv_step_observe(step, 1, &args, 0, NULL, NULL, &error),
	                 CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_int_eq(clkv_step_observe(NULL, 0, &args, 0, NULL, NULL, &error),
	                 CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_int_eq(clkv_step_observe(step, 0, NULL, 0, NULL, NULL, &error),
	                 CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_int_eq(clkv_step_observe(step, 0, &args, 1, NULL, NULL, &error),
	                 CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_int_eq(clkv_commit(step, NULL, &error), CLKV_ERROR_INVALID_STATE);
	feed_ok(clkv_step_observe(step, 0, &args, 0, NULL, NULL, &error), &error, "observe");
	feed_ok(clkv_commit(step, NULL, &error), &error, "commit");
	tensor_close(&rows);
	feed_close(&feed);
}
END_TEST

/* Where no stage looks an event comes all the same, also on a queue without order. */
START_TEST(test_an_event_comes_in_any_case)
{
	static struct stream stream;
	struct feed feed;
	struct tensor rows;
	clkv_error error;
	clkv_observe_args args = CLKV_INIT(clkv_observe_args);
	kind_open(&feed, &(const struct kind){.recipe = _i ? "kivi" : "spark", .layers = 1},
	          fixture.context, fixture.queue);
	clkv_step *step = begin_appended(&feed, &stream, &rows);
	cl_event done = NULL;
	args.q = rows.t;
	feed_ok(clkv_append(step, 0, &rows.t, &rows.t, 0, NULL, NULL, &error), &error, "append");
	feed_ok(clkv_step_observe(step, 0, &args, 0, NULL, &done, &error), &error, "observe");
	ck_assert_ptr_nonnull(done);
	ck_assert_int_eq(clWaitForEvents(1, &done), CL_SUCCESS);
	clReleaseEvent(done);
	clkv_step_abort(step);
	tensor_close(&rows);
	feed_close(&feed);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("observe");
	TCase *observe = fixture_case(suite, "observe", 60);
	tcase_add_loop_test(observe, test_queries_handed_in_do_what_attention_does, 0,
	                    sizeof looking / sizeof looking[0]);
	tcase_add_loop_test(observe, test_tokens_are_weighed_by_what_is_handed_in, 0,
	                    sizeof weighing / sizeof weighing[0]);
	tcase_add_test(observe, test_what_is_handed_in_wrongly_is_refused);
	tcase_add_loop_test(observe, test_an_event_comes_in_any_case, 0, 2);
	return fixture_run_shared(suite);
}
