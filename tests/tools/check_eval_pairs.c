/* SPDX-License-Identifier: MIT */
/**
 * \file    check_eval_pairs.c
 * \brief   Recipe against recipe: differences token by token, their intervals, the order by divergence.
 */
#include <check.h>
#include <math.h>
#include <stdlib.h>

#include "eval_pairs.h"
#include "eval_ranks.h"
#include "support/suite.h"

enum { N_TOKENS = 256, N_TEXTS = 2, N_WINDOWS = 2, N_SLOTS = 4 };

/* Recipes: a, f16, b. */
static struct eval_options options = {.recipes = {"a", "f16", "b"},
                                      .n_recipes = N_SLOTS - 1,
                                      .texts = {"t", "u"},
                                      .n_texts = N_TEXTS,
                                      .windows = N_WINDOWS,
                                      .tokens = N_TOKENS};
static struct eval eval = {.options = &options};
static struct eval_scores scores[N_TEXTS * N_WINDOWS * N_SLOTS];
static struct eval_board board = {
	.eval = &eval,
	.work = {.n_windows = N_TEXTS * N_WINDOWS, .n_each = N_TOKENS},
	.slots = N_SLOTS,
	.scores = scores,
};
static struct eval_gathered gathered;
static struct eval_pair against[N_SLOTS - 1][N_SLOTS - 1];
static struct eval_result results[N_SLOTS - 1];

/* Divergences that vary far more than what b has more than a: 1/2 in the first text, 3/2 in the second; its loss is 1/4 less. */
static void setup(void)
{
	struct tool_error error = {""};
	srand(5);
	for (size_t w = 0; w < N_TEXTS * N_WINDOWS; w++) {
		struct eval_scores *s = &scores[w * N_SLOTS];
		for (size_t k = 0; k < N_SLOTS; k++)
			ck_assert(eval_scores_open(&s[k], N_TOKENS));
		for (size_t i = 0; i < N_TOKENS; i++) {
			s[1].divergence[i] = rand() % 64;
			s[1].loss[i] = rand() % 64;
			s[3].divergence[i] = s[1].divergence[i] + (w < N_WINDOWS ? 0.5 : 1.5);
			s[3].loss[i] = s[1].loss[i] - 0.25;
		}
	}
	ck_assert(eval_gathered_open(&gathered, &board, &error));
}

static void teardown(void)
{
	eval_gathered_close(&gathered);
	for (size_t i = 0; i < N_TEXTS * N_WINDOWS * N_SLOTS; i++)
		eval_scores_close(&scores[i]);
}

static void fill(size_t from, size_t to)
{
	for (size_t i = 0; i < N_SLOTS - 1; i++) {
		results[i] = (struct eval_result){.against = against[i]};
		eval_pairs_fill(&results[i], &board, &gathered, from, to, i);
	}
}

static void expect_range(struct stats_interval i, double low, double high)
{
	ck_assert_double_eq_tol(i.low, low, 1e-12);
	ck_assert_double_eq_tol(i.high, high, 1e-12);
}

/* All halves and quarters: sums are exact. Were the two drawn by themselves, each interval would be several wide. */
START_TEST(test_what_both_have_falls_out)
{
	fill(0, 1);
	struct eval_pair p = eval_pair_of(results, 2, 0);
	ck_assert_double_eq_tol(p.kl, 0.5, 1e-12);
	ck_assert_double_eq_tol(p.loss, -0.25, 1e-12);
	expect_range(p.kl_range, 0.5, 0.5);
	expect_range(p.loss_range, -0.25, -0.25);
}
END_TEST

/* As many blocks are drawn of each text as it has. */
START_TEST(test_texts_are_strata)
{
	fill(0, N_TEXTS);
	expect_range(eval_pair_of(results, 2, 0).kl_range, 1.0, 1.0);
	fill(1, N_TEXTS);
	expect_range(eval_pair_of(results, 2, 0).kl_range, 1.5, 1.5);
}
END_TEST

START_TEST(test_the_other_way_round_is_the_negative)
{
	fill(0, N_TEXTS);
	struct eval_pair p = eval_pair_of(results, 1, 0), q = eval_pair_of(results, 0, 1);
	ck_assert_double_lt(p.kl_range.low, p.kl);
	ck_assert_double_lt(p.kl, p.kl_range.high);
	ck_assert_double_eq(p.kl, -q.kl);
	expect_range(q.kl_range, -p.kl_range.high, -p.kl_range.low);
	expect_range(q.loss_range, -p.loss_range.high, -p.loss_range.low);
	ck_assert_double_eq(eval_pair_of(results, 2, 2).kl, 0.0);
}
END_TEST

/* f16 diverges from itself by nothing: what a has more is its own divergence and its interval. */
START_TEST(test_against_f16_is_the_divergence_itself)
{
	fill(0, N_TEXTS);
	struct eval_pair p = eval_pair_of(results, 0, 1);
	eval_gather(&gathered, &board, 0, N_TEXTS, 1, 0, eval_divergence_of);
	struct stats_interval own = eval_gathered_interval(&gathered);
	ck_assert_double_eq_tol(p.kl, eval_gathered_mean(&gathered), 1e-12);
	expect_range(p.kl_range, own.low, own.high);
}
END_TEST

START_TEST(test_recipes_are_ranked_and_broken_ones_come_last)
{
	const struct eval_result r[] = {{.kl_mean = NAN},      {.kl_mean = 2}, {.kl_mean = 1},
	                                {.kl_mean = INFINITY}, {.kl_mean = 2}, {.kl_mean = NAN}};
	static const size_t expected[] = {2, 1, 4, 3, 0, 5};
	size_t order[6];
	eval_rank(r, 6, order);
	ck_assert_mem_eq(order, expected, sizeof order);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("eval_pairs");
	TCase *pairs = tcase_create("pairs");
	tcase_add_checked_fixture(pairs, setup, teardown);
	tcase_add_test(pairs, test_what_both_have_falls_out);
	tcase_add_test(pairs, test_texts_are_strata);
	tcase_add_test(pairs, test_the_other_way_round_is_the_negative);
	tcase_add_test(pairs, test_against_f16_is_the_divergence_itself);
	tcase_add_test(pairs, test_recipes_are_ranked_and_broken_ones_come_last);
	suite_add_tcase(suite, pairs);
	return run_suite(suite);
}
