/* SPDX-License-Identifier: MIT */
/** \file check_pairs.c \brief Pairwise covers: every pair is there, in few rows, the same for a seed. */
#include "support/pairs.h"
#include "support/suite.h"

#include <check.h>
#include <string.h>

static const struct {
	size_t factors, levels[PAIRS_FACTORS];
} products[] = {{2, {3, 4}},          {3, {2, 2, 2}},          {3, {4, 1, 7}},
                {4, {3, 3, 3, 3}},    {6, {2, 3, 4, 5, 2, 3}}, {6, {2, 2, 2, 2, 2, 2}},
                {5, {10, 6, 4, 2, 1}}};
enum { PRODUCTS = sizeof products / sizeof products[0] };

static bool has_pair(const struct pairs *p, size_t f, size_t level, size_t g, size_t other)
{
	size_t i = 0;
	while (i < p->rows && !(p->row[i][f] == level && p->row[i][g] == other))
		i++;
	return i < p->rows;
}

static size_t pairs_at_least(const struct pairs *p)
{
	size_t most = 0;
	for (size_t f = 0; f < p->factors; f++)
		for (size_t g = f + 1; g < p->factors; g++)
			if (p->levels[f] * p->levels[g] > most)
				most = p->levels[f] * p->levels[g];
	return most;
}

/* No cover has fewer rows than the two largest factors have pairs; a greedy one of up to six has less than twice as
 * many, by the logarithm of their number: twice and two more leave room for the small ones. */
START_TEST(test_each_pair_is_there_in_few_rows)
{
	static struct pairs p;
	pairs_draw(&p, products[_i].factors, products[_i].levels, false, 7);
	for (size_t f = 0; f < p.factors; f++)
		for (size_t g = f + 1; g < p.factors; g++)
			for (size_t i = 0; i < p.levels[f]; i++)
				for (size_t j = 0; j < p.levels[g]; j++)
					ck_assert_msg(has_pair(&p, f, i, g, j), "no row has %zu of %zu, %zu of %zu", i,
					              f, j, g);
	for (size_t i = 0; i < p.rows; i++)
		for (size_t f = 0; f < p.factors; f++)
			ck_assert_uint_lt(p.row[i][f], p.levels[f]);
	ck_assert_uint_ge(p.rows, pairs_at_least(&p));
	ck_assert_uint_le(p.rows, 2 * pairs_at_least(&p) + 2);
}
END_TEST

START_TEST(test_the_whole_is_the_product)
{
	static struct pairs p;
	size_t n = 1;
	pairs_draw(&p, products[_i].factors, products[_i].levels, true, 7);
	for (size_t f = 0; f < p.factors; f++)
		n *= products[_i].levels[f];
	ck_assert_uint_eq(p.rows, n);
	for (size_t i = 0; i + 1 < n; i++) /* in order, so all are different */
		ck_assert_int_lt(memcmp(p.row[i], p.row[i + 1], p.factors), 0);
}
END_TEST

START_TEST(test_a_seed_draws_the_same_cover)
{
	static struct pairs a, b, other;
	static const size_t levels[] = {4, 4, 4, 4};
	pairs_draw(&a, 4, levels, false, 1);
	pairs_draw(&b, 4, levels, false, 1);
	pairs_draw(&other, 4, levels, false, 2);
	ck_assert_int_eq(memcmp(&a, &b, sizeof a), 0);
	ck_assert_int_ne(memcmp(&a, &other, sizeof a), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("pairs");
	TCase *cover = tcase_create("cover");
	tcase_add_loop_test(cover, test_each_pair_is_there_in_few_rows, 0, PRODUCTS);
	tcase_add_loop_test(cover, test_the_whole_is_the_product, 0, PRODUCTS);
	tcase_add_test(cover, test_a_seed_draws_the_same_cover);
	suite_add_tcase(suite, cover);
	return run_suite(suite);
}
