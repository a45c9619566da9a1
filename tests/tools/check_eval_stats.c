/* SPDX-License-Identifier: MIT */
/**
 * \file    check_eval_stats.c
 * \brief   Quantiles and blocks against numbers worked by hand, intervals against what is known of drawn data.
 */
#include <check.h>
#include <math.h>
#include <stdlib.h>

#include "eval_stats.h"
#include "support/suite.h"

START_TEST(test_quantiles_lie_on_the_line_between_neighbours)
{
	double values[] = {4, 1, 3, 2};
	stats_sort(values, 4);
	ck_assert_double_eq(stats_quantile(values, 4, 0.0), 1.0);
	ck_assert_double_eq(stats_quantile(values, 4, 0.25), 1.75); /* 0.75 of the way from 1 to 2 */
	ck_assert_double_eq(stats_quantile(values, 4, 0.5), 2.5);
	ck_assert_double_eq(stats_quantile(values, 4, 1.0), 4.0);
	ck_assert_double_eq(stats_quantile(values, 1, 0.99), 1.0);
}
END_TEST

START_TEST(test_the_99th_of_101_values_is_one_of_them)
{
	double values[101];
	for (size_t i = 0; i < 101; i++)
		values[i] = (double)((i * 37) % 101); /* 0 .. 100, once each */
	stats_sort(values, 101);
	/* 0.99 * 100 is 99 but for the rounding of 0.99 */
	ck_assert_double_eq_tol(stats_quantile(values, 101, 0.99), 99.0, 1e-12);
}
END_TEST

START_TEST(test_what_is_not_finite_sorts_to_the_end)
{
	double values[] = {NAN, 2, INFINITY, 1};
	stats_sort(values, 4);
	ck_assert_double_eq(values[0], 1);
	ck_assert_double_eq(values[1], 2);
	ck_assert(isinf(values[2]) && isnan(values[3]));
	ck_assert_double_eq(stats_quantile(values, 3, 0.5), 2);
	ck_assert(isinf(stats_quantile(values, 3, 0.75)));
}
END_TEST

START_TEST(test_blocks_hold_each_value_once)
{
	const double values[] = {1, 2, 4, 8, 16, 32, 64};
	double sums[4], counts[4];
	/* 7 values in blocks of 3 at most: 2, 2 and 3 */
	ck_assert_uint_eq(stats_blocks(values, 7, 3, sums, counts), 3);
	ck_assert_double_eq(sums[0], 3);
	ck_assert_double_eq(sums[1], 12);
	ck_assert_double_eq(sums[2], 112);
	ck_assert_double_eq(counts[0] + counts[1] * 10 + counts[2] * 100, 322);
	ck_assert_uint_eq(stats_blocks(values, 2, 3, sums, counts), 1);
	ck_assert_double_eq(sums[0], 3);
}
END_TEST

/* Two blocks with means 0 and 1: a draw's mean is 0, 1/2 or 1 with chances 1/4, 1/2, 1/4, so the middle
 * 95 % reach from 0 to 1. As two strata of one block each nothing can be drawn but what is there. */
START_TEST(test_strata_are_drawn_from_apart)
{
	const double sums[] = {0, 4}, counts[] = {4, 4};
	const size_t together[] = {2}, apart[] = {1, 1};
	struct stats_interval one =
		stats_bootstrap(&(struct stats_strata){sums, counts, together, 1}, 1);
	struct stats_interval two = stats_bootstrap(&(struct stats_strata){sums, counts, apart, 2}, 1);
	ck_assert_double_eq(one.low, 0);
	ck_assert_double_eq(one.high, 1);
	ck_assert_double_eq(two.low, 0.5);
	ck_assert_double_eq(two.high, 0.5);
}
END_TEST

/* Blocks of different sizes: the mean is of values, not of blocks. */
START_TEST(test_large_blocks_weigh_more)
{
	const double sums[] = {0, 3}, counts[] = {1, 3};
	const size_t apart[] = {1, 1};
	struct stats_interval i = stats_bootstrap(&(struct stats_strata){sums, counts, apart, 2}, 1);
	ck_assert_double_eq(i.low, 0.75);
	ck_assert_double_eq(i.high, 0.75);
}
END_TEST

/* What one recipe has more of in every block it has more of in every draw: intervals of two recipes that differ by a
 * constant differ by that constant, to rounding. */
START_TEST(test_the_same_blocks_are_drawn_of_all)
{
	double a[40], b[40], counts[40];
	const size_t n[] = {25, 15};
	for (size_t i = 0; i < 40; i++) {
		counts[i] = 32;
		a[i] = (double)((i * 17) % 40);
		b[i] = a[i] + 32 * 5;
	}
	struct stats_interval x = stats_bootstrap(&(struct stats_strata){a, counts, n, 2}, 7);
	struct stats_interval y = stats_bootstrap(&(struct stats_strata){b, counts, n, 2}, 7);
	struct stats_interval other = stats_bootstrap(&(struct stats_strata){a, counts, n, 2}, 8);
	ck_assert_double_eq_tol(y.low - x.low, 5, 1e-12);
	ck_assert_double_eq_tol(y.high - x.high, 5, 1e-12);
	ck_assert(other.low != x.low || other.high != x.high);
}
END_TEST

START_TEST(test_a_broken_recipe_has_no_interval)
{
	const double sums[] = {0, NAN}, counts[] = {1, 1};
	const size_t n[] = {2};
	struct stats_interval i = stats_bootstrap(&(struct stats_strata){sums, counts, n, 1}, 1);
	ck_assert(isnan(i.low) && isnan(i.high));
}
END_TEST

static double normal(void)
{
	double sum = -6.0; /* of 12 uniform numbers: mean 0, variance 1, near enough to normal */
	for (int i = 0; i < 12; i++)
		sum += (double)rand() / (double)RAND_MAX;
	return sum;
}

/* The share of rounds whose interval holds the true mean, 0, of series x_i = rho x_(i-1) + noise. */
static double coverage(double rho, size_t block)
{
	enum { ROUNDS = 300, N = 2048 };
	static double x[N], sums[N], counts[N];
	int held = 0;
	for (int round = 0; round < ROUNDS; round++) {
		double last = 0.0;
		for (size_t i = 0; i < N; i++)
			x[i] = last = rho * last + normal();
		size_t n = stats_blocks(x, N, block, sums, counts);
		struct stats_interval in = stats_bootstrap(&(struct stats_strata){sums, counts, &n, 1}, 1);
		held += in.low <= 0.0 && 0.0 <= in.high;
	}
	return (double)held / ROUNDS;
}

/* 300 rounds of 95 % have a standard deviation of .013. 64 blocks make an interval 2 % too narrow, cutting the correlation
 * at a block's end 2 % more at rho 1/2: about 94 % are left, and three deviations below that is .90.
 * Single tokens see a third of the variance, (1 - rho) / (1 + rho): 1.96 becomes 1.13 deviations, which hold 74 %;
 * three deviations (.025 each) above that is .82. */
START_TEST(test_intervals_hold_the_mean_as_often_as_they_say)
{
	srand(11);
	double blocks = coverage(0.5, STATS_BLOCK), tokens = coverage(0.5, 1);
	ck_assert_msg(blocks >= 0.90 && blocks <= 0.985, "by blocks %.3f", blocks);
	ck_assert_msg(tokens <= 0.82, "by tokens %.3f", tokens);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("eval_stats");
	TCase *stats = tcase_create("stats");
	tcase_set_timeout(stats, 120);
	tcase_add_test(stats, test_quantiles_lie_on_the_line_between_neighbours);
	tcase_add_test(stats, test_the_99th_of_101_values_is_one_of_them);
	tcase_add_test(stats, test_what_is_not_finite_sorts_to_the_end);
	tcase_add_test(stats, test_blocks_hold_each_value_once);
	tcase_add_test(stats, test_strata_are_drawn_from_apart);
	tcase_add_test(stats, test_large_blocks_weigh_more);
	tcase_add_test(stats, test_the_same_blocks_are_drawn_of_all);
	tcase_add_test(stats, test_a_broken_recipe_has_no_interval);
	tcase_add_test(stats, test_intervals_hold_the_mean_as_often_as_they_say);
	suite_add_tcase(suite, stats);
	return run_suite(suite);
}
