/* SPDX-License-Identifier: MIT */
/** \file check_advise.c \brief The adviser: choices, bisection, hull and warnings of made-up numbers; a small model from end to end. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "advise.h"
#include "advise_budget.h"
#include "support/random.h"
#include "support/tiny_session.h"
#include "text_file.h"

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

/* ---------------------------------------------------------------- of a model ---- */

enum { TRAINED = CALIBRATION_LEAST_TOKENS, CONTEXT = 200, SCORED = 32, WINDOWS = 2 };

struct told {
	struct advise_options options;
	struct eval_options judged;
	struct advise *advise;
	int32_t ids[TRAINED + CONTEXT + WINDOWS * SCORED + 1];
};

static struct told told;

static bool full(void)
{
	const char *text = getenv("CLKV_TEST_FULL");
	return text && *text && strcmp(text, "0") != 0;
}

/* Of kivi's bits; of kvcomp's too, whose every level compiles kernels of its own, where everything is asked for. */
static bool share(const struct text_input *in, struct tool_error *error)
{
	size_t n;
	const struct budget_codec *codecs = budget_codecs(&n);
	return advise_share(told.advise, in, codecs, full() ? n : 1, error);
}

/* False when there is no device. */
static bool open_told(bool quick, struct advise_limit limit)
{
	struct tool_error error = {""};
	const bool budget = told.options.budget;
	told.options = (struct advise_options){.limit = limit,
	                                       .budget = budget,
	                                       .context = CONTEXT,
	                                       .tokens = SCORED,
	                                       .windows = WINDOWS,
	                                       .length = 1000,
	                                       .sinks = 4,
	                                       .window = 64,
	                                       .quick = quick,
	                                       .model = "tiny",
	                                       .text = "a \"text\"",
	                                       .out = "tiny.cal"};
	told.judged = (struct eval_options){.texts = {"t"},
	                                    .n_texts = 1,
	                                    .contexts = {CONTEXT},
	                                    .n_contexts = 1,
	                                    .tokens = SCORED,
	                                    .windows = WINDOWS,
	                                    .stride = SCORED,
	                                    .rows = ADVISE_ROWS};
	told.advise = calloc(1, sizeof *told.advise);
	ck_assert_ptr_nonnull(told.advise);
	struct advise *a = told.advise;
	a->options = &told.options;
	a->eval.options = &told.judged;
	if (!tiny_session_open(&a->eval.session, 64)) {
		free(a);
		return false;
	}
	const size_t n = sizeof told.ids / sizeof told.ids[0];
	for (size_t i = 0; i < n; i++)
		told.ids[i] = (int32_t)(random_mix(7, i) % (uint64_t)a->eval.session.model->vocabulary);
	a->eval.texts[0].ids = told.ids + TRAINED;
	a->eval.texts[0].n_ids = n - TRAINED;
	a->eval.texts[0].all = told.ids;
	const struct text_input in = {told.ids, TRAINED};
	ck_assert_msg(advise_list(a, &error) && advise_calibrate(a, &in, 1, &error) &&
	                  (!budget || share(&in, &error)) && advise_look(a, &error),
	              "%s", error.text);
	return true;
}

static void close_told(void)
{
	struct advise *a = told.advise;
	for (size_t i = 0; i < a->n; i++)
		given_files_close(&a->points[i].given);
	advise_survey_close(&a->survey);
	session_close(&a->eval.session);
	free(a);
}

static void search(void)
{
	struct tool_error error = {""};
	ck_assert_msg(advise_search(told.advise, &error), "%s", error.text);
}

static size_t count_measured(const struct advise *a)
{
	size_t n = 0;
	for (size_t i = 0; i < a->n; i++)
		n += a->points[i].measured;
	return n;
}

static const struct advise_point *find(const struct advise *a, const char *label)
{
	for (size_t i = 0; i < a->n; i++)
		if (strcmp(a->points[i].label, label) == 0)
			return &a->points[i];
	ck_abort_msg("no candidate '%s'", label);
	return NULL;
}

static void expect_order(const struct advise *a)
{
	for (size_t i = 1; i < a->n; i++)
		ck_assert_double_le(a->points[i - 1].bytes, a->points[i].bytes);
	for (size_t i = 0; i < a->n; i++) {
		const struct advise_point *p = &a->points[i];
		ck_assert_double_lt(p->bytes_at[0], p->bytes_at[1]);
		ck_assert((p->given.calibration.data != NULL) == (p->delta > 0));
	}
}

/* The errors of heads follow their candidate when candidates are sorted: f16 has none, and what has fewer bits of the same codec
 * has more. */
static void expect_survey(const struct advise *a)
{
	const size_t each = a->survey.layers * a->survey.heads;
	const double *f16 = a->survey.error + find(a, "f16")->place * each;
	const double *two = a->survey.error + find(a, "kivi:bits=2")->place * each;
	const double *four = a->survey.error + find(a, "kivi:bits=4")->place * each;
	for (size_t i = 0; i < each; i++)
		ck_assert_double_eq(f16[i], 0);
	ck_assert_double_gt(eval_scores_sum(two, each), 2 * eval_scores_sum(four, each));
	ck_assert_double_gt(eval_scores_sum(four, each), 0);
	for (size_t l = 0; l < a->survey.layers; l++) {
		ck_assert_double_gt(a->survey.layer[l].k_reach, 0);
		ck_assert_double_ge(a->survey.layer[l].k_most, a->survey.layer[l].k_reach);
		ck_assert_double_ge(a->survey.layer[l].channel, 1);
	}
}

/* Everything is measured, and the choice is what advise_choose says of it. */
START_TEST(test_a_full_run_measures_all)
{
	if (!open_told(false, (struct advise_limit){ADVISE_KL, 10}))
		return;
	const struct advise *a = told.advise;
	expect_order(a);
	expect_survey(a);
	search();
	ck_assert_uint_eq(count_measured(a), a->n);
	ck_assert_uint_eq(a->chosen, 0); /* no recipe loses ten nats */
	ck_assert_double_gt(find(a, "kivi:bits=2")->result.kl_mean,
	                    find(a, "kivi:bits=4")->result.kl_mean);
	const struct advise_point *f16 = find(a, "f16");
	ck_assert_double_eq(f16->result.kl_mean, 0);
	ck_assert_double_eq_tol(
		f16->result.bits_per_value,
		16 * f16->result.bytes_per_token / (double)session_f16_bytes(&a->eval.session), 1e-9);
	close_told();
}
END_TEST

static void forget(struct advise *a)
{
	for (size_t i = 0; i < a->n; i++)
		a->points[i].measured = false;
	a->warnings.n = 0;
}

/* Of seven steps no more than three are measured, and f16 counts as measured; what is advised was, and is within. */
static void expect_few(struct advise *a)
{
	ck_assert_uint_eq(a->n, 7);
	search();
	ck_assert_uint_le(count_measured(a), 4);
	ck_assert_uint_lt(a->chosen, a->n);
	ck_assert(a->points[a->chosen].measured);
	ck_assert_double_le(a->points[a->chosen].result.kl_high, told.options.limit.most);
}

static void expect_affordable(struct advise *a)
{
	forget(a);
	told.options.limit = (struct advise_limit){ADVISE_BYTES, find(a, "kivi:bits=4")->bytes};
	search();
	ck_assert(find(a, "kivi:bits=4")->measured);
	ck_assert(!find(a, "q:k=8,v=8")->measured);
	ck_assert_double_le(a->points[a->chosen].bytes, told.options.limit.most);
	told.options.limit.most = a->points[0].bytes / 2;
	search();
	ck_assert_uint_eq(a->chosen, a->n);
	ck_assert(!advise_needs_calibration(a));
}

static char *read_json(const struct advise *a)
{
	char path[] = "/tmp/clkv-check-advise-XXXXXX", *text = NULL;
	struct tool_error error = {""};
	size_t size;
	int fd = mkstemp(path);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(close(fd), 0);
	ck_assert_msg(advise_write_json(a, path, &error), "%s", error.text);
	ck_assert(text_file_read(path, &text, &size, &error));
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_uint_gt(size, 2);
	ck_assert(text[0] == '{' && text[size - 2] == '}' && text[size - 1] == '\n');
	text[size - 1] = '\0';
	return text;
}

/* One object, strings escaped, a null where nothing is advised. */
static void expect_json(struct advise *a)
{
	struct tool_error error = {""};
	a->chosen = a->n;
	char *text = read_json(a);
	ck_assert_ptr_nonnull(strstr(text, "\"text\": \"a \\\"text\\\"\""));
	ck_assert_ptr_nonnull(strstr(text, "\"advice\": null"));
	free(text);
	a->chosen = 0;
	text = read_json(a);
	ck_assert_ptr_nonnull(strstr(text, "\"advice\": {\"candidate\": 0, \"recipe\": \""));
	ck_assert_ptr_nonnull(strstr(text, "\"limit\": {\"bytes\": "));
	free(text);
	ck_assert(!advise_write_json(a, "/nowhere/advice.json", &error));
	ck_assert_ptr_nonnull(strstr(error.text, "/nowhere/advice.json"));
}

/* At the length of the prompt that was looked at, the estimate is what the cache has in use: of codecs of a fixed rate, of those
 * whose blocks have their own size, with code tables. Tables beside blocks are counted by lengths alone, so both are exact. */
static void expect_bytes(const char *recipe, const struct given_files *given)
{
	struct session *session = &told.advise->eval.session;
	struct tool_error error = {""};
	struct session with = *session;
	struct engine_stream stream;
	uint64_t used;
	double bytes, longer;
	with.given = *given;
	ck_assert_msg(session_stream_open(&with, recipe, CONTEXT, &stream, &error), "%s", error.text);
	ck_assert(session_prompt(session, &stream, told.ids, CONTEXT, NULL, &error));
	ck_assert(session_stream_bytes(&stream, &used, &error));
	ck_assert_msg(advise_bytes_at(session, recipe, given, &stream, CONTEXT, &bytes, &error), "%s",
	              error.text);
	ck_assert_msg(fabs(bytes - (double)used) < 0.5, "'%s': %.1f, not %llu", recipe, bytes,
	              (unsigned long long)used);
	/* each token more takes no more than those of the prompt did on average, some of which stay in half; 1.001: a last entry */
	ck_assert(advise_bytes_at(session, recipe, given, &stream, 100 * CONTEXT, &longer, &error));
	ck_assert_double_lt(longer, 100 * bytes * 1.001);
	ck_assert_double_gt(longer - bytes, bytes);
	session_stream_close(&stream);
}

static void expect_bytes_of_all(const struct advise *a)
{
	static const struct given_files none = {.codebook = {0}};
	expect_bytes("f16", &none);
	expect_bytes("kivi:bits=4 ; sinks=4, window=64", &none);
	expect_bytes("kvcomp ; sinks=4, window=64", &none);
	expect_bytes("kvcomp:entropy=huffman ; sinks=4, window=64", &none);
	expect_bytes("qtc ; sinks=4, window=64", &find(a, "qtc, delta 0.0014")->given);
}

/* In one test, as calibrating takes most of the time. */
START_TEST(test_a_quick_run_measures_few)
{
	if (!open_told(true, (struct advise_limit){ADVISE_KL, 0.01}))
		return;
	expect_few(told.advise);
	expect_affordable(told.advise);
	expect_json(told.advise);
	expect_bytes_of_all(told.advise);
	close_told();
}
END_TEST

/* A window as long as the probes' prompt would leave nothing to tell layers apart by. */
static void expect_no_probes(void)
{
	struct tool_error error = {""};
	const struct text_input in = {told.ids, TRAINED};
	told.options.window = 300;
	ck_assert(!share(&in, &error));
	ck_assert_msg(strstr(error.text, "a longer text to calibrate on") != NULL, "%s", error.text);
	told.options.window = 500;
	error.text[0] = '\0';
	ck_assert(!share(&in, &error));
	ck_assert_msg(strstr(error.text, "a shorter --window") != NULL, "%s", error.text);
}

/* Each codec's shares stand beside its rival, of which kivi's was there; both are measured, over the same tokens. */
START_TEST(test_budgets_stand_beside_their_rivals)
{
	told.options.budget = true;
	if (!open_told(false, (struct advise_limit){ADVISE_KL, 10}))
		return;
	const struct advise *a = told.advise;
	const struct advise_point *kivi = find(a, "kivi, 3.0 bits by layer");
	const struct advise_point *kvcomp = full() ? find(a, "kvcomp, 2.8 bits by layer") : kivi;
	ck_assert_ptr_eq(advise_rival(a, kivi), find(a, "kivi:bits=3"));
	if (full())
		ck_assert_ptr_eq(advise_rival(a, kvcomp), find(a, "kvcomp, 2.8 bits for all"));
	/* a fixed rate: the same but for tables and blocks of each recipe's own, which 1000 tokens make a few hundredths of */
	ck_assert_double_eq_tol(kivi->bytes / advise_rival(a, kivi)->bytes, 1, 0.05);
	search();
	ck_assert(kivi->measured && kvcomp->measured);
	ck_assert_double_eq_tol(kivi->against.kl,
	                        kivi->result.kl_mean - advise_rival(a, kivi)->result.kl_mean, 1e-9);
	ck_assert_double_le(kivi->against.kl_range.low, kivi->against.kl);
	ck_assert_double_ge(kivi->against.kl_range.high, kivi->against.kl);
	char *text = read_json(a);
	ck_assert_ptr_nonnull(strstr(text, "\"against\": {\"recipe\": \"kivi:bits=3 ; "));
	free(text);
	expect_no_probes();
	close_told();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("advise");
	TCase *numbers = tcase_create("numbers"), *model = tcase_create("model");
	TCase *budget = tcase_create("budget");
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
	tcase_add_test(model, test_a_full_run_measures_all);
	tcase_add_test(budget, test_budgets_stand_beside_their_rivals);
	tcase_add_test(model, test_a_quick_run_measures_few);
	tcase_set_timeout(model, 600);
	tcase_set_timeout(budget, 600);
	suite_add_tcase(suite, numbers);
	suite_add_tcase(suite, model);
	suite_add_tcase(suite, budget);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
