/* SPDX-License-Identifier: MIT */
/** \file check_step.c \brief Steps: batches, drafts, aborts, and what is refused when. */
#include "support/bounds.h"
#include "support/expect.h"
#include "support/fixture.h"

#include <string.h>

#define RECIPE "kivi:bits=4 ; window=40,sinks=3"

static clkv_geometry geometry(void)
{
	return feed_usual(2);
}

static void open_pair(struct feed *feed, const char *recipe, struct stream *a, struct stream *b)
{
	feed_open(feed, fixture.context, fixture.queue, recipe, NULL);
	stream_open(feed, a);
	stream_open(feed, b);
}

/* ---------------------------------------------------------------- batches ---- */

START_TEST(test_a_batch_equals_its_parts)
{
	static const size_t lengths[] = {5, 130, 300}, rows[] = {1, 70, 33};
	static const clkv_phase phases[] = {CLKV_DECODE, CLKV_PROMPT, CLKV_PROMPT_END};
	static struct stream alone[3], together[3];
	struct feed feed = {.geometry = geometry(), .lse = true};
	struct feed_item items[3];
	struct feed_result batch, part;
	size_t first = 0;
	feed_open(&feed, fixture.context, fixture.queue, _i ? RECIPE : "f16", NULL);
	for (size_t i = 0; i < 3; i++) {
		stream_open(&feed, &alone[i]);
		stream_open(&feed, &together[i]);
		feed_one(&feed, &alone[i], lengths[i], CLKV_PROMPT, i, NULL);
		feed_one(&feed, &together[i], lengths[i], CLKV_PROMPT, i, NULL);
		items[i] = (struct feed_item){&together[i], rows[i], phases[i], 0, 10 + i};
	}
	feed_step(&feed, items, 3, &batch);
	for (size_t i = 0; i < 3; i++) {
		feed_one(&feed, &alone[i], rows[i], phases[i], 10 + i, &part);
		ck_assert_double_le(expect_rows_difference(&feed, &batch, first, &part, 0, rows[i]),
		                    BOUND_REORDER);
		expect_same_cache(&feed, &alone[i], &together[i]);
		ck_assert_uint_eq(stream_info(&alone[i]).sealed, stream_info(&together[i]).sealed);
		first += rows[i];
		feed_result_close(&part);
	}
	feed_result_close(&batch);
	feed_close(&feed);
}
END_TEST

/* A step of decoding launches three kernels per layer, for any number of sequences and heads, and two more at
 * most: what the tables learned, and sealing. */
START_TEST(test_launches_are_few)
{
	static struct stream a, b;
	struct feed feed = {.geometry = geometry()};
	clkv_stats before = CLKV_INIT(clkv_stats), after = before;
	struct feed_result result;
	open_pair(&feed, RECIPE, &a, &b);
	feed_one(&feed, &a, 300, CLKV_PROMPT_END, 1, NULL);
	feed_one(&feed, &b, 7, CLKV_PROMPT_END, 2, NULL);
	struct feed_item rows[] = {{&a, 1, CLKV_DECODE, 1, 3}, {&b, 1, CLKV_DECODE, 1, 4}};
	for (size_t n = 1; n <= 2; n++) {
		ck_assert_int_eq(clkv_cache_stats(feed.cache, &before, NULL), CLKV_OK);
		feed_step(&feed, rows, n, &result);
		ck_assert_int_eq(clkv_cache_stats(feed.cache, &after, NULL), CLKV_OK);
		uint64_t launches = after.launches - before.launches;
		ck_assert_uint_ge(launches, 3u * (unsigned)feed.geometry.layers);
		ck_assert_uint_le(launches, 3u * (unsigned)feed.geometry.layers + 2);
		feed_result_close(&result);
	}
	feed_close(&feed);
}
END_TEST

/* The order of items is the order of rows, whatever the order of creation. */
START_TEST(test_items_in_any_order)
{
	static struct stream a, b;
	struct feed feed = {.geometry = geometry(), .lse = true};
	struct feed_result forward, backward;
	open_pair(&feed, RECIPE, &a, &b);
	feed_one(&feed, &a, 120, CLKV_PROMPT_END, 1, NULL);
	feed_one(&feed, &b, 7, CLKV_PROMPT_END, 2, NULL);
	struct feed_item one[] = {{&a, 2, CLKV_DECODE, 2, 3}, {&b, 3, CLKV_DECODE, 3, 4}};
	struct feed_item other[] = {{&b, 3, CLKV_DECODE, 3, 4}, {&a, 2, CLKV_DECODE, 2, 3}};
	feed_step(&feed, one, 2, &forward);
	feed_step(&feed, other, 2, &backward);
	ck_assert_double_le(expect_rows_difference(&feed, &forward, 0, &backward, 3, 2), BOUND_REORDER);
	ck_assert_double_le(expect_rows_difference(&feed, &forward, 2, &backward, 0, 3), BOUND_REORDER);
	feed_result_close(&forward);
	feed_result_close(&backward);
	feed_close(&feed);
}
END_TEST

/* ---------------------------------------------------------------- drafts ---- */

/* Rows that were not kept have never been: same bits in the cache, same bits in later outputs. The
 * drafts are sized so that all of them would have sealed a block. */
START_TEST(test_dropped_rows_have_never_been)
{
	static const size_t before[] = {0, 60, 106, 107, 170}, kept[] = {0, 1, 4, 70};
	static struct stream drafted, plain;
	struct feed feed = {.geometry = geometry()};
	struct feed_result a, b;
	open_pair(&feed, _i % 2 ? RECIPE : "f16", &drafted, &plain);
	for (size_t i = 0; i < 4; i++) {
		size_t start = before[(size_t)_i], keep = kept[i];
		if (start) {
			feed_one(&feed, &drafted, start, CLKV_DECODE, 1, NULL);
			feed_one(&feed, &plain, start, CLKV_DECODE, 1, NULL);
		}
		struct feed_item item = {&drafted, 80, i % 2 ? CLKV_DECODE : CLKV_PROMPT, 80 - keep, 2};
		feed_step(&feed, &item, 1, NULL);
		if (keep)
			feed_one(&feed, &plain, keep, CLKV_DECODE, 2, NULL);
		ck_assert_uint_eq(stream_info(&drafted).length, start + keep);
		ck_assert_uint_eq(stream_info(&drafted).sealed, stream_info(&plain).sealed);
		ck_assert_uint_eq(stream_info(&drafted).bytes, stream_info(&plain).bytes);
		expect_same_cache(&feed, &drafted, &plain);
		feed_one(&feed, &drafted, 2, CLKV_DECODE, 3, &a);
		feed_one(&feed, &plain, 2, CLKV_DECODE, 3, &b);
		ck_assert_double_eq(expect_difference(&feed, &a, &b), 0.0);
		feed_result_close(&a);
		feed_result_close(&b);
		stream_close(&drafted);
		stream_close(&plain);
		stream_open(&feed, &drafted);
		stream_open(&feed, &plain);
	}
	feed_close(&feed);
}
END_TEST

/* ---------------------------------------------------------------- aborts ---- */

START_TEST(test_abort_leaves_everything_as_it_was)
{
	static struct stream aborted, plain;
	struct feed feed = {.geometry = geometry()};
	struct feed_result a, b;
	open_pair(&feed, _i ? RECIPE : "f16", &aborted, &plain);
	feed_one(&feed, &aborted, 150, CLKV_PROMPT, 1, NULL);
	feed_one(&feed, &plain, 150, CLKV_PROMPT, 1, NULL);
	clkv_stats before = feed_stats(&feed), after;
	clkv_seq_info info = stream_info(&aborted), info_after;
	struct feed_item item = {&aborted, 90, CLKV_PROMPT_END, 0, 9};
	clkv_step_abort(feed_begin(&feed, &item, 1, NULL));
	after = feed_stats(&feed);
	info_after = stream_info(&aborted);
	ck_assert_uint_eq(after.used_sealed, before.used_sealed);
	ck_assert_uint_eq(after.used_open, before.used_open);
	ck_assert_uint_eq(after.used_tables, before.used_tables);
	ck_assert_uint_eq(after.tokens, before.tokens);
	ck_assert_uint_eq(after.steps, before.steps);
	ck_assert_int_eq(memcmp(&info, &info_after, sizeof info), 0);
	expect_same_cache(&feed, &aborted, &plain);
	feed_one(&feed, &aborted, 3, CLKV_DECODE, 2, &a);
	feed_one(&feed, &plain, 3, CLKV_DECODE, 2, &b);
	ck_assert_double_eq(expect_difference(&feed, &a, &b), 0.0);
	feed_result_close(&a);
	feed_result_close(&b);
	clkv_step_abort(NULL);
	feed_close(&feed);
}
END_TEST

START_TEST(test_destroying_a_cache_drops_its_step)
{
	static struct stream a;
	struct feed feed = {.geometry = geometry()};
	struct feed_item item = {&a, 9, CLKV_DECODE, 0, 1};
	feed_open(&feed, fixture.context, fixture.queue, RECIPE, NULL);
	stream_open(&feed, &a);
	ck_assert_ptr_nonnull(feed_begin(&feed, &item, 1, NULL));
	feed_close(&feed);
	clkv_cache_destroy(NULL);
	clkv_context_destroy(NULL);
}
END_TEST

/* ---------------------------------------------------------------- refusals ---- */

START_TEST(test_a_second_step_is_refused)
{
	static struct stream a, b;
	struct feed feed = {.geometry = geometry()};
	clkv_step *step, *second = NULL;
	clkv_seq *fork = NULL;
	clkv_error error;
	open_pair(&feed, RECIPE, &a, &b);
	feed_one(&feed, &a, 20, CLKV_DECODE, 1, NULL);
	struct feed_item item = {&a, 2, CLKV_DECODE, 0, 2};
	clkv_step_item other = {b.seq, 1, CLKV_DECODE};
	step = feed_begin(&feed, &item, 1, NULL);
	ck_assert_int_eq(clkv_step_begin(feed.cache, &other, 1, fixture.queue, &second, &error),
	                 CLKV_ERROR_BUSY);
	ck_assert_ptr_null(second);
	ck_assert_int_eq(error.status, CLKV_ERROR_BUSY);
	ck_assert_int_eq(clkv_seq_fork(a.seq, &fork, &error), CLKV_ERROR_BUSY);
	ck_assert_ptr_null(fork);
	ck_assert_int_eq(clkv_seq_truncate(a.seq, 10, &error), CLKV_ERROR_BUSY);
	feed_ok(clkv_step_commit(step, NULL, &error), &error, "clkv_step_commit");
	feed_kept(&item, 1);
	ck_assert_uint_eq(stream_info(&a).length, 22);
	feed_one(&feed, &b, 1, CLKV_DECODE, 1, NULL);
	feed_close(&feed);
}
END_TEST

/* How a step ends: committed, aborted, or as probes. */
START_TEST(test_a_sequence_destroyed_inside_a_step_goes_with_it)
{
	struct feed feed = {.geometry = feed_usual(2)};
	static struct stream a, b;
	clkv_error error;
	clkv_step *step;
	open_pair(&feed, RECIPE, &a, &b);
	feed_one(&feed, &b, 90, CLKV_PROMPT_END, 1, NULL);
	clkv_stats one = feed_stats(&feed);
	feed_one(&feed, &a, 150, CLKV_PROMPT_END, 1, NULL);
	if (_i == 2) {
		const clkv_step_item probes[] = {{a.seq, 2, CLKV_PROBE}, {b.seq, 1, CLKV_PROBE}};
		feed_ok(clkv_step_begin(feed.cache, probes, 2, fixture.queue, &step, &error), &error,
		        "begin");
	} else {
		struct feed_item item = {&a, 70, CLKV_DECODE, 0, 2};
		step = feed_begin(&feed, &item, 1, NULL);
	}
	clkv_seq_destroy(a.seq);
	ck_assert_uint_eq(feed_stats(&feed).sequences, 2);
	if (_i == 1)
		clkv_step_abort(step);
	else
		feed_ok(clkv_step_commit(step, NULL, &error), &error, "commit");
	clkv_stats left = feed_stats(&feed);
	ck_assert_uint_eq(left.sequences, 1);
	ck_assert_uint_eq(left.used_open, one.used_open);
	ck_assert_uint_eq(left.used_sealed, one.used_sealed);
	clkv_seq_destroy(NULL);
	feed_one(&feed, &b, 1, CLKV_DECODE, 3, NULL);
	feed_close(&feed);
}
END_TEST

static void open_tensors(struct tensor *k, struct tensor *q, struct tensor *out)
{
	struct tensor_layout f32 = {.dtype = CLKV_F32};
	double values[6 * 64] = {1.0};
	tensor_open(k, fixture.queue, f32, 1, 2, 64, values);
	tensor_open(q, fixture.queue, f32, 1, 6, 64, values);
	tensor_open(out, fixture.queue, f32, 1, 6, 64, NULL);
}

START_TEST(test_calls_out_of_order_are_refused)
{
	static struct stream a;
	struct feed feed = {.geometry = geometry()};
	struct tensor k, q, out;
	clkv_attend_args args = CLKV_INIT(clkv_attend_args);
	clkv_step *step = NULL;
	clkv_error error;
	size_t too_many = 2, none = 0;
	feed_open(&feed, fixture.context, fixture.queue, RECIPE, NULL);
	stream_open(&feed, &a);
	open_tensors(&k, &q, &out);
	args.q = q.t;
	args.out = out.t;
	clkv_step_item item = {a.seq, 1, CLKV_DECODE};
	feed_ok(clkv_step_begin(feed.cache, &item, 1, fixture.queue, &step, &error), &error, "begin");
	ck_assert_int_eq(clkv_step_attend(step, 0, &args, 0, NULL, NULL, &error),
	                 CLKV_ERROR_INVALID_STATE);
	ck_assert_int_eq(clkv_step_commit(step, NULL, &error), CLKV_ERROR_INVALID_STATE);
	feed_ok(clkv_step_append(step, 0, &k.t, &k.t, 0, NULL, NULL, &error), &error, "append");
	ck_assert_int_eq(clkv_step_append(step, 0, &k.t, &k.t, 0, NULL, NULL, &error),
	                 CLKV_ERROR_INVALID_STATE);
	ck_assert_int_eq(clkv_step_append(step, 2, &k.t, &k.t, 0, NULL, NULL, &error),
	                 CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_int_eq(clkv_step_append(step, -1, &k.t, &k.t, 0, NULL, NULL, &error),
	                 CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_int_eq(clkv_step_attend(step, 2, &args, 0, NULL, NULL, &error),
	                 CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_int_eq(clkv_step_commit(step, NULL, &error), CLKV_ERROR_INVALID_STATE);
	feed_ok(clkv_step_append(step, 1, &k.t, &k.t, 0, NULL, NULL, &error), &error, "append");
	feed_ok(clkv_step_attend(step, 0, &args, 0, NULL, NULL, &error), &error, "attend");
	feed_ok(clkv_step_attend(step, 0, &args, 0, NULL, NULL, &error), &error, "attend again");
	ck_assert_int_eq(clkv_step_commit(step, &too_many, &error), CLKV_ERROR_INVALID_ARGUMENT);
	feed_ok(clkv_step_commit(step, NULL, &error), &error, "commit");
	ck_assert_uint_eq(stream_info(&a).length, 1);

	item.phase = CLKV_PROMPT_END;
	feed_ok(clkv_step_begin(feed.cache, &item, 1, fixture.queue, &step, &error), &error, "begin");
	for (int layer = 0; layer < 2; layer++)
		feed_ok(clkv_step_append(step, layer, &k.t, &k.t, 0, NULL, NULL, &error), &error, "append");
	ck_assert_int_eq(clkv_step_commit(step, &none, &error), CLKV_ERROR_INVALID_ARGUMENT);
	feed_ok(clkv_step_commit(step, NULL, &error), &error, "commit");
	ck_assert_uint_eq(stream_info(&a).length, 2);
	tensor_close(&k);
	tensor_close(&q);
	tensor_close(&out);
	feed_close(&feed);
}
END_TEST

START_TEST(test_wrong_items_are_refused)
{
	static struct stream a, b;
	struct feed feed = {.geometry = geometry()}, stranger = {.geometry = geometry()};
	clkv_cache_options room = CLKV_INIT(clkv_cache_options);
	clkv_step *step = NULL;
	clkv_error error;
	room.max_tokens = 256;
	room.max_step_tokens = 32;
	feed_open(&feed, fixture.context, fixture.queue, RECIPE, &room);
	feed_open(&stranger, fixture.context, fixture.queue, "f16", NULL);
	stream_open(&feed, &a);
	stream_open(&stranger, &b);
	const clkv_step_item cases[][2] = {
		{{a.seq, 0, CLKV_DECODE}},
		{{a.seq, 33, CLKV_DECODE}},
		{{a.seq, SIZE_MAX, CLKV_DECODE}},
		{{a.seq, 1, (clkv_phase)3}},
		{{NULL, 1, CLKV_DECODE}},
		{{b.seq, 1, CLKV_DECODE}},
		{{a.seq, 1, CLKV_DECODE}, {a.seq, 1, CLKV_DECODE}},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		clkv_status status =
			clkv_step_begin(feed.cache, cases[i], i == 6 ? 2 : 1, fixture.queue, &step, &error);
		ck_assert_msg(status == CLKV_ERROR_INVALID_ARGUMENT, "case %zu: %s", i,
		              clkv_status_string(status));
		ck_assert_ptr_null(step);
		ck_assert_uint_gt(strlen(error.text), 10);
	}
	clkv_step_item good = {a.seq, 1, CLKV_DECODE};
	ck_assert_int_eq(clkv_step_begin(feed.cache, &good, 0, fixture.queue, &step, &error),
	                 CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_int_eq(clkv_step_begin(feed.cache, NULL, 1, fixture.queue, &step, NULL),
	                 CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_int_eq(clkv_step_begin(feed.cache, &good, 1, NULL, &step, NULL),
	                 CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_int_eq(clkv_step_begin(feed.cache, &good, 1, fixture.queue, NULL, NULL),
	                 CLKV_ERROR_INVALID_ARGUMENT);
	feed_one(&feed, &a, 32, CLKV_DECODE, 1, NULL);
	feed_close(&feed);
	feed_close(&stranger);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("step");
	TCase *batch = fixture_case(suite, "batch", 60), *draft = fixture_case(suite, "draft", 60);
	TCase *abort_case = fixture_case(suite, "abort", 60),
		  *refuse = fixture_case(suite, "refuse", 60);
	tcase_add_loop_test(batch, test_a_batch_equals_its_parts, 0, 2);
	tcase_add_loop_test(batch, test_a_sequence_destroyed_inside_a_step_goes_with_it, 0, 3);
	tcase_add_test(batch, test_items_in_any_order);
	tcase_add_test(batch, test_launches_are_few);
	tcase_add_loop_test(draft, test_dropped_rows_have_never_been, 0, 5);
	tcase_add_loop_test(abort_case, test_abort_leaves_everything_as_it_was, 0, 2);
	tcase_add_test(abort_case, test_destroying_a_cache_drops_its_step);
	tcase_add_test(refuse, test_a_second_step_is_refused);
	tcase_add_test(refuse, test_calls_out_of_order_are_refused);
	tcase_add_test(refuse, test_wrong_items_are_refused);
	return fixture_run_shared(suite);
}
