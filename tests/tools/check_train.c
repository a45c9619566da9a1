/* SPDX-License-Identifier: MIT */
/** \file check_train.c \brief Rotations that are trained: of metrics that are known, and of a small model's queries. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "eigen.h"
#include "support/suite.h"
#include "support/tiny_session.h"
#include "text_file.h"
#include "train_rotation.h"

enum { TOKENS = 40, ROWS = 32, MATRICES_AT = 40 };

/* Entry (i, j) of R^T C R. */
static double turned(size_t dim, const double *c, const float *r, size_t i, size_t j)
{
	double sum = 0;
	for (size_t a = 0; a < dim; a++)
		for (size_t b = 0; b < dim; b++)
			sum += (double)r[a * dim + i] * c[a * dim + b] * (double)r[b * dim + j];
	return sum;
}

/* A Hadamard matrix spreads the eigenvalues evenly: all channels have their mean. R is in f32: 2^-24 of the largest of them in
 * each of two products, summed over dim; 1e-5 of the trace is far above. */
static void expect_even(size_t dim, const double *c, const float *r)
{
	double trace = 0;
	for (size_t i = 0; i < dim; i++)
		trace += c[i * dim + i];
	for (size_t i = 0; i < dim; i++) {
		double got = turned(dim, c, r, i, i);
		ck_assert_msg(fabs(got - trace / (double)dim) <= 1e-5 * trace, "channel %zu: %g, not %g", i,
		              got, trace / (double)dim);
	}
}

/* Eigenvalues 1, 9, 4 and 2 of the channels: in their order the channels are 1, 2, 3, 0. Columns of H of order 4 are
 * the parities of the bits that row and column share; reversing two bits exchanges columns 1 and 2. Signs of eigenvectors are
 * LAPACK's: they are taken from column 0. */
START_TEST(test_the_order_of_rows_and_columns)
{
	static const size_t rank[] = {3, 0, 2, 1}, reversed[] = {0, 2, 1, 3};
	double metric[16] = {0};
	const double values[] = {1, 9, 2, 4};
	float r[16];
	struct tool_error error = {""};
	for (size_t i = 0; i < 4; i++)
		metric[i * 5] = values[i];
	ck_assert_msg(rotation_of(4, metric, r, &error), "%s", error.text);
	for (size_t i = 0; i < 4; i++)
		for (size_t j = 0; j < 4; j++) {
			size_t shared = rank[i] & reversed[j];
			double sign = (shared & 1) != (shared >> 1) ? -1 : 1;
			ck_assert_double_eq_tol((double)r[i * 4 + j], sign * (double)r[i * 4], 1e-7);
			ck_assert_double_eq_tol(fabs((double)r[i * 4 + j]), 0.5, 1e-7);
		}
}
END_TEST

/* A random metric in 16 channels, and in 48: blocks of 16, the first of the largest eigenvalues. */
START_TEST(test_a_metric_is_spread)
{
	const size_t dim = _i ? 48 : 16, block = 16;
	double *metric = calloc(dim * dim, sizeof *metric), *kept = calloc(dim * dim, sizeof *kept);
	float *r = calloc(dim * dim, sizeof *r);
	double one[48 * 48] = {0}, before = INFINITY;
	struct tool_error error = {""};
	ck_assert(metric && kept && r);
	for (size_t i = 0; i < dim; i++)
		one[i * dim + i] = 1;
	srand(7);
	for (size_t n = 0; n < 3 * dim; n++) {
		double x[48];
		for (size_t i = 0; i < dim; i++)
			x[i] = (double)(rand() % 2001 - 1000) * (i < 5 ? 1e-2 : 1e-3);
		for (size_t i = 0; i < dim * dim; i++)
			kept[i] += x[i / dim] * x[i % dim];
	}
	memcpy(metric, kept, dim * dim * sizeof *metric);
	ck_assert_msg(rotation_of(dim, metric, r, &error), "%s", error.text);
	for (size_t i = 0; i < dim; i++)
		for (size_t j = 0; j < dim; j++)
			ck_assert_double_eq_tol(turned(dim, one, r, i, j), i == j, 1e-5);
	for (size_t first = 0; first < dim; first += block) {
		double mean = turned(dim, kept, r, first, first);
		ck_assert_double_lt(mean, before);
		before = mean;
		for (size_t i = first; i < first + block; i++)
			ck_assert_double_eq_tol(turned(dim, kept, r, i, i), mean, 1e-4 * mean);
	}
	if (dim == block)
		expect_even(dim, kept, r);
	free(metric);
	free(kept);
	free(r);
}
END_TEST

/* ---------------------------------------------------------------- of a model ---- */

/* The first rows' queries of all layers: [layers][rows][q_heads][head_dim]. */
static float *queries_of(struct session *s, const int32_t *ids, size_t rows)
{
	struct tool_error error = {""};
	struct engine_stream stream = {0};
	const struct model *m = s->model;
	size_t n = (size_t)m->n_layers * rows * (size_t)m->q_heads * (size_t)m->head_dim;
	float *queries = calloc(n, sizeof *queries);
	ck_assert_ptr_nonnull(queries);
	ck_assert(session_stream_open(s, "f16", rows, &stream, &error) &&
	          engine_trace(s->engine, &stream, rows, &error) &&
	          session_prompt(s, &stream, ids, rows, NULL, &error));
	ck_assert_int_eq(clEnqueueReadBuffer(engine_queue(s->engine), stream.queries, CL_TRUE, 0,
	                                     n * sizeof *queries, queries, 0, NULL, NULL),
	                 CL_SUCCESS);
	session_stream_close(&stream);
	return queries;
}

/* The metric of a layer's KV head: its group's queries. */
static void add_metric(const struct model *m, const float *queries, size_t layer, size_t head,
                       double *metric)
{
	const size_t dim = (size_t)m->head_dim, q_heads = (size_t)m->q_heads,
				 group = q_heads / (size_t)m->kv_heads;
	for (size_t t = 0; t < TOKENS; t++)
		for (size_t h = head * group; h < (head + 1) * group; h++) {
			const float *q = queries + ((layer * TOKENS + t) * q_heads + h) * dim;
			for (size_t i = 0; i < dim * dim; i++)
				metric[i] += (double)q[i / dim] * (double)q[i % dim];
		}
}

/* In two passes, so that what is gathered of both counts; and the file does no harm where codes lose nothing. */
START_TEST(test_matrices_even_out_what_queries_ask_for)
{
	struct session s;
	struct tool_error error = {""};
	int32_t ids[TOKENS];
	char path[TINY_PATH];
	if (!tiny_session_open(&s, ROWS))
		return;
	const size_t dim = (size_t)s.model->head_dim, heads = (size_t)s.model->kv_heads;
	double *metric = calloc(dim * dim, sizeof *metric);
	float *r = calloc(dim * dim, sizeof *r);
	ck_assert(metric && r);
	tiny_session_path(path);
	tiny_session_text(&s, 0, ids, TOKENS);
	ck_assert_msg(train_rotation(&s, ids, TOKENS, path, &error), "%s", error.text);
	const struct given_file file = tiny_session_take(path);
	ck_assert_uint_eq(file.size,
	                  MATRICES_AT + (size_t)s.model->n_layers * heads * 2 * dim * dim * 4 + 8);
	ck_assert_uint_eq(dim & (dim - 1), 0);
	float *queries = queries_of(&s, ids, TOKENS);
	for (size_t l = 0; l < (size_t)s.model->n_layers; l++)
		for (size_t h = 0; h < heads; h++) {
			memset(metric, 0, dim * dim * sizeof *metric);
			add_metric(s.model, queries, l, h, metric);
			memcpy(r, file.data + MATRICES_AT + (l * heads + h) * 2 * dim * dim * 4, dim * dim * 4);
			expect_even(dim, metric, r);
		}
	s.given.rotation = file;
	tiny_session_expect_taken(&s, "q:rot=file");
	free(queries);
	free(metric);
	free(r);
	session_close(&s);
}
END_TEST

int main(void)
{
	struct tool_error error = {""};
	Suite *suite = suite_create("train");
	TCase *rotation = tcase_create("rotation");
	if (!eigen_ready(&error)) {
		printf("SKIPPED: %s\n", error.text);
		return 77;
	}
	tcase_set_timeout(rotation, 240);
	tcase_add_test(rotation, test_the_order_of_rows_and_columns);
	tcase_add_loop_test(rotation, test_a_metric_is_spread, 0, 2);
	tcase_add_test(rotation, test_matrices_even_out_what_queries_ask_for);
	suite_add_tcase(suite, rotation);
	return run_suite(suite);
}
