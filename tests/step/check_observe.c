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
	{.recipe = "morphkv:budget=80,obs=16,agg=sum ; window=16,sinks=4,block=32,seal=prompt,skip=0",
     .layers = 1,
     .selects = true},
	{.recipe = "expected:budget=80,obs=16 ; window=16,sinks=4,block=32,skip=0",
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
	{.recipe = "qaq ; window=40,sinks=3", .layers = 2},
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
 * is off by two roundings of a number below 16, 2e-6, and so is each weight, relatively. Where each row weighs, attention's
 * weights of a prompt lie in half between, 2^-11, its queries don't: they are quarters here, which halves hold. What the newest
 * rows weighed, which the score of a merged slot counts, is rounded to half once more. */
static void close_head(const struct feed *feed_a, const struct stream *a, const struct feed *feed_b,
                       const struct stream *b, int layer, size_t head, bool each)
{
	const float limit = each ? 0x1p-10f : 1e-5f;
	struct selected_kept x, y;
	selected_read(feed_a, a, layer, head, &x);
	selected_read(feed_b, b, layer, head, &y);
	ck_assert_uint_gt(x.kept.n, 0);
	ck_assert_uint_eq(x.kept.n, y.kept.n);
	for (size_t i = 0; i < x.kept.n; i++) {
		EACH_MSG(x.kept.positions[i] == y.kept.positions[i], "slot %zu: token %u, not %u", i,
		         y.kept.positions[i], x.kept.positions[i]);
		EACH_MSG(fabsf(x.kept.scores[i] - y.kept.scores[i]) <= limit * fabsf(x.kept.scores[i]),
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
	attends.value = observes.value = selected_quarters;
	ck_assert_int_eq(clkv_cache_weighs(observes.cache), 1);
	stream_open(&attends, &a);
	stream_open(&observes, &b);
	live_twice(&attends, &a, &observes, &b);
	ck_assert_uint_eq(stream_info(&a).sealed, stream_info(&b).sealed);
	for (size_t head = 0; head < 2 && kind->selects; head++)
		close_head(&attends, &a, &observes, &b, kind->layers - 1, head,
		           strncmp(kind->recipe, "h2o", 3) == 0 || strncmp(kind->recipe, "zero", 4) == 0);
	if (!kind->selects) /* a codec, whose bits are by thresholds: no weight lies so near one */
		kind_same_streams(kind, &attends, &a, &observes, &b, kind->recipe);
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
	feed_ok(clkv_step_append(step, 0, &rows.t, &rows.t, 0, NULL, NULL, &error), &error, "append");
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
	ck_assert_int_eq(clkv_step_commit(step, NULL, &error), CLKV_ERROR_INVALID_STATE);
	feed_ok(clkv_step_observe(step, 0, &args, 0, NULL, NULL, &error), &error, "observe");
	feed_ok(clkv_step_commit(step, NULL, &error), &error, "commit");
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
	feed_ok(clkv_step_append(step, 0, &rows.t, &rows.t, 0, NULL, NULL, &error), &error, "append");
	feed_ok(clkv_step_observe(step, 0, &args, 0, NULL, &done, &error), &error, "observe");
	ck_assert_ptr_nonnull(done);
	ck_assert_int_eq(clWaitForEvents(1, &done), CL_SUCCESS);
	clReleaseEvent(done);
	clkv_step_abort(step);
	tensor_close(&rows);
	feed_close(&feed);
}
END_TEST

/* ---------------------------------------------------------------- probe ---- */

enum { HEADS = 6, DIM = 64, ROWS = 5 };

/* Attends with queries numbered row[] over one or two streams as they are, in all layers: out [layer][rows][HEADS][DIM]. */
static void probe(const struct feed *feed, const clkv_step_item *items, size_t n_items,
                  const uint64_t *row, size_t rows, double *out)
{
	struct tensor_layout f32 = {.dtype = CLKV_F32};
	double q[ROWS * HEADS * DIM];
	struct tensor in, to;
	clkv_step *step;
	clkv_error error;
	feed_ok(clkv_step_begin(feed->cache, items, n_items, feed->queue, &step, &error), &error,
	        "begin");
	tensor_open(&to, feed->queue, f32, rows, HEADS, DIM, NULL);
	for (int layer = 0; layer < feed->geometry.layers; layer++) {
		clkv_attend_args args = CLKV_INIT(clkv_attend_args);
		feed_rows(feed, layer, FEED_Q, row, rows, q);
		tensor_open(&in, feed->queue, f32, rows, HEADS, DIM, q);
		args.q = in.t, args.out = to.t;
		feed_ok(clkv_step_attend(step, layer, &args, 0, NULL, NULL, &error), &error, "attend");
		tensor_read(&to, feed->queue, out + (size_t)layer * rows * HEADS * DIM);
		tensor_close(&in);
	}
	tensor_close(&to);
	feed_ok(clkv_step_commit(step, NULL, &error), &error, "commit");
}

static void probe_one(const struct feed *feed, const struct stream *stream, uint64_t row,
                      double *out)
{
	const clkv_step_item item = {stream->seq, 1, CLKV_PROBE};
	probe(feed, &item, 1, &row, 1, out);
}

/* A row that was decoded and is asked again sees what it saw, in the same splits: the same bits, unless its commit has
 * sealed something. */
START_TEST(test_a_row_that_is_asked_again_gets_the_same)
{
	static struct stream stream;
	struct feed feed;
	const struct kind *kind = &kinds[_i];
	size_t compared = 0;
	double out[4 * HEADS * DIM];
	kind_open(&feed, kind, fixture.context, fixture.queue);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, 211, CLKV_PROMPT_END, 1, NULL);
	for (uint64_t i = 0; i < 3; i++) {
		struct feed_result result;
		size_t sealed = stream_info(&stream).sealed;
		feed_one(&feed, &stream, 1, CLKV_DECODE, 2 + i, &result);
		if (stream_info(&stream).sealed == sealed) {
			probe_one(&feed, &stream, stream.row[stream.n - 1], out);
			ck_assert_msg(
				memcmp(out, result.out, (size_t)kind->layers * HEADS * DIM * sizeof *out) == 0,
				"'%s': row %zu differs", kind->recipe, stream.n);
			compared++;
		}
		feed_result_close(&result);
	}
	ck_assert_uint_ge(compared, 2);
	feed_close(&feed);
}
END_TEST

/* Softmax attention in double over the rows that are read back. */
static void attend_all(const struct feed *feed, const struct stream *stream, int layer,
                       uint64_t row, double *out)
{
	size_t n = stream->n, kv = feed_heads(feed, FEED_K);
	double *k = calloc(n * kv * DIM, sizeof *k), *v = calloc(n * kv * DIM, sizeof *v);
	double q[HEADS * DIM];
	ck_assert(k && v);
	feed_read(feed, stream, layer, 0, n, k, v);
	feed_rows(feed, layer, FEED_Q, &row, 1, q);
	memset(out, 0, HEADS * DIM * sizeof *out);
	for (size_t h = 0; h < HEADS; h++) {
		size_t of = h / (HEADS / kv);
		double sum = 0, logit;
		for (size_t t = 0; t < n; t++, sum += exp(logit)) {
			logit = 0;
			for (size_t d = 0; d < DIM; d++)
				logit += q[h * DIM + d] * k[(t * kv + of) * DIM + d] / 8;
			for (size_t d = 0; d < DIM; d++)
				out[h * DIM + d] += exp(logit) * v[(t * kv + of) * DIM + d];
		}
		for (size_t d = 0; d < DIM; d++)
			out[h * DIM + d] /= sum;
	}
	free(k);
	free(v);
}

/* No recall, no mask between rows, rows of several sequences. Outputs are means of values of some units; sums in single
 * precision of 300 products are off by less than 300 * 6e-8 of that. */
START_TEST(test_probes_see_all_tokens)
{
	static const struct kind kept[] = {
		{.recipe = "f16", .layers = 2},
		{.recipe = "kivi:bits=4 ; window=40,sinks=3", .layers = 2},
		{.recipe = "clusterkv:recall=64,per=8" RECALL, .layers = 2},
		{.recipe = "q:k=6,v=3,rot=hadamard ; window=40,sinks=3,skip=1", .layers = 2}};
	static struct stream a, b;
	static double out[2 * ROWS * HEADS * DIM];
	struct feed feed;
	const uint64_t rows[ROWS] = {77, 78, 79, 80, 81};
	kind_open(&feed, &kept[_i], fixture.context, fixture.queue);
	stream_open(&feed, &a);
	stream_open(&feed, &b);
	feed_one(&feed, &a, 260, CLKV_PROMPT_END, 1, NULL);
	feed_one(&feed, &b, 90, CLKV_PROMPT_END, 2, NULL);
	feed_one(&feed, &b, 1, CLKV_DECODE, 3, NULL);
	const clkv_step_item items[] = {{a.seq, 3, CLKV_PROBE}, {b.seq, 2, CLKV_PROBE}};
	probe(&feed, items, 2, rows, ROWS, out);
	for (int layer = 0; layer < 2; layer++)
		for (size_t r = 0; r < ROWS; r++) {
			double want[HEADS * DIM];
			const double *got = out + ((size_t)layer * ROWS + r) * HEADS * DIM;
			attend_all(&feed, r < 3 ? &a : &b, layer, rows[r], want);
			for (size_t i = 0; i < HEADS * DIM; i++)
				EACH_MSG(fabs(got[i] - want[i]) <= 1e-4, "layer %d, row %zu: %g, not %g", layer, r,
				         got[i], want[i]);
		}
	feed_close(&feed);
}
END_TEST

/* Whatever comes between its steps, a sequence goes on as one that nobody asked. */
START_TEST(test_probes_leave_nothing)
{
	static struct stream a, b;
	struct feed left, asked;
	const struct kind *kind = &kinds[_i];
	static const size_t rows[] = {150, 60, 1, 1, 40, 35, 1};
	double out[4 * HEADS * DIM];
	kind_open(&left, kind, fixture.context, fixture.queue);
	kind_open(&asked, kind, fixture.context, fixture.queue);
	stream_open(&left, &a);
	stream_open(&asked, &b);
	for (uint64_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		clkv_phase phase = i == 0 ? CLKV_PROMPT : i == 1 ? CLKV_PROMPT_END : CLKV_DECODE;
		struct feed_result x, y;
		feed_one(&left, &a, rows[i], phase, i, &x);
		feed_one(&asked, &b, rows[i], phase, i, &y);
		kind_same_outputs(&left, &x, &y, kind->recipe);
		feed_result_close(&x);
		feed_result_close(&y);
		if (!(kind->moves && stream_info(&b).sealed > 0))
			probe_one(&asked, &b, 1000 + i, out);
	}
	kind_same_streams(kind, &left, &a, &asked, &b, kind->recipe);
	ck_assert_uint_eq(feed_stats(&left).used_open, feed_stats(&asked).used_open);
	ck_assert_uint_eq(feed_stats(&left).used_sealed, feed_stats(&asked).used_sealed);
	feed_close(&left);
	feed_close(&asked);
}
END_TEST

START_TEST(test_probes_that_are_refused)
{
	static struct stream a, b;
	struct feed feed;
	struct tensor rows;
	clkv_step *step;
	clkv_error error;
	kind_open(&feed, &(const struct kind){.recipe = "spark", .layers = 1}, fixture.context,
	          fixture.queue);
	stream_open(&feed, &a);
	clkv_step_item items[] = {{a.seq, 1, CLKV_PROBE}, {NULL, 1, CLKV_DECODE}};
	ck_assert_int_eq(clkv_step_begin(feed.cache, items, 1, feed.queue, &step, &error),
	                 CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_msg(strstr(error.text, "empty") != NULL, "%s", error.text);
	feed_one(&feed, &a, 3, CLKV_PROMPT, 1, NULL);
	stream_open(&feed, &b);
	items[1].seq = b.seq;
	ck_assert_int_eq(clkv_step_begin(feed.cache, items, 2, feed.queue, &step, &error),
	                 CLKV_ERROR_INVALID_ARGUMENT);
	items[0].n_tokens = 701;
	ck_assert_int_eq(clkv_step_begin(feed.cache, items, 1, feed.queue, &step, &error),
	                 CLKV_ERROR_INVALID_ARGUMENT);
	items[0].n_tokens = 700; /* more rows than tokens, and than a sequence may get */
	feed_ok(clkv_step_begin(feed.cache, items, 1, feed.queue, &step, &error), &error, "begin");
	tensor_open(&rows, fixture.queue, (struct tensor_layout){.dtype = CLKV_F32}, 700, 6, 64, NULL);
	clkv_observe_args args = CLKV_INIT(clkv_observe_args);
	args.q = rows.t;
	ck_assert_int_eq(clkv_step_append(step, 0, &rows.t, &rows.t, 0, NULL, NULL, &error),
	                 CLKV_ERROR_INVALID_STATE);
	ck_assert_int_eq(clkv_step_observe(step, 0, &args, 0, NULL, NULL, &error),
	                 CLKV_ERROR_INVALID_STATE);
	ck_assert_int_eq(clkv_seq_truncate(a.seq, 1, &error), CLKV_ERROR_BUSY);
	const size_t kept = 0;
	ck_assert_int_eq(clkv_step_commit(step, &kept, &error), CLKV_ERROR_INVALID_ARGUMENT);
	clkv_step_abort(step);
	feed_ok(clkv_seq_truncate(a.seq, 1, &error), &error, "truncate");
	tensor_close(&rows);
	feed_close(&feed);
}
END_TEST

START_TEST(test_probes_ask_for_what_is_on_the_device)
{
	static struct stream a;
	struct feed feed;
	clkv_step *step;
	clkv_error error;
	kind_open(&feed,
	          &(const struct kind){.recipe = "clusterkv:recall=64,per=8,every=128 | "
	                                         "place:host,via=copy ; window=32,sinks=5",
	                               .layers = 1},
	          fixture.context, fixture.queue);
	stream_open(&feed, &a);
	feed_one(&feed, &a, 300, CLKV_PROMPT_END, 1, NULL);
	const clkv_step_item item = {a.seq, 1, CLKV_PROBE};
	ck_assert_int_eq(clkv_step_begin(feed.cache, &item, 1, feed.queue, &step, &error),
	                 CLKV_ERROR_UNSUPPORTED);
	ck_assert_msg(strstr(error.text, "a probe attends to all") != NULL, "%s", error.text);
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
	TCase *probes = fixture_case(suite, "probe", 60);
	for (int i = 0; i < n_kinds; i++) {
		if (!kinds[i].indexes) /* whose rows of generation see a part */
			tcase_add_loop_test(probes, test_a_row_that_is_asked_again_gets_the_same, i, i + 1);
		tcase_add_loop_test(probes, test_probes_leave_nothing, i, i + 1);
	}
	tcase_add_loop_test(probes, test_probes_see_all_tokens, 0, 4);
	tcase_add_test(probes, test_probes_that_are_refused);
	tcase_add_test(probes, test_probes_ask_for_what_is_on_the_device);
	return fixture_run_shared(suite);
}
