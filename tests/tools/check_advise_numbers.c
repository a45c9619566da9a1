/* SPDX-License-Identifier: MIT */
/** \file check_advise_numbers.c \brief The adviser's choices, bisection, hull, warnings and budgets, of made-up numbers. */
#include <check.h>
#include <math.h>
#include <string.h>

#include "advise_budget.h"
#include "advise_choose.h"
#include "advise_warn.h"
#include "support/random.h"
#include "support/suite.h"

/* ---------------------------------------------------------------- choices ---- */

static const struct advise_offer offers[] = {
	{.bytes = 1000, .kl = NAN, .kl_high = NAN, .loss_high = NAN}, /* breaks the model */
	{.bytes = 2000, .kl = 0.02, .kl_high = 0.03, .loss_high = 4},
	{.bytes = 3000, .kl = 0.009, .kl_high = 0.011, .loss_high = 0.5},
	{.bytes = 4000, .kl = 0.010, .kl_high = 0.012, .loss_high = 3}, /* costs more for no less */
	{.bytes = 5000, .kl = 0.001, .kl_high = 0.002, .loss_high = 0.8},
	{.bytes = 9000, .kl = NAN, .kl_high = NAN, .loss_high = NAN}, /* not measured */
	{.bytes = 9500, .kl = 0, .kl_high = 0, .loss_high = 0},
};

enum { N_OFFERS = sizeof offers / sizeof offers[0] };

static size_t choose(enum advise_kind kind, double most)
{
	const struct advise_limit limit = {kind, most};
	return advise_choose(offers, N_OFFERS, &limit);
}

/* The mean of number 2 is below .01, its interval isn't: the ends of intervals decide, and belong to what they bound. */
START_TEST(test_the_whole_interval_is_within)
{
	ck_assert_uint_eq(choose(ADVISE_KL, 0.010), 4);
	ck_assert_uint_eq(choose(ADVISE_KL, 0.011), 2);
	ck_assert_uint_eq(choose(ADVISE_KL, 1), 1);
	ck_assert_uint_eq(choose(ADVISE_KL, 1e-6), 6);
	ck_assert_uint_eq(choose(ADVISE_LOSS, 0.8), 2);
	ck_assert_uint_eq(choose(ADVISE_LOSS, 0.4), 6);
}
END_TEST

/* Of bytes the least divergence, not the most bytes; what wasn't measured is never chosen, however cheap. */
START_TEST(test_bytes_buy_the_least_divergence)
{
	ck_assert_uint_eq(choose(ADVISE_BYTES, 4500), 2);
	ck_assert_uint_eq(choose(ADVISE_BYTES, 5000), 4);
	ck_assert_uint_eq(choose(ADVISE_BYTES, 9100), 4);
	ck_assert_uint_eq(choose(ADVISE_BYTES, 1e6), 6);
	ck_assert_uint_eq(choose(ADVISE_BYTES, 1500), N_OFFERS);
	ck_assert_uint_eq(choose(ADVISE_NO_LIMIT, 1e6), N_OFFERS);
}
END_TEST

START_TEST(test_equal_offers_go_to_the_first)
{
	const struct advise_limit kl = {ADVISE_KL, 1}, bytes = {ADVISE_BYTES, 100};
	const struct advise_offer same[] = {{100, 0.1, 0.2, 1}, {100, 0.1, 0.1, 1}};
	ck_assert_uint_eq(advise_choose(same, 2, &kl), 0);
	ck_assert_uint_eq(advise_choose(same, 2, &bytes), 0);
	ck_assert_uint_eq(advise_choose(same, 0, &kl), 0);
}
END_TEST

/* ---------------------------------------------------------------- bisection ---- */

/* Steps that are within, a bit each, and those that were looked at. */
struct ladder {
	unsigned within, looked;
	size_t looks, fail_at; /* fail_at: the look that fails, counted from 1 */
};

static bool look(void *opaque, size_t step, bool *within, struct tool_error *error)
{
	struct ladder *l = opaque;
	ck_assert_msg((l->looked >> step & 1) == 0, "step %zu is measured twice", step);
	l->looked |= 1U << step;
	*within = (l->within >> step & 1) != 0;
	return ++l->looks != l->fail_at || tool_fail(error, "look %zu fails", l->looks);
}

/* All ladders of up to 9 steps, whatever the order of what is within: what is found was within when looked at, or is the last;
 * none before it was; the last is never looked at; no more looks than halving takes. Where steps are in order it's the first. */
START_TEST(test_bisection_finds_what_was_within)
{
	for (size_t n = 1; n <= 9; n++) {
		size_t most = 0;
		while ((size_t)1 << most < n)
			most++;
		for (unsigned within = 0; within < 1U << (n - 1); within++) {
			struct ladder l = {.within = within};
			struct tool_error error = {""};
			size_t found = n;
			ck_assert(advise_bisect(n, look, &l, &found, &error));
			ck_assert_uint_lt(found, n);
			ck_assert_uint_le(l.looks, most);
			ck_assert(found == n - 1 || ((l.looked & l.within) >> found & 1) != 0);
			ck_assert_uint_eq(l.looked & l.within & ((1U << found) - 1), 0);
			ck_assert_uint_eq(l.looked >> (n - 1), 0);
			const unsigned from = within == 0 ? 1U << (n - 1) : within & (~within + 1);
			if ((within | (1U << (n - 1))) == (1U << n) - from)
				ck_assert_uint_eq(1U << found, from);
		}
	}
}
END_TEST

START_TEST(test_a_failed_look_ends_the_search)
{
	struct ladder l = {.fail_at = 2};
	struct tool_error error = {""};
	size_t found;
	ck_assert(!advise_bisect(9, look, &l, &found, &error));
	ck_assert_str_eq(error.text, "look 2 fails");
	ck_assert_uint_eq(l.looks, 2);
}
END_TEST

/* ---------------------------------------------------------------- hull ---- */

/* Number 3 costs more than 2 for more divergence. In logarithms 1 lies above the line from 0 to 2, and 2 below that from 0 to 4:
 * -2.52 at 3.48, where the line from -1.30 at 3 to -3 at 3.70 is at -2.46. */
START_TEST(test_the_hull_is_that_of_the_picture)
{
	const struct advise_offer curve[] = {{.bytes = 1000, .kl = 0.05},  {.bytes = 2000, .kl = 0.04},
	                                     {.bytes = 3000, .kl = 0.003}, {.bytes = 4000, .kl = 0.01},
	                                     {.bytes = 5000, .kl = 0.001}, {.bytes = 9000, .kl = NAN},
	                                     {.bytes = 9500, .kl = 0},     {.bytes = 9600, .kl = 0}};
	static const bool wanted[] = {true, false, true, false, true, false, true, false};
	bool on[8];
	ck_assert(advise_mark_hull(curve, 8, on));
	for (size_t i = 0; i < 8; i++)
		ck_assert_msg(on[i] == wanted[i], "offer %zu", i);
}
END_TEST

START_TEST(test_nothing_measured_has_no_hull_and_f16_alone_is_one)
{
	const struct advise_offer curve[] = {{.bytes = 1, .kl = NAN}, {.bytes = 2, .kl = 0}};
	bool on[2] = {true, false};
	ck_assert(advise_mark_hull(curve, 1, on));
	ck_assert(!on[0]);
	ck_assert(advise_mark_hull(curve, 2, on));
	ck_assert(!on[0] && on[1]);
	ck_assert(advise_mark_hull(curve, 0, on));
}
END_TEST

/* ---------------------------------------------------------------- warnings ---- */

enum { LAYERS = 5, HEADS = 3 };

static struct advise_layer layers[LAYERS];
static double errors[2 * LAYERS * HEADS];
static struct advise_survey survey;
static struct advise_warnings warnings;

/* Layers that are alike, heads that lose a tenth. */
static void make_survey(void)
{
	for (size_t l = 0; l < LAYERS; l++)
		layers[l] = (struct advise_layer){.k_most = 30, .v_most = 5, .k_reach = 20, .channel = 6};
	for (size_t i = 0; i < 2 * LAYERS * HEADS; i++)
		errors[i] = 0.1;
	survey = (struct advise_survey){LAYERS, HEADS, layers, 2, errors};
	memset(&warnings, 0, sizeof warnings);
}

static void expect_one(const char *part)
{
	ck_assert_uint_eq(warnings.n, 1);
	ck_assert_msg(strstr(warnings.text[0], part) != NULL, "'%s'", warnings.text[0]);
}

START_TEST(test_a_sound_model_has_no_warnings)
{
	make_survey();
	advise_warn_layers(&warnings, &survey);
	advise_warn_heads(&warnings, &survey, 1, "x");
	advise_warn_broken(&warnings, "x", 0.01, 0.95);
	ck_assert_uint_eq(warnings.n, 0);
}
END_TEST

START_TEST(test_the_range_of_half_is_watched)
{
	make_survey();
	layers[2].k_most = 65504;
	advise_warn_layers(&warnings, &survey);
	expect_one("layer 2: keys lie beyond the range of half");
	make_survey();
	layers[4].v_most = 65504 / 8 + 1;
	advise_warn_layers(&warnings, &survey);
	expect_one("layer 4: values reach 8189, more than an eighth");
	make_survey();
	layers[4].v_most = 65504 / 8;
	advise_warn_layers(&warnings, &survey);
	ck_assert_uint_eq(warnings.n, 0);
}
END_TEST

/* By the median: the mean of 20, 20, 20, 20 and 90 would be 34, which 90 exceeds less than three times. */
START_TEST(test_layers_and_channels_that_stand_out_are_named)
{
	make_survey();
	layers[3].k_reach = 90;
	advise_warn_layers(&warnings, &survey);
	expect_one("layer 3: keys reach 90.0, 4.5 times");
	make_survey();
	layers[0].channel = 20;
	layers[1].channel = 40;
	advise_warn_layers(&warnings, &survey);
	expect_one("2 of 5 layers have keys with a channel more than 16 times");
	ck_assert_ptr_nonnull(strstr(warnings.text[0], "layer 1: 40 times"));
}
END_TEST

/* Errors of the candidate that is asked about, not of another's; NaN breaks most of all. */
START_TEST(test_broken_heads_are_counted)
{
	make_survey();
	errors[LAYERS * HEADS + 4] = 0.7;
	errors[LAYERS * HEADS + 7] = 0.9;
	errors[LAYERS * HEADS + 8] = 0.5;
	advise_warn_heads(&warnings, &survey, 0, "sound");
	ck_assert_uint_eq(warnings.n, 0);
	advise_warn_heads(&warnings, &survey, 1, "bad");
	expect_one("'bad' breaks 2 of 15 heads");
	ck_assert_ptr_nonnull(strstr(warnings.text[0], "head 1 of layer 2 (0.90)"));
	make_survey();
	errors[14] = NAN;
	errors[3] = 1.5;
	advise_warn_heads(&warnings, &survey, 0, "bad");
	expect_one("head 2 of layer 4 (inf)");
}
END_TEST

START_TEST(test_broken_models_are_told)
{
	make_survey();
	advise_warn_broken(&warnings, "kl", 0.6, 0.9);
	expect_one("'kl' breaks the model");
	advise_warn_broken(&warnings, "top", 0.1, 0.4);
	advise_warn_broken(&warnings, "nan", NAN, NAN);
	ck_assert_uint_eq(warnings.n, 3);
}
END_TEST

START_TEST(test_what_finds_no_room_is_counted)
{
	make_survey();
	for (int i = 0; i < ADVISE_MOST_WARNINGS + 3; i++)
		advise_warn(&warnings, "number %d", i);
	ck_assert_uint_eq(warnings.n, ADVISE_MOST_WARNINGS);
	ck_assert_uint_eq(warnings.left_out, 3);
	ck_assert_str_eq(warnings.text[ADVISE_MOST_WARNINGS - 1], "number 23");
}
END_TEST

/* ---------------------------------------------------------------- budgets ---- */

enum { UNITS = 6 };

static double bits_of(const struct budget_codec *c, const size_t *levels)
{
	double sum = 0;
	for (size_t u = 0; u < UNITS; u++)
		sum += c->levels[levels[u]].bits;
	return sum;
}

static double cost_of(const double *law, const double *sensitivity, const size_t *levels)
{
	double sum = 0;
	for (size_t u = 0; u < UNITS; u++)
		sum += sensitivity[u] * law[levels[u]];
	return sum;
}

/* The least cost of all ways to give each unit a level within the bits: there are few. */
static double least_cost(const struct budget_codec *c, const double *law, const double *sensitivity,
                         double bits)
{
	size_t levels[UNITS] = {0};
	double least = INFINITY;
	for (;;) {
		size_t u = 0;
		if (bits_of(c, levels) <= bits)
			least = fmin(least, cost_of(law, sensitivity, levels));
		while (u < UNITS && ++levels[u] == c->n_levels)
			levels[u++] = 0;
		if (u == UNITS)
			return least;
	}
}

static const struct budget_codec *codec_of(const char *name)
{
	size_t n;
	const struct budget_codec *c = budget_codecs(&n);
	while (strcmp(c->name, name) != 0)
		c++;
	return c;
}

/* A quarter of the cost per bit, as errors of rounding have it, which is convex. Up to the first step that can't be paid for,
 * shares are then the best for their bits; less than the largest step, four bits, is left, and what follows only takes cost off.
 * Sensitivities are random, over three decades. */
START_TEST(test_shares_are_nearly_the_best)
{
	const struct budget_codec *c = codec_of("kivi");
	double law[BUDGET_MOST_LEVELS], sensitivity[UNITS];
	size_t levels[UNITS], same[UNITS];
	for (size_t l = 0; l < c->n_levels; l++)
		law[l] = pow(4, c->levels[0].bits - c->levels[l].bits);
	for (size_t u = 0; u < UNITS; u++)
		same[u] = c->rival;
	for (uint64_t draw = 0; draw < 50; draw++) {
		for (size_t u = 0; u < UNITS; u++)
			sensitivity[u] = pow(10, -3 * random_uniform(random_mix(draw, u)));
		const double bits = UNITS * c->levels[c->rival].bits;
		budget_share(c, law, sensitivity, UNITS, c->levels[c->rival].bits, levels);
		ck_assert_double_le(bits_of(c, levels), bits);
		const double cost = cost_of(law, sensitivity, levels);
		ck_assert_double_le(cost, cost_of(law, sensitivity, same) * (1 + 1e-12));
		ck_assert_double_le(cost, least_cost(c, law, sensitivity, bits - 4) * (1 + 1e-12));
	}
}
END_TEST

/* Alike units get what all had; what costs nothing gets nothing, and what is freed goes to the others. */
START_TEST(test_alike_units_share_alike)
{
	const struct budget_codec *c = codec_of("kivi");
	static const double law[] = {1, 0.2, 0.04, 0.001};
	const double alike[UNITS] = {2, 2, 2, 2, 2, 2}, one[UNITS] = {0, 0, 2, 0, 0, 0};
	size_t levels[UNITS];
	budget_share(c, law, alike, UNITS, 3, levels);
	for (size_t u = 0; u < UNITS; u++)
		ck_assert_uint_eq(levels[u], 1);
	budget_share(c, law, one, UNITS, 3, levels);
	for (size_t u = 0; u < UNITS; u++)
		ck_assert_uint_eq(levels[u], u == 2 ? 3 : 0);
	budget_share(c, law, alike, UNITS, 2, levels);
	for (size_t u = 0; u < UNITS; u++)
		ck_assert_uint_eq(levels[u], 0);
}
END_TEST

/* A level that helps little on the way to one that helps much doesn't stand in its way. */
START_TEST(test_a_dent_in_the_law_is_stepped_over)
{
	const struct budget_codec *c = codec_of("kivi");
	static const double law[] = {1, 0.99, 0.1, 0.1};
	const double sensitivity[UNITS] = {1, 1, 1, 1, 1, 1};
	size_t levels[UNITS];
	budget_share(c, law, sensitivity, UNITS, 3, levels);
	ck_assert_double_eq_tol(cost_of(law, sensitivity, levels), 3 * 0.1 + 3, 1e-9);
}
END_TEST

START_TEST(test_recipes_name_every_layer_once)
{
	const struct budget_codec *c = codec_of("kivi");
	const char *keys = "sinks=4, window=64";
	const size_t levels[] = {0, 1, 0, 1, 2, 1, 0, 1, 2, 1, 2, 1, 3, 3};
	char text[256], full[1024];
	ck_assert(budget_recipe(c, levels, 7, keys, text, sizeof text));
	ck_assert_str_eq(text,
	                 "layers=0-1,3: kivi:k=2,v=3 ; sinks=4, window=64 ; 2,4-5: kivi:k=4,v=3 ; "
	                 "sinks=4, window=64 ; 6: kivi:k=8,v=8 ; sinks=4, window=64");
	ck_assert_int_eq(clkv_recipe_print(text, full, sizeof full, NULL), CLKV_OK);
	ck_assert(!budget_recipe(c, levels, 7, keys, text, strlen(text)));
	ck_assert(budget_recipe(c, levels, 1, keys, text, sizeof text));
	ck_assert_str_eq(text, "layers=0: kivi:k=2,v=3 ; sinks=4, window=64");
}
END_TEST

static void expect_probe(size_t unit, size_t n_layers, const char *wanted)
{
	char text[256], full[1024];
	ck_assert(budget_probe(codec_of("kivi"), unit, n_layers, "window=64", text, sizeof text));
	ck_assert_str_eq(text, wanted);
	ck_assert_int_eq(clkv_recipe_print(text, full, sizeof full, NULL), CLKV_OK);
}

START_TEST(test_probes_leave_all_other_layers_in_half)
{
	expect_probe(0, 4, "layers=0: kivi:k=2,v=8 ; window=64 ; 1-: f16");
	expect_probe(3, 4, "layers=1: kivi:k=8,v=2 ; window=64 ; 0,2-: f16");
	expect_probe(4, 4, "layers=2: kivi:k=2,v=8 ; window=64 ; 0-1,3-: f16");
	expect_probe(6, 4, "layers=3: kivi:k=2,v=8 ; window=64 ; 0-2: f16");
	expect_probe(1, 1, "layers=0: kivi:k=8,v=2 ; window=64");
	expect_probe(2, 2, "layers=1: kivi:k=2,v=8 ; window=64 ; 0: f16");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("advise numbers");
	TCase *numbers = tcase_create("numbers");
	tcase_add_test(numbers, test_the_whole_interval_is_within);
	tcase_add_test(numbers, test_bytes_buy_the_least_divergence);
	tcase_add_test(numbers, test_equal_offers_go_to_the_first);
	tcase_add_test(numbers, test_bisection_finds_what_was_within);
	tcase_add_test(numbers, test_a_failed_look_ends_the_search);
	tcase_add_test(numbers, test_the_hull_is_that_of_the_picture);
	tcase_add_test(numbers, test_nothing_measured_has_no_hull_and_f16_alone_is_one);
	tcase_add_test(numbers, test_a_sound_model_has_no_warnings);
	tcase_add_test(numbers, test_the_range_of_half_is_watched);
	tcase_add_test(numbers, test_layers_and_channels_that_stand_out_are_named);
	tcase_add_test(numbers, test_broken_heads_are_counted);
	tcase_add_test(numbers, test_broken_models_are_told);
	tcase_add_test(numbers, test_what_finds_no_room_is_counted);
	tcase_add_test(numbers, test_shares_are_nearly_the_best);
	tcase_add_test(numbers, test_alike_units_share_alike);
	tcase_add_test(numbers, test_a_dent_in_the_law_is_stepped_over);
	tcase_add_test(numbers, test_recipes_name_every_layer_once);
	tcase_add_test(numbers, test_probes_leave_all_other_layers_in_half);
	suite_add_tcase(suite, numbers);
	return run_suite(suite);
}
