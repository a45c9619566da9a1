/* SPDX-License-Identifier: MIT */
/** \file check_train_groups.c \brief Factors of groups of heads: schedules, alignments, calibration, of a small model. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "eigen.h"
#include "factors_fit.h"
#include "head_groups.h"
#include "rank_schedule.h"
#include "support/suite.h"
#include "support/tiny_session.h"
#include "train_groups.h"
#include "weight_gram.h"

enum { INPUTS = 40, DIM = 24, SAMPLES = 300 };

/* Between -1 and 1. */
static double number(void)
{
	return rand() / (RAND_MAX / 2.0) - 1;
}

/* ---------------------------------------------------------------- LoRC ---- */

/* LoRC (c): ranks never grow with depth, and end at both ends; a layer of condition 1 adds nothing to those before it. */
START_TEST(test_ranks_shrink_with_depth)
{
	enum { LAYERS = 12 };
	double conditions[LAYERS], ranks[LAYERS];
	srand(1);
	for (int l = 0; l < LAYERS; l++)
		conditions[l] = l == 5 ? 0 : 3 + number();
	rank_schedule(LAYERS, conditions, 64, 20, ranks);
	ck_assert_double_eq_tol(ranks[0], 64, 1e-12);
	ck_assert_double_eq_tol(ranks[LAYERS - 1], 20, 1e-12);
	for (int l = 1; l < LAYERS; l++)
		ck_assert_double_le(ranks[l], ranks[l - 1]);
	ck_assert_double_eq(ranks[5], ranks[6]);
	ck_assert_double_lt(ranks[6], ranks[4]);
	/* alike layers lie on a line */
	for (int l = 0; l < LAYERS; l++)
		conditions[l] = 2;
	rank_schedule(LAYERS, conditions, 60, 16, ranks);
	for (int l = 0; l < LAYERS; l++)
		ck_assert_double_eq_tol(ranks[l], 60 - 4.0 * l, 1e-9);
	rank_schedule(1, conditions, 60, 16, ranks);
	ck_assert_double_eq(ranks[0], 60);
}
END_TEST

START_TEST(test_ranks_are_sixteens)
{
	static const struct {
		double rank;
		int want;
	} rows[] = {{0.1, 16}, {23.9, 16}, {24, 32}, {40.5, 48}, {64, 64}, {90, 64}};
	ck_assert_int_eq(rank_in_sixteens(rows[_i].rank, 64), rows[_i].want);
}
END_TEST

/* Weights, inputs that aren't alike in all directions, and rows = inputs times weights. */
static struct layer {
	double w[INPUTS][DIM], x[SAMPLES][INPUTS], y[SAMPLES][DIM];
	double of_weights[DIM * DIM], of_rows[DIM * DIM];
} layer;

static void add_gram(const double *rows, size_t n, double *gram)
{
	for (size_t s = 0; s < n; s++)
		for (size_t i = 0; i < DIM * DIM; i++)
			gram[i] += rows[s * DIM + i / DIM] * rows[s * DIM + i % DIM];
}

static void make_layer(void)
{
	memset(&layer, 0, sizeof layer);
	srand(3);
	for (int i = 0; i < INPUTS * DIM; i++)
		layer.w[i / DIM][i % DIM] = number() / (1 + i % DIM);
	for (int s = 0; s < SAMPLES; s++) {
		double common = number();
		for (int i = 0; i < INPUTS; i++)
			layer.x[s][i] = (number() + 2 * common) / (1 + (i + 7) % INPUTS);
		for (int i = 0; i < INPUTS * DIM; i++)
			layer.y[s][i % DIM] += layer.x[s][i / DIM] * layer.w[i / DIM][i % DIM];
	}
	add_gram(layer.w[0], INPUTS, layer.of_weights);
	add_gram(layer.y[0], SAMPLES, layer.of_rows);
}

/* |rows - rows A B|^2 of n rows. */
static double loss(const double *rows, size_t n, size_t rank, const float *down, const float *up)
{
	double sum = 0;
	for (size_t s = 0; s < n; s++) {
		double e[DIM];
		memcpy(e, rows + s * DIM, sizeof e);
		for (size_t r = 0; r < rank; r++) {
			double z = 0;
			for (size_t c = 0; c < DIM; c++)
				z += rows[s * DIM + c] * (double)down[c * DIM + r];
			for (size_t c = 0; c < DIM; c++)
				e[c] -= z * (double)up[r * DIM + c];
		}
		for (size_t c = 0; c < DIM; c++)
			sum += e[c] * e[c];
	}
	return sum;
}

static void components(const double *gram, float *down, float *up)
{
	double moment[DIM * DIM];
	struct tool_error error = {""};
	memcpy(moment, gram, sizeof moment);
	ck_assert_msg(factors_components(DIM, moment, down, up, &error), "%s", error.text);
}

/* LoRC (b): what is lost of the weights is the root of the dropped squared singular values. */
START_TEST(test_the_weights_lose_the_dropped_singular_values)
{
	static float down[DIM * DIM], up[DIM * DIM];
	double gram[DIM * DIM], squares[DIM], dropped = 0;
	struct tool_error error = {""};
	make_layer();
	components(layer.of_weights, down, up);
	memcpy(gram, layer.of_weights, sizeof gram);
	ck_assert_msg(eigen_vectors(DIM, gram, squares, &error), "%s", error.text);
	for (size_t r = DIM; r-- > 1;) {
		dropped += squares[r];
		ck_assert_double_eq_tol(sqrt(loss(layer.w[0], INPUTS, r, down, up)), sqrt(dropped),
		                        1e-4 * sqrt(squares[0]));
	}
}
END_TEST

/* ---------------------------------------------------------------- ReCalKV ---- */

/* ReCalKV (b): of rows that inputs make, whitened factors lose no more than those of the weights alone, at any rank. */
START_TEST(test_whitened_factors_lose_no_more)
{
	static float down[DIM * DIM], up[DIM * DIM], plain_down[DIM * DIM], plain_up[DIM * DIM];
	make_layer();
	components(layer.of_rows, down, up);
	components(layer.of_weights, plain_down, plain_up);
	double all = loss(layer.y[0], SAMPLES, 0, down, up), less = 0;
	for (size_t r = 1; r < DIM; r++) {
		double whitened = loss(layer.y[0], SAMPLES, r, down, up);
		double plain = loss(layer.y[0], SAMPLES, r, plain_down, plain_up);
		ck_assert_double_le(whitened, plain + 1e-7 * all);
		less += whitened < 0.9 * plain;
	}
	ck_assert_double_gt(less, DIM / 4);
}
END_TEST

/* ReCalKV (c): neither half of calibration raises what is lost, wherever it begins; whitened factors stay as they are. */
START_TEST(test_no_half_of_calibration_loses_more)
{
	static float down[DIM * DIM], up[DIM * DIM];
	struct tool_error error = {""};
	const size_t rank = 4 + 4 * (size_t)_i;
	make_layer();
	components(layer.of_weights, down, up);
	double all = loss(layer.y[0], SAMPLES, 0, down, up),
		   last = loss(layer.y[0], SAMPLES, rank, down, up), first = last;
	for (int round = 0; round < 4; round++) {
		ck_assert_msg(factors_calibrate_up(DIM, rank, layer.of_rows, down, up, &error), "%s",
		              error.text);
		double now = loss(layer.y[0], SAMPLES, rank, down, up);
		ck_assert_double_le(now, last + 1e-7 * all);
		ck_assert_msg(factors_calibrate_down(DIM, rank, down, up, &error), "%s", error.text);
		last = loss(layer.y[0], SAMPLES, rank, down, up);
		ck_assert_double_le(last, now + 1e-7 * all);
	}
	ck_assert_double_lt(last, 0.99 * first);
	components(layer.of_rows, down, up);
	double least = loss(layer.y[0], SAMPLES, rank, down, up);
	ck_assert_double_le(least, last + 1e-7 * all);
	ck_assert_msg(factors_calibrate(DIM, rank, layer.of_rows, down, up, &error), "%s", error.text);
	ck_assert_double_eq_tol(loss(layer.y[0], SAMPLES, rank, down, up), least, 1e-6 * all);
}
END_TEST

/* Latents that depend on each other have no least squares. */
START_TEST(test_singular_latents_are_named)
{
	static float down[DIM * DIM], up[DIM * DIM];
	struct tool_error error = {""};
	make_layer();
	components(layer.of_rows, down, up);
	for (size_t c = 0; c < DIM; c++)
		down[c * DIM + 1] = down[c * DIM], up[DIM + c] = up[c];
	ck_assert(!factors_calibrate_up(DIM, 4, layer.of_rows, down, up, &error));
	ck_assert_msg(strstr(error.text, "singular") != NULL, "%s", error.text);
	ck_assert(!factors_calibrate_down(DIM, 4, down, up, &error));
	ck_assert_msg(strstr(error.text, "singular") != NULL, "%s", error.text);
}
END_TEST

enum { HEADS = 6, HEAD = 4 };

/* gram [HEADS * HEAD]^2 of heads [HEADS][HEAD][INPUTS], centred. */
static void gram_of(double heads[HEADS][HEAD][INPUTS], double *gram)
{
	for (size_t i = 0; i < HEADS * HEAD; i++) {
		double *row = heads[i / HEAD][i % HEAD], mean = 0;
		for (size_t c = 0; c < INPUTS; c++)
			mean += row[c] / INPUTS;
		for (size_t c = 0; c < INPUTS; c++)
			row[c] -= mean;
	}
	for (size_t i = 0; i < HEADS * HEAD; i++)
		for (size_t j = 0; j < HEADS * HEAD; j++) {
			gram[i * HEADS * HEAD + j] = 0;
			for (size_t c = 0; c < INPUTS; c++)
				gram[i * HEADS * HEAD + j] +=
					heads[i / HEAD][i % HEAD][c] * heads[j / HEAD][j % HEAD][c];
		}
}

/* ReCalKV (d): a head and the same one turned have alignment 1, and land in one group; so do three that share a pattern. */
START_TEST(test_alike_heads_are_grouped)
{
	static double heads[HEADS][HEAD][INPUTS], gram[HEADS * HEAD * HEADS * HEAD];
	double alignment[HEADS * HEADS];
	int order[HEADS];
	srand(7);
	for (size_t i = 0; i < HEADS * HEAD * INPUTS; i++)
		heads[i / (HEAD * INPUTS)][i / INPUTS % HEAD][i % INPUTS] = number();
	/* head 4 is head 1, its channels turned in pairs and swapped */
	for (size_t c = 0; c < INPUTS; c++)
		for (size_t i = 0; i < HEAD; i += 2) {
			double a = heads[1][i][c], b = heads[1][i + 1][c];
			heads[4][HEAD - 1 - i][c] = 0.6 * a - 0.8 * b;
			heads[4][HEAD - 2 - i][c] = 0.8 * a + 0.6 * b;
		}
	gram_of(heads, gram);
	head_alignment(HEADS, HEAD, gram, alignment);
	for (size_t a = 0; a < HEADS; a++)
		for (size_t b = 0; b < HEADS; b++) {
			bool same = a == b || (a == 1 && b == 4) || (a == 4 && b == 1);
			if (same)
				ck_assert_double_eq_tol(alignment[a * HEADS + b], 1, 1e-12);
			else
				ck_assert_double_lt(alignment[a * HEADS + b], 0.7);
		}
	head_groups(HEADS, 2, alignment, order);
	ck_assert_int_eq(order[0], 1);
	ck_assert_int_eq(order[1], 4);
	int times[HEADS] = {0};
	for (size_t size = 1; size <= HEADS; size += size) {
		if (HEADS % size)
			continue;
		head_groups(HEADS, size, alignment, order);
		memset(times, 0, sizeof times);
		for (size_t i = 0; i < HEADS; i++)
			times[order[i]]++;
		for (size_t i = 0; i < HEADS; i++)
			ck_assert_int_eq(times[i], 1);
	}
	/* 0, 2 and 5 alike but for a little, and so 1, 3 and 4 */
	for (size_t i = 0; i < HEAD * INPUTS; i++)
		for (size_t h = 2; h < HEADS; h += 3)
			heads[h][i / INPUTS][i % INPUTS] = heads[0][i / INPUTS][i % INPUTS] + 0.2 * number();
	for (size_t i = 0; i < HEAD * INPUTS; i++)
		heads[3][i / INPUTS][i % INPUTS] = heads[1][i / INPUTS][i % INPUTS] + 0.2 * number();
	gram_of(heads, gram);
	head_alignment(HEADS, HEAD, gram, alignment);
	head_groups(HEADS, 3, alignment, order);
	int first = order[0] == 1 || order[0] == 4 ? 3 : 0, sum = 0;
	for (int i = first; i < first + 3; i++)
		sum += 1 << order[i];
	ck_assert_int_eq(sum, 1 << 0 | 1 << 2 | 1 << 5);
}
END_TEST

/* ---------------------------------------------------------------- of a model ---- */

/* The first group's A and B of K are each other's inverse, but for roundings of entries of up to 1000. */
static void expect_inverse(const struct given_file *file, size_t width)
{
	enum { AT = 8 + 11 * 4 + 8 + 4 * 2 * 2 };
	float *m = calloc(2 * width * width, sizeof *m);
	ck_assert_ptr_nonnull(m);
	memcpy(m, file->data + AT, 2 * width * width * sizeof *m);
	for (size_t i = 0; i < width; i++)
		for (size_t j = 0; j < width; j++) {
			double sum = -(double)(i == j);
			for (size_t r = 0; r < width; r++)
				sum += (double)m[i * width + r] * (double)m[(width + r) * width + j];
			ck_assert_double_lt(fabs(sum), 1e-2);
		}
	free(m);
}

/* Their files are taken by recipes of any rank; the printed one has all layers. */
START_TEST(test_a_model_has_factors_of_groups)
{
	static struct tiny_training t;
	char recipe[200];
	struct tool_error error = {""};
	if (!tiny_training_open(&t))
		return;
	struct session *s = &t.session;
	ck_assert_msg(train_lorc(s->model, 1, 0.25f, t.path, recipe, sizeof recipe, &error), "%s",
	              error.text);
	ck_assert_str_eq(recipe, "layers=0-0: lorc:k=64,v=64 ; 1-: lorc:k=16,v=16");
	s->given.factors = tiny_session_take(t.path);
	tiny_session_expect_taken(s, recipe);
	tiny_session_expect_taken(s, "lorc:rank=0.5 | kivi");
	for (int weighed = 0; weighed < 2; weighed++) {
		free(s->given.factors.data);
		tiny_session_path(t.path);
		ck_assert_msg(train_recalkv(s, t.texts, 2, 4, weighed, t.path, &error), "%s", error.text);
		s->given.factors = tiny_session_take(t.path);
		expect_inverse(&s->given.factors, 128);
		tiny_session_expect_taken(s, "recalkv");
		tiny_session_expect_taken(s, "recalkv:k=16,v=1,heads=2 | kivi:bits=4");
	}
	session_close(s);
}
END_TEST

int main(void)
{
	struct tool_error error = {""};
	Suite *suite = suite_create("train groups");
	TCase *numbers = tcase_create("numbers"), *model = tcase_create("model");
	if (!eigen_ready(&error)) {
		printf("SKIPPED: %s\n", error.text);
		return 77;
	}
	tcase_set_timeout(numbers, 60);
	tcase_add_test(numbers, test_ranks_shrink_with_depth);
	tcase_add_loop_test(numbers, test_ranks_are_sixteens, 0, 6);
	tcase_add_test(numbers, test_the_weights_lose_the_dropped_singular_values);
	tcase_add_test(numbers, test_whitened_factors_lose_no_more);
	tcase_add_loop_test(numbers, test_no_half_of_calibration_loses_more, 0, 3);
	tcase_add_test(numbers, test_singular_latents_are_named);
	tcase_add_test(numbers, test_alike_heads_are_grouped);
	tcase_set_timeout(model, 240);
	tcase_add_test(model, test_a_model_has_factors_of_groups);
	suite_add_tcase(suite, numbers);
	suite_add_tcase(suite, model);
	return run_suite(suite);
}
