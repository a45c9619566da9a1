/* SPDX-License-Identifier: MIT */
/** \file check_advise.c \brief The adviser on a small model, from end to end. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "advise.h"
#include "advise_budget.h"
#include "support/random.h"
#include "support/suite.h"
#include "support/tiny_calibration.h"
#include "support/tiny_session.h"
#include "text_file.h"

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
	const bool budget = told.options.budget, behind = told.options.behind;
	told.options = (struct advise_options){.limit = limit,
	                                       .budget = budget,
	                                       .behind = behind,
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

/* The calibration of the usual step is of keys in front of RoPE where RoPE turns fast and that's wanted, and has one step for all or
 * shares bits out, by what is said of it. */
static void expect_kind(const struct advise *a, bool shared, bool before)
{
	struct advise *of = told.advise;
	struct tool_error error = {""};
	struct calibration_bits bits;
	struct calibrator *c;
	const struct text_input in = {told.ids, TRAINED};
	const struct model *m = a->eval.session.model;
	const char *file = find(a, "qtc, delta 0.0014")->given.calibration.data;
	size_t size, moved = 0;
	ck_assert(a->shared == shared && a->before == before);
	ck_assert_msg(calibrator_open(&of->eval.session, &in, 1, before, &c, &error), "%s", error.text);
	char *uniform = tiny_calibration(c, 0.0014F, &bits, &size);
	ck_assert_mem_eq(file, uniform, CALIBRATION_HEADS_AT);
	ck_assert((uniform[CALIBRATION_HEADS_AT - 4] != 0) == before); /* turned pairs */
	for (size_t h = 0; h < (size_t)m->n_layers * (size_t)m->kv_heads; h++)
		moved += fabsf(tiny_calibration_factor(file, uniform, (size_t)m->head_dim, h) - 1) > 0.05f;
	ck_assert((moved > 0) == shared);
	free(uniform);
	calibrator_close(c);
}

/* What the command line that is printed does: the same tokens, the calibration from the file that was written. */
static void expect_repeated(const struct advise *a)
{
	const struct advise_point *p = &a->points[a->chosen];
	struct tool_error error = {""};
	struct eval_options options = told.judged;
	struct eval_result result = {0};
	struct eval eval = a->eval;
	char path[TINY_PATH];
	tiny_session_path(path);
	ck_assert(advise_needs_calibration(a));
	ck_assert_msg(given_file_write(&p->given.calibration, path, &error), "%s", error.text);
	options.recipes[0] = p->recipe;
	options.n_recipes = 1;
	eval.options = &options;
	eval.session.given.calibration = tiny_session_take(path);
	ck_assert_msg(eval_judge(&eval, &result, &error), "%s", error.text);
	/* caches beside it in a pass change no row of it but in the last bits */
	ck_assert_double_gt(p->result.kl_mean, 0);
	ck_assert_double_eq_tol(result.kl_mean / p->result.kl_mean, 1, 1e-3);
	free(result.against);
	given_files_close(&eval.session.given);
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
	ck_assert_double_gt(find(a, "kvquant:bits=2")->result.kl_mean,
	                    find(a, "kvquant:bits=4")->result.kl_mean);
	const struct advise_point *f16 = find(a, "f16");
	expect_kind(a, true, true);
	expect_repeated(a);
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
	ck_assert_ptr_nonnull(strstr(text, "\"shared\": false, \"before_rope\": true}"));
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
	expect_kind(told.advise, false, true);
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
	told.options.budget = told.options.behind = true;
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
	expect_kind(a, true, false);
	expect_no_probes();
	close_told();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("advise");
	TCase *model = tcase_create("model");
	TCase *budget = tcase_create("budget");
	tcase_add_test(model, test_a_full_run_measures_all);
	tcase_add_test(budget, test_budgets_stand_beside_their_rivals);
	tcase_add_test(model, test_a_quick_run_measures_few);
	tcase_set_timeout(model, 600);
	tcase_set_timeout(budget, 600);
	suite_add_tcase(suite, model);
	suite_add_tcase(suite, budget);
	return run_suite(suite);
}
