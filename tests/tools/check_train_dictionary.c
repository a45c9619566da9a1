/* SPDX-License-Identifier: MIT */
/** \file check_train_dictionary.c \brief Dictionaries that are trained: of rows that have one, and of a small model. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dictionary_fit.h"
#include "dictionary_prompt.h"
#include "eigen.h"
#include "support/suite.h"
#include "support/tiny_session.h"
#include "train_dictionary.h"

enum { DIM = 32, ATOMS = 32, SAMPLES = 3000 };

static float rows[SAMPLES * DIM], atoms[ATOMS * DIM];

/* Between -1 and 1. */
static float number(void)
{
	return (float)(rand() / (RAND_MAX / 2.0) - 1);
}

/* Each row is a sum of two of 32 directions. */
static void make_rows(void)
{
	static float directions[ATOMS * DIM];
	srand(7);
	for (int i = 0; i < ATOMS * DIM; i++)
		directions[i] = number();
	for (int s = 0; s < SAMPLES; s++) {
		const float *a = directions + rand() % ATOMS * DIM, *b = directions + rand() % ATOMS * DIM;
		const float x = number(), y = number();
		for (int c = 0; c < DIM; c++)
			rows[s * DIM + c] = x * a[c] + y * b[c];
	}
}

static double fit(size_t pairs)
{
	const struct dictionary_rows in = {SAMPLES, DIM, rows};
	struct tool_error error = {""};
	double lost = -1;
	ck_assert_msg(dictionary_fit(&in, ATOMS, pairs, atoms, &lost, &error), "%s", error.text);
	return lost;
}

/* What pursuit of one atom takes of all rows. */
static double held_by(int atom)
{
	double sum = 0;
	for (int s = 0; s < SAMPLES; s++) {
		double most = 0, own = 0;
		for (int n = 0; n < ATOMS; n++) {
			double x = 0;
			for (int c = 0; c < DIM; c++)
				x += (double)rows[s * DIM + c] * (double)atoms[n * DIM + c];
			most = fmax(most, fabs(x));
			own = n == atom ? fabs(x) : own;
		}
		sum += own == most ? own * own : 0;
	}
	return sum;
}

/* Two of 32 random atoms would leave most of a row; three leave less than two, and atoms have length 1. */
START_TEST(test_a_dictionary_finds_what_rows_are_made_of)
{
	make_rows();
	const double one = fit(1), two = fit(2), three = fit(3);
	ck_assert_double_lt(two, 0.1);
	ck_assert_double_lt(two, one);
	ck_assert_double_lt(three, two);
	for (int n = 0; n < ATOMS; n++) {
		double square = 0;
		for (int c = 0; c < DIM; c++)
			square += pow((double)atoms[n * DIM + c], 2);
		ck_assert_double_eq_tol(square, 1, 1e-5);
	}
}
END_TEST

START_TEST(test_the_same_rows_make_the_same_atoms_the_largest_first)
{
	static float first[ATOMS * DIM];
	make_rows();
	fit(1);
	memcpy(first, atoms, sizeof first);
	fit(1);
	ck_assert_int_eq(memcmp(first, atoms, sizeof first), 0);
	ck_assert_double_gt(held_by(0), held_by(ATOMS - 1));
}
END_TEST

/* Rows of zeros, and fewer kinds of rows than atoms: all atoms are numbers of length 1. */
START_TEST(test_rows_of_few_kinds_have_atoms)
{
	memset(rows, 0, sizeof rows);
	for (int s = 0; s < SAMPLES; s += 2)
		rows[s * DIM + s % 3] = 1;
	ck_assert_double_lt(fit(2), 1e-6);
	for (int n = 0; n < ATOMS; n++) {
		double square = 0;
		for (int c = 0; c < DIM; c++)
			square += pow((double)atoms[n * DIM + c], 2);
		ck_assert_double_eq_tol(square, 1, 1e-5);
	}
}
END_TEST

/* ---------------------------------------------------------------- of a prompt ---- */

enum { OWN = 96, OUTLIERS = 16 };

/* Rows of a prompt: sums of two channels of the first 16, and each sixth, 16 in all, far off in a channel of its own. */
static void make_prompt(float *prompt)
{
	srand(9);
	memset(prompt, 0, (size_t)OWN * DIM * sizeof *prompt);
	for (int i = 0; i < OWN; i++)
		if (i % 6 == 2) {
			prompt[i * DIM + 16 + i / 6] = 30 + number();
			prompt[i * DIM + i % 16] = number();
		} else {
			prompt[i * DIM + rand() % 16] += 1 + number() / 2;
			prompt[i * DIM + rand() % 16] -= 1 + number() / 2;
		}
}

static void take_channels(float *to)
{
	memset(to, 0, (size_t)3 * 16 * DIM * sizeof *to);
	for (int n = 0; n < 16; n++)
		to[n * DIM + n] = 1;
}

/* The product of an atom of length 1 with a row, as a part of the row's length. */
static double alike(const float *atom, const float *row)
{
	double x = 0, size = 0;
	for (int c = 0; c < DIM; c++) {
		x += (double)atom[c] * (double)row[c];
		size += (double)row[c] * (double)row[c];
	}
	return fabs(x) / sqrt(size);
}

START_TEST(test_online_atoms_are_the_newest_rows_last_first)
{
	static float prompt[OWN * DIM], own[3 * 16 * DIM];
	const struct dictionary_rows in = {OWN, DIM, prompt};
	const struct prompt_atoms want = {32, 0};
	struct tool_error error = {""};
	double before, after;
	make_prompt(prompt);
	take_channels(own);
	memset(prompt + (OWN - 3) * DIM, 0, DIM * sizeof *prompt); /* of zeros: left out */
	ck_assert(dictionary_add_prompt(&in, 16, &want, 2, own, &before, &after, &error));
	for (int n = 0; n < 32; n++)
		ck_assert_double_gt(alike(own + (16 + n) * DIM, prompt + (OWN - 1 - n - (n >= 2)) * DIM),
		                    1 - 1e-6);
	ck_assert_double_lt(after, before);
}
END_TEST

/* What 16 channels can't say of the prompt are its rows that are far off: those, each once, guard it. */
START_TEST(test_guard_atoms_are_what_the_others_code_worst)
{
	static float prompt[OWN * DIM], own[3 * 16 * DIM];
	const struct dictionary_rows in = {OWN, DIM, prompt};
	const struct prompt_atoms want = {0, OUTLIERS};
	struct tool_error error = {""};
	double before, after;
	make_prompt(prompt);
	take_channels(own);
	ck_assert(dictionary_add_prompt(&in, 16, &want, 2, own, &before, &after, &error));
	ck_assert_double_gt(before, 0.9);
	ck_assert_double_lt(after, 1e-6);
	for (int i = 2; i < OWN; i += 6) {
		int found = 0;
		for (int n = 0; n < OUTLIERS; n++)
			found += alike(own + (16 + n) * DIM, prompt + i * DIM) > 0.99;
		ck_assert_int_eq(found, 1);
	}
}
END_TEST

/* Rows of zeros are none. */
START_TEST(test_a_prompt_may_be_too_short)
{
	static float prompt[OWN * DIM], own[(16 + OWN) * DIM];
	const struct dictionary_rows in = {OWN, DIM, prompt};
	const struct prompt_atoms online = {OWN, 0}, guard = {64, 32};
	struct tool_error error = {""};
	double before, after;
	make_prompt(prompt);
	take_channels(own);
	ck_assert(dictionary_add_prompt(&in, 16, &guard, 2, own, &before, &after, &error));
	memset(prompt, 0, DIM * sizeof *prompt);
	ck_assert(!dictionary_add_prompt(&in, 16, &online, 2, own, &before, &after, &error));
	ck_assert_msg(strstr(error.text, "a prompt of 96 rows is too short") != NULL, "%s", error.text);
	error.text[0] = 0;
	ck_assert(!dictionary_add_prompt(&in, 16, &guard, 2, own, &before, &after, &error));
	ck_assert_msg(strstr(error.text, "64 of them and 32 to guard") != NULL, "%s", error.text);
}
END_TEST

/* ---------------------------------------------------------------- of a model ---- */

static bool train(struct session *s, const char *recipe, const struct text_input *texts, size_t n,
                  struct prompt_atoms prompt, const char *path, struct tool_error *error)
{
	const struct dictionary_sources from = {recipe, texts, n, prompt};
	return train_dictionary(s, &from, path, error);
}

static void expect_failure(struct session *s, const char *recipe, const struct text_input *texts,
                           struct prompt_atoms prompt, const char *want)
{
	struct tool_error error = {""};
	ck_assert(!train(s, recipe, texts, prompt.online + prompt.guard > 0 ? 2 : 1, prompt,
	                 "/nonexistent/file", &error));
	ck_assert_msg(strstr(error.text, want) != NULL, "%s", error.text);
}

/* Two texts, in several passes each. A cache takes the file, whose products of atoms and columns it checks, for the recipe's
 * chunks. */
START_TEST(test_a_model_has_dictionaries)
{
	static struct tiny_training t;
	struct tool_error error = {""};
	if (!tiny_training_open(&t))
		return;
	ck_assert_msg(train(&t.session, "csr:atoms=32,pairs=3,chunks_v=1", t.texts, 2,
	                    (struct prompt_atoms){0}, t.path, &error),
	              "%s", error.text);
	t.session.given.factors = tiny_session_take(t.path);
	tiny_session_expect_taken(&t.session, "csr:atoms=16,pairs=4,chunks_v=1");
	expect_failure(&t.session, "csr:atoms=4096,chunks_v=1", t.texts, (struct prompt_atoms){0},
	               "fewer than 4096 atoms");
	expect_failure(&t.session, "kivi", t.texts, (struct prompt_atoms){0}, "csr");
	expect_failure(&t.session, "csr:atoms=17", t.texts, (struct prompt_atoms){0}, "16");
	session_close(&t.session);
}
END_TEST

/* The second text is the prompt. Its atoms are more than there are tokens, none are left to the other text, or not in sixteens. */
START_TEST(test_a_prompt_has_atoms_of_its_own)
{
	static struct tiny_training t;
	struct tool_error error = {""};
	if (!tiny_training_open(&t))
		return;
	ck_assert_msg(train(&t.session, "csr:atoms=64,pairs=3,chunks_v=1", t.texts, 2,
	                    (struct prompt_atoms){32, 16}, t.path, &error),
	              "%s", error.text);
	t.session.given.factors = tiny_session_take(t.path);
	tiny_session_expect_taken(&t.session, "csr:atoms=64,pairs=3,chunks_v=1");
	expect_failure(&t.session, "csr:atoms=256,chunks_v=1", t.texts, (struct prompt_atoms){96, 32},
	               "too short for its dictionary: 128 atoms of its own");
	expect_failure(&t.session, "csr:atoms=64,chunks_v=1", t.texts, (struct prompt_atoms){32, 32},
	               "leave 16 of the recipe's 64 atoms");
	expect_failure(&t.session, "csr:atoms=64,chunks_v=1", t.texts, (struct prompt_atoms){20, 12},
	               "multiples of 16");
	session_close(&t.session);
}
END_TEST

int main(void)
{
	struct tool_error error = {""};
	Suite *suite = suite_create("train dictionary");
	TCase *fitted = tcase_create("rows"), *model = tcase_create("model");
	if (!eigen_ready(&error)) {
		printf("SKIPPED: %s\n", error.text);
		return 77;
	}
	tcase_set_timeout(fitted, 60);
	tcase_add_test(fitted, test_a_dictionary_finds_what_rows_are_made_of);
	tcase_add_test(fitted, test_the_same_rows_make_the_same_atoms_the_largest_first);
	tcase_add_test(fitted, test_rows_of_few_kinds_have_atoms);
	tcase_add_test(fitted, test_online_atoms_are_the_newest_rows_last_first);
	tcase_add_test(fitted, test_guard_atoms_are_what_the_others_code_worst);
	tcase_add_test(fitted, test_a_prompt_may_be_too_short);
	tcase_set_timeout(model, 240);
	tcase_add_test(model, test_a_model_has_dictionaries);
	tcase_add_test(model, test_a_prompt_has_atoms_of_its_own);
	suite_add_tcase(suite, fitted);
	suite_add_tcase(suite, model);
	return run_suite(suite);
}
