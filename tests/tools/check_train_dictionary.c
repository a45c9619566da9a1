/* SPDX-License-Identifier: MIT */
/** \file check_train_dictionary.c \brief Dictionaries that are trained: of rows that have one, and of a small model. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dictionary_fit.h"
#include "eigen.h"
#include "support/tiny_session.h"
#include "train_dictionary.h"

enum { DIM = 32, ATOMS = 32, SAMPLES = 3000, TOKENS = 150, ROWS = 32 };

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

static void expect_failure(struct session *s, const char *recipe, const struct text_input *text,
                           const char *want)
{
	struct tool_error error = {""};
	ck_assert(!train_dictionary(s, recipe, text, 1, "/nonexistent/file", &error));
	ck_assert_msg(strstr(error.text, want) != NULL, "%s", error.text);
}

/* Two texts, in several passes each. A cache takes the file, whose products of atoms and columns it checks, for the recipe's chunks. */
START_TEST(test_a_model_has_dictionaries)
{
	static int32_t ids[2][TOKENS];
	struct session s;
	struct tool_error error = {""};
	char path[] = "/tmp/clkv-check-train-XXXXXX";
	const struct text_input texts[] = {{ids[0], TOKENS}, {ids[1], TOKENS - 30}};
	if (!tiny_session_open(&s, ROWS))
		return;
	tiny_session_path(path);
	tiny_session_text(&s, 0, ids[0], TOKENS);
	tiny_session_text(&s, 1, ids[1], TOKENS);
	ck_assert_msg(train_dictionary(&s, "csr:atoms=32,pairs=3,chunks_v=1", texts, 2, path, &error),
	              "%s", error.text);
	const struct given_file file = tiny_session_take(path);
	struct engine_stream stream = {0};
	s.given.factors = file;
	ck_assert_msg(session_stream_open(&s, "csr:atoms=16,pairs=4,chunks_v=1", 64, &stream, &error),
	              "%s", error.text);
	session_stream_close(&stream);
	expect_failure(&s, "csr:atoms=4096,chunks_v=1", texts, "fewer than 4096 atoms");
	expect_failure(&s, "kivi", texts, "csr");
	expect_failure(&s, "csr:atoms=17", texts, "16");
	session_close(&s);
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
	tcase_set_timeout(model, 240);
	tcase_add_test(model, test_a_model_has_dictionaries);
	suite_add_tcase(suite, fitted);
	suite_add_tcase(suite, model);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed > 0;
}
