/* SPDX-License-Identifier: MIT */
/** \file check_select_life.c \brief Selection through a sequence's life: chunks, drafts, forks, cuts, aborts, full pools, bad
 *  calls. */
#include "ref/ref_half.h"
#include "support/bounds.h"
#include "support/each.h"
#include "support/expect.h"
#include "support/fixture.h"
#include "support/random.h"
#include "support/selected.h"

#include <math.h>
#include <string.h>

#define AROUND " ; window=16,sinks=4,block=32,seal=prompt,skip=0"
#define FIELDS .window = 16, .sinks = 4, .block = 32, .lambda = 1.0

static const struct selected_case cases[] = {
	{.recipe = "zeromerge:budget=72,tail=0.25,residual=0.25,lambda=0.98,alpha=1,metric=cos,"
               "init=first,obs=0,peak=0,mean=count,mass=sum,evict=new,score_merge=max" AROUND,
     .rule = {.score = REF_MASS,
              .budget = 72,
              .tail = 0.25,
              .residual = 0.25,
              .lambda = 0.98,
              .alpha = 1.0,
              .metric = REF_NEAR_COSINE,
              .window = 16,
              .sinks = 4,
              .block = 32}},
	{.recipe = "h2o:budget=72,recent=0.5" AROUND,
     .rule = {.score = REF_MASS, .budget = 72, .tail = 0.5, .any = true, FIELDS}},
	{.recipe = "snapkv:budget=72,obs=16,pool=5,pooling=avg,gqa=mean" AROUND,
     .rule = {.score = REF_SEEN,
              .budget = 72,
              .observe = 16,
              .pool = 5,
              .group = REF_GROUP_MEAN,
              .any = true,
              FIELDS}},
	{.recipe = "l2norm:budget=72" AROUND,
     .rule = {.score = REF_NORM, .budget = 72, .any = true, FIELDS}},
	{.recipe = "streaming:budget=72" AROUND,
     .rule = {.score = REF_PLACE, .budget = 72, .tail = 1.0, .any = true, FIELDS}},
};
enum { CASES = sizeof cases / sizeof cases[0] };

static void open_one(struct feed *feed, const struct selected_case *c, struct stream *stream,
                     struct selected *s)
{
	selected_cache(feed, c, NULL);
	stream_open(feed, stream);
	selected_open(s, c, feed);
}

/* ---------------------------------------------------------------- steps ---- */

/* A prompt in parts of any size ends with the same slots, but for the order of sums. */
START_TEST(test_chunks_of_a_prompt)
{
	static const size_t cuts[][5] = {{1, 199}, {64, 64, 64, 8}, {150, 3, 1, 46}, {33, 17, 90, 60}};
	static struct stream whole, parts;
	const struct selected_case *c = &cases[_i];
	struct feed feed = {.geometry = feed_usual(2)};
	selected_cache(&feed, c, NULL);
	stream_open(&feed, &whole);
	feed_one(&feed, &whole, 200, CLKV_PROMPT_END, 1, NULL);
	feed_one(&feed, &whole, 70, CLKV_DECODE, 2, NULL);
	for (size_t i = 0; i < 4; i++) {
		stream_open(&feed, &parts);
		for (size_t j = 0; parts.n < 200; j++)
			feed_one(&feed, &parts, cuts[i][j],
			         parts.n + cuts[i][j] == 200 ? CLKV_PROMPT_END : CLKV_PROMPT, 1, NULL);
		feed_one(&feed, &parts, 70, CLKV_DECODE, 2, NULL);
		/* up to 270 rows of three heads */
		selected_same(&feed, &whole, &parts, 0, 1e-4);
		stream_close(&parts);
	}
	feed_close(&feed);
}
END_TEST

/* Chunks that are selected as they come lie in half until the slots are full: there is room for that. */
START_TEST(test_room_until_slots_are_full)
{
	static const struct selected_case all[] = {
		{.recipe = "l2norm:budget=300 ; window=16,sinks=4,block=32,seal=chunk,skip=0"},
		{.recipe = "h2o:budget=300,recent=0.1 ; window=16,sinks=4,block=32,seal=chunk,skip=0"}};
	static struct stream stream;
	struct feed feed = {.geometry = feed_usual(1)};
	clkv_cache_options o = CLKV_INIT(clkv_cache_options);
	o.max_tokens = 500, o.max_sequences = 1, o.max_step_tokens = 50;
	selected_cache(&feed, &all[_i], &o);
	stream_open(&feed, &stream);
	while (stream.n < 500)
		feed_one(&feed, &stream, 50, stream.n < 450 ? CLKV_PROMPT : CLKV_PROMPT_END, 1, NULL);
	feed_close(&feed);
}
END_TEST

/* Several hundred tokens, block after block, singly and by the dozen. */
START_TEST(test_long_generation)
{
	static struct stream stream;
	struct feed feed = {.geometry = feed_usual(1)};
	struct selected s;
	struct selected_figures f = {0};
	open_one(&feed, &cases[_i], &stream, &s);
	selected_one(&feed, &stream, &s, 60, CLKV_PROMPT_END, 1, &f);
	while (stream.n < 500)
		selected_one(&feed, &stream, &s, 1 + stream.n % 12, CLKV_DECODE, stream.n, &f);
	selected_expect(&f, cases[_i].rule.residual > 0.0);
	clkv_seq_info info = stream_info(&stream);
	/* what 72 slots, a block that waits and the rounding up to blocks take, however long it is */
	ck_assert_uint_le(info.bytes, (uint64_t)(72 + 3 * 32 + 64) * 2 * (4 * 64 + 64));
	selected_close(&s);
	feed_close(&feed);
}
END_TEST

/* Rows that are rejected leave no mass, nor are they looked at: as if there had been none. */
START_TEST(test_rejected_drafts_leave_nothing)
{
	static struct stream drafts, plain;
	const struct selected_case *c = &cases[_i];
	struct feed feed = {.geometry = feed_usual(2)};
	struct selected s;
	struct selected *list[] = {&s};
	struct selected_figures f = {0};
	open_one(&feed, c, &drafts, &s);
	stream_open(&feed, &plain);
	selected_one(&feed, &drafts, &s, 150, CLKV_PROMPT_END, 1, &f);
	feed_one(&feed, &plain, 150, CLKV_PROMPT_END, 1, NULL);
	for (size_t i = 0; i < 25; i++) {
		struct feed_item item = {&drafts, 5, CLKV_DECODE, 1 + i % 4, 2};
		selected_step(&feed, &item, list, 1, &f);
		feed_one(&feed, &plain, 5 - item.dropped, CLKV_DECODE, 2, NULL);
	}
	selected_expect(&f, c->rule.residual > 0.0);
	/* queries of rejected rows took places of older ones: then scores may differ, and the reference says how */
	if (c->rule.score != REF_SEEN)
		selected_same(&feed, &plain, &drafts, 0, 1e-4);
	selected_close(&s);
	feed_close(&feed);
}
END_TEST

/* An aborted step, and one whose commit fails, leave all as it was. */
START_TEST(test_aborted_steps_leave_nothing)
{
	static struct stream a, b;
	const struct selected_case *c = &cases[_i];
	struct feed feed = {.geometry = feed_usual(2)};
	selected_cache(&feed, c, NULL);
	stream_open(&feed, &a);
	stream_open(&feed, &b);
	for (size_t i = 0; i < 6; i++) {
		struct feed_item item = {&a, 37, CLKV_DECODE, 0, 99};
		struct feed_result result;
		if (i > 0) {
			clkv_step_abort(feed_begin(&feed, &item, 1, &result));
			feed_result_close(&result);
		}
		feed_one(&feed, &a, i == 0 ? 120 : 33, i == 0 ? CLKV_PROMPT_END : CLKV_DECODE, i, NULL);
		feed_one(&feed, &b, i == 0 ? 120 : 33, i == 0 ? CLKV_PROMPT_END : CLKV_DECODE, i, NULL);
		selected_same(&feed, &a, &b, 0, 0.0);
	}
	feed_close(&feed);
}
END_TEST

/* Sequences of different length and phase in one step, each by its own rows: those of the item that has most weigh tokens as they
 * attend, unless some are dropped, the others' at the commit. */
START_TEST(test_batches)
{
	static struct stream streams[3];
	static const size_t before[] = {170, 30, 95};
	const struct selected_case *c = &cases[_i];
	struct feed feed = {.geometry = feed_usual(2)};
	struct selected s[3];
	struct selected *list[] = {&s[0], &s[1], &s[2]}, *turned[] = {&s[2], &s[0], &s[1]};
	struct selected_figures f = {0};
	selected_cache(&feed, c, NULL);
	for (size_t i = 0; i < 3; i++) {
		stream_open(&feed, &streams[i]);
		selected_open(&s[i], c, &feed);
		selected_one(&feed, &streams[i], &s[i], before[i], CLKV_PROMPT_END, i, &f);
	}
	for (size_t i = 0; i < 4; i++) {
		struct feed_item items[] = {{&streams[0], 9, CLKV_DECODE, 3, 10 + i},
		                            {&streams[1], 41, CLKV_PROMPT, 0, 20 + i},
		                            {&streams[2], 33, CLKV_DECODE, 0, 30 + i}};
		selected_step(&feed, items, list, 3, &f);
		struct feed_item other[] = {{&streams[2], 1, CLKV_DECODE, 0, 40 + i},
		                            {&streams[0], 26, CLKV_DECODE, i % 2 * 5, 50 + i},
		                            {&streams[1], 8, CLKV_PROMPT_END, 0, 60 + i}};
		selected_step(&feed, other, turned, 3, &f);
	}
	selected_expect(&f, c->rule.residual > 0.0);
	for (size_t i = 0; i < 3; i++)
		selected_close(&s[i]);
	feed_close(&feed);
}
END_TEST

/* ---------------------------------------------------------------- forks and cuts ---- */

START_TEST(test_forks_go_their_own_ways)
{
	static struct stream a, b, c;
	struct feed feed = {.geometry = feed_usual(2)};
	struct selected sa, sb;
	struct selected *list[] = {&sa, &sb};
	struct selected_figures f = {0};
	open_one(&feed, &cases[_i], &a, &sa);
	selected_one(&feed, &a, &sa, 170, CLKV_PROMPT_END, 1, &f);
	selected_one(&feed, &a, &sa, 40, CLKV_DECODE, 2, &f);
	stream_fork(&feed, &a, &b);
	selected_fork(&sa, &sb);
	ck_assert_uint_eq(stream_info(&a).min_length, stream_info(&b).min_length);
	for (size_t i = 0; i < 4; i++) {
		struct feed_item items[] = {{&a, 20, CLKV_DECODE, 0, 3}, {&b, 27, CLKV_DECODE, 0, 4}};
		selected_step(&feed, items, list, 2, &f);
	}
	/* the fork's own tokens after its parent is gone, and a sequence that took the same way without forks */
	stream_close(&a);
	stream_open(&feed, &c);
	feed_one(&feed, &c, 170, CLKV_PROMPT_END, 1, NULL);
	feed_one(&feed, &c, 40, CLKV_DECODE, 2, NULL);
	for (size_t i = 0; i < 6; i++) {
		feed_one(&feed, &c, 27, CLKV_DECODE, 4, NULL);
		if (i >= 4)
			selected_one(&feed, &b, &sb, 27, CLKV_DECODE, 4, &f);
	}
	selected_same(&feed, &b, &c, 0, 1e-4);
	selected_expect(&f, cases[_i].rule.residual > 0.0);
	selected_close(&sa);
	selected_close(&sb);
	feed_close(&feed);
}
END_TEST

/* Cut within what is open, and others instead: they begin without mass. Below it nothing can be cut but all. */
START_TEST(test_cuts)
{
	static struct stream stream;
	struct feed feed = {.geometry = feed_usual(2)};
	struct selected s;
	struct selected_figures f = {0};
	clkv_error error;
	open_one(&feed, &cases[_i], &stream, &s);
	selected_one(&feed, &stream, &s, 150, CLKV_PROMPT_END, 1, &f);
	selected_one(&feed, &stream, &s, 45, CLKV_DECODE, 2, &f);
	size_t least = stream_info(&stream).min_length;
	ck_assert(least > 100 && least <= 195 - 16);
	ck_assert_int_eq(clkv_seq_truncate(stream.seq, least - 1, &error), CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_int_eq(clkv_seq_truncate(stream.seq, 1, &error), CLKV_ERROR_INVALID_ARGUMENT);
	selected_check(&s, &stream, NULL);
	selected_truncate(&s, &stream, 190);
	selected_one(&feed, &stream, &s, 3, CLKV_DECODE, 3, &f);
	selected_truncate(&s, &stream, least);
	selected_check(&s, &stream, NULL);
	selected_one(&feed, &stream, &s, 90, CLKV_DECODE, 4, &f);
	selected_one(&feed, &stream, &s, 2, CLKV_DECODE, 5, &f);
	selected_truncate(&s, &stream, 0);
	ck_assert_uint_eq(stream_info(&stream).min_length, 0);
	selected_one(&feed, &stream, &s, 130, CLKV_PROMPT_END, 6, &f);
	selected_one(&feed, &stream, &s, 50, CLKV_DECODE, 7, &f);
	selected_expect(&f, cases[_i].rule.residual > 0.0);
	selected_close(&s);
	feed_close(&feed);
}
END_TEST

/* ---------------------------------------------------------------- pools ---- */

/* Nothing is lost to sequences that come and go, and a full pool leaves all as it was. */
START_TEST(test_memory_comes_back)
{
	static struct stream streams[3];
	const struct selected_case *c = &cases[_i];
	struct feed feed = {.geometry = feed_usual(1)};
	clkv_cache_options o = CLKV_INIT(clkv_cache_options);
	struct selected s;
	struct selected *list[] = {&s};
	o.max_tokens = 500;
	o.max_step_tokens = 200;
	o.max_sequences = 3;
	selected_cache(&feed, c, &o);
	for (size_t round = 0; round < 30; round++) {
		struct stream *t = &streams[round % 2];
		if (round >= 2)
			stream_close(t);
		stream_open(&feed, t);
		feed_one(&feed, t, 130 + round, CLKV_PROMPT_END, round, NULL);
		feed_one(&feed, t, 40, CLKV_DECODE, round, NULL);
	}
	stream_close(&streams[0]);
	stream_close(&streams[1]);
	clkv_stats stats = feed_stats(&feed);
	ck_assert_uint_eq(stats.used_sealed + stats.used_open, 0);
	stream_open(&feed, &streams[0]);
	selected_open(&s, c, &feed);
	selected_one(&feed, &streams[0], &s, 170, CLKV_PROMPT_END, 1, NULL);
	stream_open(&feed, &streams[1]);
	clkv_status status = CLKV_OK;
	size_t full = 0;
	while (status == CLKV_OK && full < 100) {
		clkv_step_item item = {streams[1].seq, 100, CLKV_PROMPT};
		clkv_step *step = NULL;
		status = clkv_step_begin(feed.cache, &item, 1, feed.queue, &step, NULL);
		clkv_step_abort(step);
		if (status == CLKV_OK)
			feed_one(&feed, &streams[1], 100, CLKV_PROMPT, full++, NULL);
	}
	ck_assert_int_eq(status, CLKV_ERROR_POOL_FULL);
	selected_check(&s, &streams[0], NULL);
	stream_close(&streams[1]);
	struct feed_item item = {&streams[0], 70, CLKV_DECODE, 0, 2};
	selected_step(&feed, &item, list, 1, NULL);
	selected_close(&s);
	feed_close(&feed);
}
END_TEST

/* ---------------------------------------------------------------- refusals ---- */

/* What judges by attention must have seen it: the commit says where it is lacking, and the step may be attended and
 * committed then. */
START_TEST(test_steps_without_attention)
{
	static struct stream stream;
	static const char *const stages[] = {"zeromerge", "h2o", "snapkv", "l2norm", "streaming"};
	struct feed feed = {.geometry = feed_usual(2), .append_only = true};
	clkv_error error;
	selected_cache(&feed, &cases[_i], NULL);
	stream_open(&feed, &stream);
	bool seen = cases[_i].rule.score == REF_SEEN, mass = cases[_i].rule.score == REF_MASS;
	ck_assert_uint_eq(clkv_cache_observes(feed.cache), mass ? SIZE_MAX : seen ? 16 : 0);
	if (!mass)
		feed_one(&feed, &stream, 30, CLKV_PROMPT, 1, NULL);
	struct feed_item item = {&stream, 150, CLKV_PROMPT_END, 0, 2};
	clkv_step *step = feed_begin(&feed, &item, 1, NULL);
	clkv_status status = clkv_step_commit(step, NULL, &error);
	if (!seen && !mass) {
		ck_assert_int_eq(status, CLKV_OK);
		feed_close(&feed);
		return;
	}
	ck_assert_int_eq(status, CLKV_ERROR_INVALID_STATE);
	ck_assert_msg(strstr(error.text, stages[_i]) != NULL && strstr(error.text, "layer") != NULL,
	              "%s", error.text);
	clkv_step_abort(step);
	ck_assert_uint_eq(stream_info(&stream).length, mass ? 0 : 30);
	feed.append_only = false;
	feed_one(&feed, &stream, 150, CLKV_PROMPT_END, 2, NULL);
	feed_close(&feed);
}
END_TEST

START_TEST(test_bad_questions)
{
	static struct stream stream, plain;
	struct feed feed = {.geometry = feed_usual(2)}, half = feed;
	struct feed_result result;
	clkv_error error;
	clkv_kept kept = CLKV_INIT(clkv_kept);
	uint32_t positions[64];
	selected_cache(&feed, &cases[1], NULL);
	feed_open(&half, fixture.context, fixture.queue, "f16", NULL);
	stream_open(&feed, &stream);
	stream_open(&half, &plain);
	feed_one(&feed, &stream, 150, CLKV_PROMPT_END, 1, NULL);
	ck_assert_int_eq(clkv_seq_get_kept(plain.seq, 0, 0, &kept, half.queue, &error),
	                 CLKV_ERROR_UNSUPPORTED);
	ck_assert_int_eq(clkv_seq_get_kept(stream.seq, 2, 0, &kept, feed.queue, &error),
	                 CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_int_eq(clkv_seq_get_kept(stream.seq, 0, 2, &kept, feed.queue, &error),
	                 CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_int_eq(clkv_seq_get_kept(stream.seq, -1, 0, &kept, feed.queue, &error),
	                 CLKV_ERROR_INVALID_ARGUMENT);
	kept.positions = positions;
	kept.room = 31;
	memset(positions, 0xee, sizeof positions);
	ck_assert_int_eq(clkv_seq_get_kept(stream.seq, 0, 0, &kept, feed.queue, &error),
	                 CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_uint_eq(kept.n, 32); /* 72 - 4 - 36 */
	ck_assert_uint_eq(positions[0], 0xeeeeeeeeu);
	kept.room = 32;
	ck_assert_int_eq(clkv_seq_get_kept(stream.seq, 0, 0, &kept, feed.queue, &error), CLKV_OK);
	for (size_t i = 1; i < 32; i++)
		EACH_MSG(positions[i] > positions[i - 1], "slot %zu: token %u behind %u", i, positions[i],
		         positions[i - 1]);
	ck_assert(positions[0] >= 4 && positions[31] < 150 - 36);
	ck_assert_uint_eq(positions[32], 0xeeeeeeeeu);
	struct feed_item item = {&stream, 1, CLKV_DECODE, 0, 2};
	clkv_step *step = feed_begin(&feed, &item, 1, &result);
	ck_assert_int_eq(clkv_seq_get_kept(stream.seq, 0, 0, &kept, feed.queue, &error),
	                 CLKV_ERROR_BUSY);
	clkv_step_abort(step);
	feed_result_close(&result);
	feed_close(&feed);
	feed_close(&half);
}
END_TEST

START_TEST(test_bad_recipes)
{
	static const struct {
		const char *recipe, *word;
	} all[] = {
		{"zeromerge:budget=0", "budget"},
		{"zeromerge:budget=-3", "budget"},
		{"zeromerge:metric=angle", "metric"},
		{"zeromerge:init=last", "init"},
		{"zeromerge:lambda=1.5", "lambda"},
		{"zeromerge:alpha=-1", "alpha"},
		{"zeromerge:evict=all", "evict"},
		{"h2o:budget=nan", "budget"},
		{"snapkv:pool=4", "pool"},
		{"snapkv:gqa=min", "gqa"},
		{"snapkv:obs=0", "obs"},
		{"corm:obs=0", "obs"},
		{"morphkv:agg=mean", "agg"},
		{"streaming:budget=0", "budget"},
		{"l2norm:budget=1e30", "budget"},
		{"h2o:budget=64 | snapkv:budget=64", "snapkv"},
		{"kivi:bits=4 | zeromerge:budget=64", "zeromerge"},
	};
	clkv_geometry g = feed_usual(2);
	expect_refused(fixture.context, &g, all[_i].recipe, &all[_i].word, 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("select life");
	TCase *steps = fixture_case(suite, "steps", 120), *life = fixture_case(suite, "life", 120);
	TCase *bad = fixture_case(suite, "bad", 30);
	tcase_add_loop_test(steps, test_chunks_of_a_prompt, 0, CASES);
	tcase_add_loop_test(steps, test_room_until_slots_are_full, 0, 2);
	tcase_add_loop_test(steps, test_long_generation, 0, CASES);
	tcase_add_loop_test(steps, test_rejected_drafts_leave_nothing, 0, CASES);
	tcase_add_loop_test(steps, test_aborted_steps_leave_nothing, 0, CASES);
	tcase_add_loop_test(steps, test_batches, 0, CASES);
	tcase_add_loop_test(life, test_forks_go_their_own_ways, 0, CASES);
	tcase_add_loop_test(life, test_cuts, 0, CASES);
	tcase_add_loop_test(life, test_memory_comes_back, 0, CASES);
	tcase_add_loop_test(bad, test_steps_without_attention, 0, CASES);
	tcase_add_test(bad, test_bad_questions);
	tcase_add_loop_test(bad, test_bad_recipes, 0, 17);
	return fixture_run_shared(suite);
}
