/* SPDX-License-Identifier: MIT */
/**
 * \file    check_prune_think.c
 * \brief   ThinK P2 to P4 and P9: which channels are kept for all tokens, and that others are no loss.
 */
#include "ref/ref_half.h"
#include "ref/ref_prune.h"
#include "support/each.h"
#include "support/expect.h"
#include "support/fixture.h"
#include "support/memory_file.h"
#include "support/pruned.h"
#include "support/random.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* P2: strength^2 times energy is the square of the norm of the matrix of products, up to one factor. */
START_TEST(test_think_p2_scores_are_norms_of_matrices)
{
	double *q = new_array(32 * 3 * 64, sizeof *q), *k = new_array(100 * 64, sizeof *k), factor = 0;
	double strength[64];
	for (size_t i = 0; i < 32 * 3 * 64; i++)
		q[i] = feed_normal(i / 192, 0, FEED_Q, i / 64 % 3, i % 64);
	for (size_t i = 0; i < 100 * 64; i++)
		k[i] = feed_normal(i / 64, 0, FEED_K, 0, i % 64);
	ref_strength(REF_QAGG_RMS, 32, 3, 64, q, strength);
	for (size_t c = 0; c < 64; c++) {
		double energy = 0.0, norm = ref_think_score(32, 3, 100, 64, q, k, c);
		for (size_t t = 0; t < 100; t++)
			energy += k[t * 64 + c] * k[t * 64 + c];
		double ratio = strength[c] * sqrt(energy) / norm;
		factor = c == 0 ? ratio : factor;
		ck_assert_msg(fabs(ratio - factor) <= 1e-12 * factor, "channel %zu: %g, not %g", c, ratio,
		              factor);
	}
	free(q);
	free(k);
}
END_TEST

/* What a prompt of 200 tokens keeps, per layer and head, and the rows of a step behind it. */
struct thought {
	bool kept[2][2][64];
	struct feed_result out;
};

static struct thought think(const char *recipe, feed_value value, int q_heads)
{
	struct feed feed = {.geometry = feed_geometry(2, q_heads, 2, 64, 64), .lse = true};
	static struct stream stream;
	struct thought r = {0};
	double *k = new_array(200 * 128, sizeof *k);
	feed.value = value;
	feed_open(&feed, fixture.context, fixture.queue, recipe, NULL);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, 200, CLKV_PROMPT_END, 1, NULL);
	for (int layer = 0; layer < 2; layer++) {
		feed_read(&feed, &stream, layer, 0, 200, k, NULL);
		for (size_t i = 0; i < 200 * 128; i++)
			r.kept[layer][i / 64 % 2][i % 64] |= k[i] != 0.0;
	}
	feed_one(&feed, &stream, 5, CLKV_DECODE, 2, &r.out);
	free(k);
	feed_close(&feed);
	return r;
}

/* 32 channels of each head's K are zeros. */
static double holes(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	return side == FEED_K && (d * 5 + head) % 64 < 32 ? 0.0
	                                                  : feed_normal(row, layer, side, head, d);
}

static double swapped(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	return feed_normal(row, layer, side, head, side == FEED_V ? d : (d * 5 + 3) % 64);
}

static double weak(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	double x = feed_normal(row, layer, side, head, d);
	return side == FEED_K && d == 11 ? 0.4 * x : x;
}

static double asked(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	double x = weak(row, layer, side, head, d);
	return side == FEED_Q && d == 11 ? 10.0 * x : x;
}

/* P3: what is lost is zeros: a scale of 1 / sqrt(T), or a wrong channel, would show. Other sums of the same terms. */
START_TEST(test_think_p3_zeros_are_no_loss)
{
	struct feed shape = {.geometry = feed_usual(2), .lse = true};
	struct thought pruned = think("think:keep=0.5 ; window=0", holes, 6);
	struct thought dense = think("f16", holes, 6);
	for (size_t i = 0; i < 256; i++)
		ck_assert(pruned.kept[i / 128][i / 64 % 2][i % 64] ==
		          ((i % 64 * 5 + i / 64 % 2) % 64 >= 32));
	ck_assert_double_le(expect_difference(&shape, &pruned.out, &dense.out), PRUNED_ATTEND);
	feed_result_close(&pruned.out);
	feed_result_close(&dense.out);
}
END_TEST

/* P4: channels in another order are kept in that order, with the same result; what queries use more is kept. */
START_TEST(test_think_p4_orders_and_scales)
{
	struct feed shape = {.geometry = feed_usual(2), .lse = true};
	struct thought plain = think("think:keep=0.5 ; window=0", feed_normal, 6);
	struct thought other = think("think:keep=0.5 ; window=0", swapped, 6);
	for (size_t i = 0; i < 256; i++)
		ck_assert(other.kept[i / 128][i / 64 % 2][i % 64] ==
		          plain.kept[i / 128][i / 64 % 2][(i % 64 * 5 + 3) % 64]);
	ck_assert_double_le(expect_difference(&shape, &plain.out, &other.out), PRUNED_ATTEND);
	feed_result_close(&plain.out);
	feed_result_close(&other.out);
	plain = think("think:keep=0.5 ; window=0", weak, 6);
	other = think("think:keep=0.5 ; window=0", asked, 6);
	for (size_t i = 0; i < 4; i++) {
		ck_assert(!plain.kept[i / 2][i % 2][11]);
		ck_assert(other.kept[i / 2][i % 2][11]);
	}
	feed_result_close(&plain.out);
	feed_result_close(&other.out);
}
END_TEST

/* Heads of a group that ask the same. */
static double alike(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	return feed_normal(row, layer, side, side == FEED_Q ? head / 3 : head, d);
}

/* P9: three heads that are one choose as that one does. */
START_TEST(test_think_p9_equal_heads_are_one)
{
	static const char *const recipes[] = {
		"think:keep=0.5 ; window=0", "think:keep=0.5,qagg=mean ; window=0",
		"think:keep=0.5,qagg=abs ; window=0", "think:keep=0.5,qagg=norm ; window=0"};
	struct thought group = think(recipes[_i], alike, 6);
	struct thought head = think(recipes[_i], feed_normal, 2);
	ck_assert_int_eq(memcmp(group.kept, head.kept, sizeof head.kept), 0);
	feed_result_close(&group.out);
	feed_result_close(&head.out);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("prune_think");
	TCase *thinks = fixture_case(suite, "think", 120);
	tcase_add_test(thinks, test_think_p2_scores_are_norms_of_matrices);
	tcase_add_test(thinks, test_think_p3_zeros_are_no_loss);
	tcase_add_test(thinks, test_think_p4_orders_and_scales);
	fixture_some(thinks, test_think_p9_equal_heads_are_one, 4, 0, 3);
	return fixture_run_shared(suite);
}
