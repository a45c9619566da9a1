/* SPDX-License-Identifier: MIT */
/** \file check_train_factors.c \brief Factors that are trained: of rows and metrics that are known, and of a small model. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "eigen.h"
#include "factors_fit.h"
#include "support/suite.h"
#include "support/tiny_session.h"
#include "train_factors.h"

enum { DIM = 24, SAMPLES = 400, FACTORS_AT = 48 };

/* Between -1 and 1. */
static double number(void)
{
	return rand() / (RAND_MAX / 2.0) - 1;
}

/* Rows, what they cost, and the factors of both. */
static struct fitted {
	double x[SAMPLES][DIM], metric[DIM * DIM], moment[DIM * DIM];
	float down[DIM * DIM], up[DIM * DIM];
} fitted;

static void add_outer(const double *x, double weight, double *sum)
{
	for (int i = 0; i < DIM * DIM; i++)
		sum[i] += weight * x[i / DIM] * x[i % DIM];
}

/* Rows of channels that are mixed a little, the i-th between -1 and 1 divided by 1 + i; the metric of random directions, or plain. */
static void fit_rows(bool plain)
{
	static double mixing[DIM][DIM], metric[DIM * DIM], moment[DIM * DIM];
	struct tool_error error = {""};
	memset(&fitted, 0, sizeof fitted);
	srand(3);
	for (int i = 0; i < DIM * DIM; i++)
		mixing[i / DIM][i % DIM] = 0.2 * number() + (i / DIM == i % DIM);
	for (int s = 0; s < SAMPLES; s++) {
		for (int i = 0; i < DIM; i++) {
			double z = number() / (1 + i);
			for (int c = 0; c < DIM; c++)
				fitted.x[s][c] += z * mixing[i][c];
		}
		add_outer(fitted.x[s], 1.0 / SAMPLES, fitted.moment);
	}
	for (int i = 0; i < 3 * DIM && !plain; i++) {
		double q[DIM];
		for (int c = 0; c < DIM; c++)
			q[c] = number() * (1 + c % 5);
		add_outer(q, 1, fitted.metric);
	}
	for (int i = 0; i < DIM && plain; i++)
		fitted.metric[i * DIM + i] = 1;
	memcpy(metric, fitted.metric, sizeof metric);
	memcpy(moment, fitted.moment, sizeof moment);
	ck_assert_msg(factors_fit(DIM, metric, moment, fitted.down, fitted.up, &error), "%s",
	              error.text);
}

static double latent(const double *x, const float *down, int r)
{
	double z = 0;
	for (int c = 0; c < DIM; c++)
		z += x[c] * (double)down[c * DIM + r];
	return z;
}

/* The mean of e M e^T over the rows, of the first `rank` latents. */
static double loss(const float *down, const float *up, int rank)
{
	double sum = 0;
	for (int s = 0; s < SAMPLES; s++) {
		double e[DIM];
		memcpy(e, fitted.x[s], sizeof e);
		for (int r = 0; r < rank; r++) {
			double z = latent(fitted.x[s], down, r);
			for (int c = 0; c < DIM; c++)
				e[c] -= z * (double)up[r * DIM + c];
		}
		for (int i = 0; i < DIM * DIM; i++)
			sum += e[i / DIM] * fitted.metric[i] * e[i % DIM];
	}
	return sum / SAMPLES;
}

/* Floats: 2^-24 of entries up to 1000, in sums of 24 products, twice. */
START_TEST(test_all_latents_lose_nothing)
{
	fit_rows(_i == 0);
	double all = loss(fitted.down, fitted.up, 0);
	ck_assert_double_gt(all, 0.1);
	ck_assert_double_lt(loss(fitted.down, fitted.up, DIM), 1e-8 * all);
	for (int r = 0; r < DIM; r++) {
		double square = 0;
		for (int s = 0; s < SAMPLES; s++)
			square += pow(latent(fitted.x[s], fitted.down, r), 2) / SAMPLES;
		ck_assert_double_eq_tol(square, 1, 1e-3);
	}
}
END_TEST

/* The plain metric's loss is the sum of the squared singular values that are left out: of the moment, whose eigenvalues come from
 * the same package, but of rows that were never whitened. */
START_TEST(test_the_loss_is_that_of_the_left_out_singular_values)
{
	double moment[DIM * DIM], values[DIM], left = 0;
	struct tool_error error = {""};
	fit_rows(true);
	memcpy(moment, fitted.moment, sizeof moment);
	ck_assert_msg(eigen_vectors(DIM, moment, values, &error), "%s", error.text);
	for (int r = DIM - 1; r > 0; r--) {
		left += values[r];
		ck_assert_double_gt(values[r - 1], values[r]);
		ck_assert_double_eq_tol(loss(fitted.down, fitted.up, r), left, 1e-5 * left + 1e-9);
	}
}
END_TEST

/* No other factors of the same rank lose less: neither those of the plain metric, nor any nearby. */
START_TEST(test_no_other_factors_lose_less)
{
	static float down[DIM * DIM], up[DIM * DIM];
	fit_rows(true);
	memcpy(down, fitted.down, sizeof down);
	memcpy(up, fitted.up, sizeof up);
	fit_rows(false);
	for (int rank = 4; rank < DIM; rank += 6) {
		double least = loss(fitted.down, fitted.up, rank);
		ck_assert_double_lt(least, 0.98 * loss(down, up, rank));
		for (int i = 0; i < 20; i++) {
			static float near_down[DIM * DIM], near_up[DIM * DIM];
			for (int j = 0; j < DIM * DIM; j++) {
				near_down[j] = fitted.down[j] * (float)(1 + 0.01 * number());
				near_up[j] = fitted.up[j] * (float)(1 + 0.01 * number());
			}
			ck_assert_double_gt(loss(near_down, fitted.up, rank), least);
			ck_assert_double_gt(loss(fitted.down, near_up, rank), least);
		}
	}
}
END_TEST

/* Rows that lie in fewer dimensions: what the others are divided by is bounded, and what there is comes back. */
START_TEST(test_rows_of_fewer_dimensions_have_factors)
{
	double metric[DIM * DIM] = {0}, moment[DIM * DIM] = {0};
	float down[DIM * DIM], up[DIM * DIM];
	struct tool_error error = {""};
	memset(&fitted, 0, sizeof fitted);
	srand(5);
	for (int s = 0; s < SAMPLES; s++) {
		for (int c = 0; c < 6; c++)
			fitted.x[s][c] = number();
		add_outer(fitted.x[s], 1.0 / SAMPLES, moment);
	}
	for (int i = 0; i < DIM; i++)
		metric[i * DIM + i] = fitted.metric[i * DIM + i] = 1;
	ck_assert_msg(factors_fit(DIM, metric, moment, down, up, &error), "%s", error.text);
	for (int i = 0; i < DIM * DIM; i++)
		ck_assert(fabsf(down[i]) < 1e6f && fabsf(up[i]) < 1e6f);
	ck_assert_double_lt(loss(down, up, 6), 1e-9);
	memset(moment, 0, sizeof moment);
	ck_assert(!factors_fit(DIM, metric, moment, down, up, &error));
	ck_assert_msg(strstr(error.text, "zeros") != NULL, "%s", error.text);
}
END_TEST

/* ---------------------------------------------------------------- of a model ---- */

/* A B - 1 of a head's matrices in the file, the largest entry. */
static double defect(const char *at, size_t dim)
{
	float *m = calloc(2 * dim * dim, sizeof *m);
	double worst = 0;
	ck_assert_ptr_nonnull(m);
	memcpy(m, at, 2 * dim * dim * sizeof *m);
	for (size_t i = 0; i < dim; i++)
		for (size_t j = 0; j < dim; j++) {
			double sum = -(double)(i == j);
			for (size_t r = 0; r < dim; r++)
				sum += (double)m[i * dim + r] * (double)m[(dim + r) * dim + j];
			worst = fmax(worst, fabs(sum));
		}
	free(m);
	return worst;
}

/* Two texts, in several passes each. The file is of full rank, and a cache takes it. Entries of up to 1000 in f32: 2^-24 of it,
 * times as much, summed over few. */
START_TEST(test_a_model_has_factors)
{
	static struct tiny_training t;
	struct tool_error error = {""};
	if (!tiny_training_open(&t))
		return;
	ck_assert_msg(train_factors(&t.session, t.texts, 2, t.path, &error), "%s", error.text);
	const struct given_file file = tiny_session_take(t.path);
	const size_t dim = (size_t)t.session.model->head_dim,
				 heads = (size_t)t.session.model->n_layers * (size_t)t.session.model->kv_heads;
	ck_assert_uint_eq(file.size, FACTORS_AT + heads * 4 * dim * dim * 4 + 8);
	for (size_t i = 0; i < 2 * heads; i++)
		ck_assert_double_lt(defect(file.data + FACTORS_AT + i * 2 * dim * dim * 4, dim), 1e-2);
	t.session.given.factors = file;
	tiny_session_expect_taken(&t.session, "lowrank:rank=1 | kivi");
	tiny_session_expect_taken(&t.session, "cskv:k=16,v=16");
	session_close(&t.session);
}
END_TEST

int main(void)
{
	struct tool_error error = {""};
	Suite *suite = suite_create("train factors");
	TCase *rows = tcase_create("rows"), *model = tcase_create("model");
	if (!eigen_ready(&error)) {
		printf("SKIPPED: %s\n", error.text);
		return 77;
	}
	tcase_set_timeout(rows, 60);
	tcase_add_loop_test(rows, test_all_latents_lose_nothing, 0, 2);
	tcase_add_test(rows, test_the_loss_is_that_of_the_left_out_singular_values);
	tcase_add_test(rows, test_no_other_factors_lose_less);
	tcase_add_test(rows, test_rows_of_fewer_dimensions_have_factors);
	tcase_set_timeout(model, 240);
	tcase_add_test(model, test_a_model_has_factors);
	suite_add_tcase(suite, rows);
	suite_add_tcase(suite, model);
	return run_suite(suite);
}
