/* SPDX-License-Identifier: MIT */
/** \file check_prefill.c \brief Prompts: in any chunks the same, causal inside a chunk. */
#include "support/bounds.h"
#include "support/expect.h"
#include "support/fixture.h"

#include <math.h>

#define PROMPT 200

static const size_t chunk_sizes[] = {1, 7, 64, 100, 200};

static void feed_chunks(struct feed *feed, struct stream *stream, size_t chunk,
                        struct feed_result *last)
{
	while (stream->n < PROMPT) {
		size_t left = PROMPT - stream->n, n = left < chunk ? left : chunk;
		feed_one(feed, stream, n, n == left ? CLKV_PROMPT_END : CLKV_PROMPT, 3,
		         n == left ? last : NULL);
	}
}

/* The outputs of the last row, the decoded cache, and the next decode row agree. */
static void compare_chunks(const char *recipe, const struct tensor_layout *layout, double limit)
{
	struct feed feed = {.geometry = feed_usual(2), .lse = true, .in = *layout};
	static struct stream whole, parts;
	struct feed_result one, other, next, other_next;
	feed_open(&feed, fixture.context, fixture.queue, recipe, NULL);
	stream_open(&feed, &whole);
	feed_chunks(&feed, &whole, PROMPT, &one);
	feed_one(&feed, &whole, 1, CLKV_DECODE, 4, &next);
	for (size_t i = 0; i < sizeof chunk_sizes / sizeof chunk_sizes[0]; i++) {
		stream_open(&feed, &parts);
		feed_chunks(&feed, &parts, chunk_sizes[i], &other);
		double difference =
			expect_rows_difference(&feed, &other, other.rows - 1, &one, one.rows - 1, 1);
		ck_assert_msg(difference <= limit, "%s, chunks of %zu: outputs differ by %g", recipe,
		              chunk_sizes[i], difference);
		ck_assert_uint_eq(stream_info(&parts).sealed, stream_info(&whole).sealed);
		feed_one(&feed, &parts, 1, CLKV_DECODE, 4, &other_next);
		expect_same_cache(&feed, &parts, &whole);
		ck_assert_double_le(expect_difference(&feed, &other_next, &next), BOUND_REORDER);
		feed_result_close(&other);
		feed_result_close(&other_next);
		stream_close(&parts);
	}
	feed_result_close(&one);
	feed_result_close(&next);
	feed_close(&feed);
}

START_TEST(test_a_prompt_in_chunks_equals_one_chunk)
{
	static const struct tensor_layout f32 = {
		.dtype = CLKV_F32, .offset = 0, .head_gap = 0, .token_gap = 0};
	/* a prompt that is sealed as it comes attends to codes: its outputs differ, its cache doesn't */
	static const struct {
		const char *recipe;
		double limit;
	} cases[] = {
		{"f16", BOUND_REORDER},
		{"kivi:bits=4 ; window=70,sinks=3,seal=prompt", BOUND_REORDER},
		{"kivi:bits=4 ; window=70,sinks=3,seal=chunk", (double)INFINITY},
		{"q:k=8,v=4 ; window=0", (double)INFINITY},
	};
	compare_chunks(cases[_i].recipe, &f32, cases[_i].limit);
}
END_TEST

static uint64_t changed_row;

static double change_one(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	double value = feed_normal(row, layer, side, head, d);
	return row == changed_row && side != FEED_Q ? value + 2.0 : value;
}

/* The same chunk again with another row at one position: rows before it keep every bit of their
 * outputs, it and those behind it don't. */
START_TEST(test_a_row_sees_itself_and_no_later_one)
{
	static const size_t positions[] = {1, 15, 16, 31, 63, 64, 99};
	size_t position = positions[_i];
	struct feed feed = {.geometry = feed_usual(1), .lse = true};
	static struct stream a, b;
	struct feed_result one, other;
	feed_open(&feed, fixture.context, fixture.queue, "f16", NULL);
	stream_open(&feed, &a);
	stream_open(&feed, &b);
	feed_one(&feed, &a, 100, CLKV_PROMPT, 1, &one);
	changed_row = a.row[position];
	feed.value = change_one;
	feed_one(&feed, &b, 100, CLKV_PROMPT, 1, &other);
	ck_assert_double_eq(expect_rows_difference(&feed, &other, 0, &one, 0, position), 0.0);
	for (size_t i = position; i < 100; i++)
		ck_assert_double_gt(expect_rows_difference(&feed, &other, i, &one, i, 1), 1e-5);
	feed_result_close(&one);
	feed_result_close(&other);
	feed_close(&feed);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("prefill");
	TCase *chunks = fixture_case(suite, "chunks", 120);
	TCase *causal = fixture_case(suite, "causal", 60);
	tcase_add_loop_test(chunks, test_a_prompt_in_chunks_equals_one_chunk, 0, 4);
	tcase_add_loop_test(causal, test_a_row_sees_itself_and_no_later_one, 0, 7);
	return fixture_run_shared(suite);
}
