/* SPDX-License-Identifier: MIT */
/** \file check_strange.c \brief NaN, infinity and what half can't hold: replaced, counted, and contained. */
#include "ref/ref_half.h"
#include "support/bounds.h"
#include "support/expect.h"
#include "support/fixture.h"
#include "support/random.h"

#include <math.h>
#include <stdlib.h>

#define POISONED 40 /* position of the row with strange values */
#define ROWS 160

static uint64_t poisoned_row;

/* NaN, infinities and values beyond half in channels 3 to 6 of head 1 of one row, on layer 0. */
static double poison(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	static const double strange[] = {NAN, INFINITY, -INFINITY, 1e6};
	if (row == poisoned_row && layer == 0 && side != FEED_Q && head == 1 && d >= 3 && d < 7)
		return strange[d - 3];
	return feed_normal(row, layer, side, head, d);
}

/* What such values become when they are stored: given as such, nothing is counted. */
static double cured(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	double value = poison(row, layer, side, head, d);
	if (row != poisoned_row || side == FEED_Q)
		return value;
	return isnan(value) ? 0.0 : fmin(fmax(value, -REF_HALF_MAX), REF_HALF_MAX);
}

/* A poisoned stream holds the very bits of one that was given the replaced values, for each type. */
static void compare_with_cured(const char *recipe, clkv_dtype dtype)
{
	struct feed feed = {.geometry = feed_usual(2), .in = {.dtype = dtype}};
	static struct stream bad, good;
	struct feed_result a, b;
	/* 65504 given as bfloat16 is 65536: beyond half again */
	uint64_t cured_count = dtype == CLKV_BF16 ? 6 : 0;
	feed_open(&feed, fixture.context, fixture.queue, recipe, NULL);
	stream_open(&feed, &bad);
	stream_open(&feed, &good);
	poisoned_row = random_mix(1, POISONED);
	feed.value = cured;
	feed_one(&feed, &good, ROWS, CLKV_PROMPT_END, 1, NULL);
	feed_one(&feed, &good, 1, CLKV_DECODE, 2, &b);
	feed_one(&feed, &good, 1, CLKV_DECODE, 3, NULL);
	ck_assert_uint_eq(feed_stats(&feed).not_finite, cured_count);
	feed.value = poison;
	feed_one(&feed, &bad, ROWS, CLKV_PROMPT_END, 1, NULL);
	feed_one(&feed, &bad, 1, CLKV_DECODE, 2, &a);
	feed_one(&feed, &bad, 1, CLKV_DECODE, 3, NULL);
	ck_assert_uint_eq(feed_stats(&feed).not_finite, cured_count + 8);
	expect_same_cache(&feed, &bad, &good);
	ck_assert_double_eq(expect_difference(&feed, &a, &b), 0.0);
	feed_result_close(&a);
	feed_result_close(&b);
	feed_close(&feed);
}

START_TEST(test_strange_values_are_replaced_and_counted)
{
	static const char *const recipes[] = {"f16", "kivi:bits=4 ; window=0", "q:k=4,v=4 ; window=16"};
	compare_with_cured(recipes[_i / 3], (clkv_dtype)(_i % 3));
}
END_TEST

/* Only the groups that hold a replaced value may decode differently from a clean stream's. */
static void compare_with_clean(const struct feed *feed, const struct stream *bad,
                               const struct stream *good, enum feed_side side, bool per_channel)
{
	size_t n = bad->n * 128;
	double *x = calloc(n, sizeof *x), *y = calloc(n, sizeof *y);
	ck_assert(x && y);
	for (int layer = 0; layer < 2; layer++) {
		feed_read(feed, bad, layer, 0, bad->n, side == FEED_K ? x : NULL,
		          side == FEED_V ? x : NULL);
		feed_read(feed, good, layer, 0, good->n, side == FEED_K ? y : NULL,
		          side == FEED_V ? y : NULL);
		for (size_t i = 0; i < n; i++) {
			size_t token = i / 128, d = i % 64, head = i % 128 / 64;
			bool hit = layer == 0 && head == 1;
			hit = hit && (per_channel ? d >= 3 && d < 7 && token / 32 == POISONED / 32
			                          : token == POISONED && d < 32);
			if (!hit)
				ck_assert_msg(x[i] == y[i],
				              "layer %d, token %zu, head %zu, channel %zu was reached", layer,
				              token, head, d);
			ck_assert(isfinite(x[i]));
		}
	}
	free(x);
	free(y);
}

START_TEST(test_strange_values_reach_their_group_only)
{
	struct feed feed = {.geometry = feed_usual(2)};
	static struct stream bad, good;
	feed_open(&feed, fixture.context, fixture.queue, "kivi:bits=4 ; window=0", NULL);
	stream_open(&feed, &bad);
	stream_open(&feed, &good);
	poisoned_row = 0;
	feed_one(&feed, &good, ROWS, CLKV_PROMPT_END, 1, NULL);
	poisoned_row = random_mix(1, POISONED);
	feed.value = poison;
	feed_one(&feed, &bad, ROWS, CLKV_PROMPT_END, 1, NULL);
	compare_with_clean(&feed, &bad, &good, FEED_K, true);
	compare_with_clean(&feed, &bad, &good, FEED_V, false);
	feed_close(&feed);
}
END_TEST

/* Large but allowed values, all alike: a rotation makes one of them sqrt(64) times as large. */
static double large_row(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	if (row == poisoned_row && layer == 0 && side != FEED_Q && head == 1)
		return 60000.0;
	return feed_normal(row, layer, side, head, d);
}

START_TEST(test_what_a_rotation_makes_too_large_stays_in_its_row)
{
	struct feed feed = {.geometry = feed_usual(1)};
	static struct stream bad, good;
	struct feed_result a, b;
	size_t row = 2 * 64;
	double *x = calloc(ROWS * row, sizeof *x), *y = calloc(ROWS * row, sizeof *y);
	ck_assert(x && y);
	feed_open(&feed, fixture.context, fixture.queue, "q:k=3,v=3,rot=hadamard,sym=1 ; window=16",
	          NULL);
	stream_open(&feed, &bad);
	stream_open(&feed, &good);
	poisoned_row = random_mix(1, POISONED);
	feed_one(&feed, &good, ROWS, CLKV_PROMPT_END, 1, NULL);
	feed_read(&feed, &good, 0, 0, ROWS, NULL, y);
	feed_one(&feed, &good, 1, CLKV_DECODE, 2, &b);
	feed.value = large_row;
	feed_one(&feed, &bad, ROWS, CLKV_PROMPT_END, 1, NULL);
	feed_read(&feed, &bad, 0, 0, ROWS, NULL, x);
	feed_one(&feed, &bad, 1, CLKV_DECODE, 2, &a);
	feed_one(&feed, &bad, 1, CLKV_DECODE, 3, NULL);
	for (size_t i = 0; i < ROWS * row; i++) {
		ck_assert(isfinite(x[i]));
		if (i / row != POISONED || i % row < 64)
			ck_assert_double_eq(x[i], y[i]);
	}
	for (size_t i = 0; i < a.out_row; i++) {
		ck_assert(isfinite(a.out[i]));
		if (i < 3 * 64)
			ck_assert_double_eq(a.out[i], b.out[i]);
	}
	ck_assert_uint_eq(feed_stats(&feed).not_finite, 2);
	feed_result_close(&a);
	feed_result_close(&b);
	free(x);
	free(y);
	feed_close(&feed);
}
END_TEST

/* A NaN in the query of one head is that head's own matter. */
static double bad_query(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	if (side == FEED_Q && row == poisoned_row && head == 2 && d == 0)
		return (double)NAN;
	return feed_normal(row, layer, side, head, d);
}

START_TEST(test_a_nan_in_a_query_stays_in_its_head)
{
	struct feed feed = {.geometry = feed_usual(1)};
	static struct stream bad, good;
	struct feed_result a, b;
	feed_open(&feed, fixture.context, fixture.queue, "f16", NULL);
	stream_open(&feed, &bad);
	stream_open(&feed, &good);
	feed_one(&feed, &good, ROWS, CLKV_PROMPT, 1, &b);
	poisoned_row = random_mix(1, POISONED);
	feed.value = bad_query;
	feed_one(&feed, &bad, ROWS, CLKV_PROMPT, 1, &a);
	for (size_t i = 0; i < ROWS * a.out_row; i++)
		if (i / 64 != POISONED * 6 + 2)
			ck_assert_double_eq(a.out[i], b.out[i]);
	feed_result_close(&a);
	feed_result_close(&b);
	feed_close(&feed);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("strange");
	TCase *values = fixture_case(suite, "values", 60);
	tcase_add_loop_test(values, test_strange_values_are_replaced_and_counted, 0, 9);
	tcase_add_test(values, test_strange_values_reach_their_group_only);
	tcase_add_test(values, test_what_a_rotation_makes_too_large_stays_in_its_row);
	tcase_add_test(values, test_a_nan_in_a_query_stays_in_its_head);
	return fixture_run_shared(suite);
}
