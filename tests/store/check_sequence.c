/* SPDX-License-Identifier: MIT */
/** \file check_sequence.c \brief Sequences: fork, truncate, destroy, and a pool that is full. */
#include "support/bounds.h"
#include "support/expect.h"
#include "support/fixture.h"

#include <string.h>

static const char *const recipes[] = {"f16", "kivi:bits=4 ; window=40,sinks=3",
                                      "q:k=8,v=4 ; window=0,skip=1"};
#define RECIPES (sizeof recipes / sizeof recipes[0])

static clkv_geometry geometry(void)
{
	return feed_usual(2);
}

/* ---------------------------------------------------------------- fork ---- */

START_TEST(test_fork_then_diverge_equals_two_sequences)
{
	static struct stream first, second, alone_first, alone_second;
	struct feed feed = {.geometry = geometry(), .lse = true};
	struct feed_result a, b;
	feed_open(&feed, fixture.context, fixture.queue, recipes[_i], NULL);
	stream_open(&feed, &first);
	stream_open(&feed, &alone_first);
	stream_open(&feed, &alone_second);
	feed_one(&feed, &first, 150, CLKV_PROMPT_END, 1, NULL);
	feed_one(&feed, &alone_first, 150, CLKV_PROMPT_END, 1, NULL);
	feed_one(&feed, &alone_second, 150, CLKV_PROMPT_END, 1, NULL);
	stream_fork(&feed, &first, &second);
	expect_same_cache(&feed, &first, &second);
	for (uint64_t i = 0; i < 3; i++) {
		size_t n = 1 + 60 * (size_t)i;
		feed_one(&feed, &first, n, CLKV_DECODE, 10 + i, &a);
		feed_one(&feed, &alone_first, n, CLKV_DECODE, 10 + i, &b);
		ck_assert_double_eq(expect_difference(&feed, &a, &b), 0.0);
		feed_result_close(&a);
		feed_result_close(&b);
		feed_one(&feed, &second, n + 7, CLKV_DECODE, 20 + i, &a);
		feed_one(&feed, &alone_second, n + 7, CLKV_DECODE, 20 + i, &b);
		ck_assert_double_eq(expect_difference(&feed, &a, &b), 0.0);
		feed_result_close(&a);
		feed_result_close(&b);
	}
	expect_same_cache(&feed, &first, &alone_first);
	expect_same_cache(&feed, &second, &alone_second);
	stream_close(&first);
	expect_same_cache(&feed, &second, &alone_second);
	feed_one(&feed, &second, 70, CLKV_DECODE, 30, NULL);
	feed_one(&feed, &alone_second, 70, CLKV_DECODE, 30, NULL);
	expect_same_cache(&feed, &second, &alone_second);
	stream_close(&second);
	stream_close(&alone_first);
	stream_close(&alone_second);
	expect_nothing_used(&feed);
	feed_close(&feed);
}
END_TEST

START_TEST(test_forks_share_what_is_full)
{
	static struct stream first, second;
	struct feed feed = {.geometry = geometry()};
	feed_open(&feed, fixture.context, fixture.queue, recipes[_i], NULL);
	stream_open(&feed, &first);
	feed_one(&feed, &first, 512, CLKV_PROMPT_END, 1, NULL);
	clkv_stats one = feed_stats(&feed);
	stream_fork(&feed, &first, &second);
	feed_one(&feed, &second, 1, CLKV_DECODE, 2, NULL);
	clkv_stats two = feed_stats(&feed);
	ck_assert_uint_eq(two.sequences, 2);
	ck_assert_uint_eq(two.used_sealed, one.used_sealed);
	ck_assert_uint_le(two.used_open, one.used_open + one.used_open / 2 + 65536);
	stream_close(&first);
	stream_close(&second);
	expect_nothing_used(&feed);
	feed_close(&feed);
}
END_TEST

/* A fork of an empty sequence, and a fork of a fork. */
START_TEST(test_forks_of_forks)
{
	static struct stream s[4];
	struct feed feed = {.geometry = geometry()};
	feed_open(&feed, fixture.context, fixture.queue, recipes[_i], NULL);
	stream_open(&feed, &s[0]);
	stream_fork(&feed, &s[0], &s[1]);
	feed_one(&feed, &s[1], 70, CLKV_DECODE, 1, NULL);
	stream_fork(&feed, &s[1], &s[2]);
	stream_fork(&feed, &s[2], &s[3]);
	stream_close(&s[1]);
	feed_one(&feed, &s[2], 70, CLKV_DECODE, 2, NULL);
	feed_one(&feed, &s[3], 70, CLKV_DECODE, 2, NULL);
	expect_same_cache(&feed, &s[2], &s[3]);
	stream_close(&s[3]);
	feed_one(&feed, &s[0], 70, CLKV_DECODE, 1, NULL);
	feed_one(&feed, &s[0], 70, CLKV_DECODE, 2, NULL);
	expect_same_cache(&feed, &s[2], &s[0]);
	stream_close(&s[0]);
	stream_close(&s[2]);
	expect_nothing_used(&feed);
	feed_close(&feed);
}
END_TEST

/* ---------------------------------------------------------------- truncate ---- */

static void truncate_to(struct stream *stream, size_t n)
{
	clkv_error error;
	feed_ok(clkv_seq_truncate(stream->seq, n, &error), &error, "clkv_seq_truncate");
	stream->n = n;
	ck_assert_uint_eq(stream_info(stream).length, n);
}

START_TEST(test_truncate_then_append_again)
{
	static struct stream cut, plain;
	struct feed feed = {.geometry = geometry()};
	struct feed_result a, b;
	feed_open(&feed, fixture.context, fixture.queue, recipes[_i], NULL);
	stream_open(&feed, &cut);
	stream_open(&feed, &plain);
	feed_one(&feed, &cut, 130, CLKV_DECODE, 1, NULL);
	feed_one(&feed, &plain, 130, CLKV_DECODE, 1, NULL);
	feed_one(&feed, &cut, 30, CLKV_DECODE, 2, NULL);
	size_t least = stream_info(&cut).min_length;
	ck_assert_uint_le(least, 160);
	truncate_to(&cut, 160);
	for (size_t n = 159; n >= 130 && n >= least; n -= 29)
		truncate_to(&cut, n);
	expect_same_cache(&feed, &cut, &plain);
	feed_one(&feed, &cut, 90, CLKV_DECODE, 3, &a);
	feed_one(&feed, &plain, 90, CLKV_DECODE, 3, &b);
	ck_assert_double_eq(expect_difference(&feed, &a, &b), 0.0);
	expect_same_cache(&feed, &cut, &plain);
	feed_result_close(&a);
	feed_result_close(&b);
	feed_close(&feed);
}
END_TEST

START_TEST(test_truncate_outside_the_sequence_is_refused)
{
	static struct stream stream;
	struct feed feed = {.geometry = geometry()};
	clkv_error error;
	feed_open(&feed, fixture.context, fixture.queue, recipes[_i], NULL);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, 300, CLKV_PROMPT_END, 1, NULL);
	clkv_seq_info before = stream_info(&stream), after;
	if (before.min_length > 0)
		ck_assert_int_eq(clkv_seq_truncate(stream.seq, before.min_length - 1, &error),
		                 CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_int_eq(clkv_seq_truncate(stream.seq, 301, &error), CLKV_ERROR_INVALID_ARGUMENT);
	after = stream_info(&stream);
	ck_assert_int_eq(memcmp(&before, &after, sizeof before), 0);
	ck_assert_uint_le(before.min_length, before.length);
	truncate_to(&stream, before.min_length);
	feed_close(&feed);
}
END_TEST

/* Cut inside a sealed block: what is left decodes to the same bits, attention sees that and what comes
 * behind it, and the blocks that fell away are free. */
START_TEST(test_truncate_inside_sealed_blocks)
{
	static const size_t cuts[] = {250, 192, 100, 64, 3, 1, 0};
	static struct stream cut, whole;
	struct feed feed = {.geometry = geometry()};
	feed_open(&feed, fixture.context, fixture.queue, recipes[_i], NULL);
	stream_open(&feed, &whole);
	feed_one(&feed, &whole, 300, CLKV_PROMPT_END, 1, NULL);
	for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
		if (cuts[i] < stream_info(&whole).min_length)
			continue;
		stream_fork(&feed, &whole, &cut);
		truncate_to(&cut, cuts[i]);
		ck_assert_uint_le(stream_info(&cut).sealed, cuts[i]);
		expect_same_prefix(&feed, &cut, &whole);
		expect_rows(&feed, &cut, 20, CLKV_DECODE, 2, EXPECT_DECODED, BOUND_ATTEND_CODES);
		feed_one(&feed, &cut, 130, CLKV_PROMPT, 3, NULL);
		expect_rows(&feed, &cut, 1, CLKV_DECODE, 4, EXPECT_DECODED, BOUND_ATTEND_CODES);
		stream_close(&cut);
	}
	stream_close(&whole);
	expect_nothing_used(&feed);
	feed_close(&feed);
}
END_TEST

/* Each round leaves one more short block: it goes on or is refused, and nothing is overrun. */
START_TEST(test_truncating_again_and_again)
{
	static struct stream stream;
	struct feed feed = {.geometry = geometry()};
	clkv_cache_options room = CLKV_INIT(clkv_cache_options);
	room.max_tokens = 256;
	room.max_sequences = 3;
	feed_open(&feed, fixture.context, fixture.queue, recipes[_i], &room);
	stream_open(&feed, &stream);
	for (size_t round = 0; round < 40; round++) {
		clkv_step_item item = {stream.seq, 130, CLKV_PROMPT};
		clkv_step *step = NULL;
		clkv_error error;
		clkv_status status = clkv_step_begin(feed.cache, &item, 1, fixture.queue, &step, &error);
		clkv_step_abort(step);
		if (status == CLKV_ERROR_POOL_FULL)
			break;
		feed_ok(status, &error, "begin");
		feed_one(&feed, &stream, 130, CLKV_PROMPT, round, NULL);
		size_t least = stream_info(&stream).min_length, n = stream.n - 127;
		truncate_to(&stream, n > least ? n : least);
	}
	stream_close(&stream);
	expect_nothing_used(&feed);
	feed_close(&feed);
}
END_TEST

/* A fork keeps the tokens that its twin drops. */
START_TEST(test_truncating_a_fork_leaves_the_other)
{
	static struct stream first, second, plain;
	struct feed feed = {.geometry = geometry()};
	feed_open(&feed, fixture.context, fixture.queue, recipes[_i], NULL);
	stream_open(&feed, &first);
	stream_open(&feed, &plain);
	feed_one(&feed, &first, 100, CLKV_DECODE, 1, NULL);
	feed_one(&feed, &plain, 100, CLKV_DECODE, 1, NULL);
	stream_fork(&feed, &first, &second);
	size_t least = stream_info(&second).min_length;
	truncate_to(&second, least > 70 ? least : 70);
	feed_one(&feed, &second, 10, CLKV_DECODE, 5, NULL);
	expect_same_cache(&feed, &first, &plain);
	feed_close(&feed);
}
END_TEST

/* ---------------------------------------------------------------- the pool ---- */

/* max_tokens fit whatever the blocks; beyond them the pool may round up, then it is full. */
START_TEST(test_a_full_pool_refuses_and_recovers)
{
	static struct stream a, b;
	struct feed feed = {.geometry = geometry()};
	clkv_cache_options room = CLKV_INIT(clkv_cache_options);
	clkv_step *step = NULL;
	clkv_error error;
	room.max_tokens = 256;
	room.max_step_tokens = 64;
	room.max_sequences = 2;
	feed_open(&feed, fixture.context, fixture.queue, recipes[_i], &room);
	stream_open(&feed, &a);
	stream_open(&feed, &b);
	for (uint64_t i = 0; i < 3; i++)
		feed_one(&feed, &a, 64, CLKV_DECODE, i, NULL);
	for (;;) {
		clkv_step_item more = {b.seq, 64, CLKV_DECODE};
		clkv_stats before = feed_stats(&feed), after;
		clkv_status status = clkv_step_begin(feed.cache, &more, 1, fixture.queue, &step, &error);
		if (status == CLKV_OK) {
			clkv_step_abort(step);
			feed_one(&feed, &b, 64, CLKV_DECODE, 9 + b.n, NULL);
			continue;
		}
		ck_assert_int_eq(status, CLKV_ERROR_POOL_FULL);
		after = feed_stats(&feed);
		ck_assert_uint_eq(after.used_sealed, before.used_sealed);
		ck_assert_uint_eq(after.used_open, before.used_open);
		ck_assert_uint_eq(after.tokens, before.tokens);
		ck_assert_uint_ge(after.tokens, 256);
		ck_assert_uint_eq(after.tokens, a.n + b.n);
		break;
	}
	stream_close(&a);
	stream_open(&feed, &a);
	feed_one(&feed, &a, 64, CLKV_DECODE, 20, NULL);
	stream_close(&b);
	for (uint64_t i = 0; i < 3; i++)
		feed_one(&feed, &a, 64, CLKV_DECODE, 20 + i, NULL);
	ck_assert_uint_eq(feed_stats(&feed).tokens, 256);
	stream_close(&a);
	expect_nothing_used(&feed);
	feed_close(&feed);
}
END_TEST

START_TEST(test_sequences_are_counted)
{
	static struct stream a, b;
	struct feed feed = {.geometry = geometry()};
	clkv_cache_options room = CLKV_INIT(clkv_cache_options);
	clkv_error error;
	clkv_seq *more = NULL;
	room.max_tokens = 256;
	room.max_sequences = 2;
	room.max_seq_tokens = 100;
	feed_open(&feed, fixture.context, fixture.queue, recipes[_i], &room);
	stream_open(&feed, &a);
	stream_open(&feed, &b);
	ck_assert_int_eq(clkv_seq_create(feed.cache, &more, &error), CLKV_ERROR_POOL_FULL);
	ck_assert_int_eq(clkv_seq_fork(a.seq, &more, &error), CLKV_ERROR_POOL_FULL);
	ck_assert_ptr_null(more);
	feed_one(&feed, &a, 100, CLKV_DECODE, 1, NULL);
	clkv_step_item item = {a.seq, 1, CLKV_DECODE};
	clkv_step *step = NULL;
	ck_assert_int_eq(clkv_step_begin(feed.cache, &item, 1, fixture.queue, &step, &error),
	                 CLKV_ERROR_POOL_FULL);
	stream_close(&a);
	stream_open(&feed, &a);
	feed_one(&feed, &a, 100, CLKV_DECODE, 1, NULL);
	feed_close(&feed);
}
END_TEST

/* Two sequences come and go many times: nothing is lost on the way. */
START_TEST(test_nothing_leaks_over_many_sequences)
{
	static struct stream a, b;
	struct feed feed = {.geometry = feed_usual(1)};
	clkv_cache_options room = CLKV_INIT(clkv_cache_options);
	room.max_tokens = 512;
	room.max_sequences = 2;
	feed_open(&feed, fixture.context, fixture.queue, recipes[_i], &room);
	for (uint64_t i = 0; i < 12; i++) {
		stream_open(&feed, &a);
		feed_one(&feed, &a, 150 + i, CLKV_PROMPT_END, i, NULL);
		stream_fork(&feed, &a, &b);
		feed_one(&feed, i % 2 ? &a : &b, 50, CLKV_DECODE, 7, NULL);
		stream_close(i % 3 ? &a : &b);
		stream_close(i % 3 ? &b : &a);
		expect_nothing_used(&feed);
	}
	feed_close(&feed);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sequence");
	TCase *fork_case = fixture_case(suite, "fork", 60);
	TCase *cut = fixture_case(suite, "truncate", 60), *pool = fixture_case(suite, "pool", 60);
	tcase_add_loop_test(fork_case, test_fork_then_diverge_equals_two_sequences, 0, RECIPES);
	tcase_add_loop_test(fork_case, test_forks_share_what_is_full, 0, RECIPES);
	tcase_add_loop_test(fork_case, test_forks_of_forks, 0, RECIPES);
	tcase_add_loop_test(cut, test_truncate_then_append_again, 0, RECIPES);
	tcase_add_loop_test(cut, test_truncate_outside_the_sequence_is_refused, 0, RECIPES);
	tcase_add_loop_test(cut, test_truncate_inside_sealed_blocks, 0, RECIPES);
	tcase_add_loop_test(cut, test_truncating_again_and_again, 0, RECIPES);
	tcase_add_loop_test(cut, test_truncating_a_fork_leaves_the_other, 0, RECIPES);
	tcase_add_loop_test(pool, test_a_full_pool_refuses_and_recovers, 0, RECIPES);
	tcase_add_loop_test(pool, test_sequences_are_counted, 0, RECIPES);
	tcase_add_loop_test(pool, test_nothing_leaks_over_many_sequences, 0, RECIPES);
	return fixture_run_shared(suite);
}
