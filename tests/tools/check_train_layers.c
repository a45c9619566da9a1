/* SPDX-License-Identifier: MIT */
/** \file check_train_layers.c \brief Factors of layers that share latents of the first one's rows: least squares, of a small
 *  model. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "eigen.h"
#include "shared_fit.h"
#include "support/suite.h"
#include "support/tiny_session.h"
#include "train_groups.h"

enum { WIDTH = 12, SHARE = 3, ALL = SHARE * WIDTH, SAMPLES = 200 };

/* Between -1 and 1. */
static double number(void)
{
	return rand() / (RAND_MAX / 2.0) - 1;
}

/* Rows of the layers: the first's, of different strength by channel; the second's a sum of them; the third's one and noise. */
static struct layers {
	double x[SAMPLES][SHARE][WIDTH];
	double moment[ALL * ALL], own[SHARE - 1];
	float down[ALL * WIDTH], up[WIDTH * ALL];
} layers;

static void make_layers(void)
{
	double sums[SHARE][WIDTH][WIDTH];
	memset(&layers, 0, sizeof layers);
	srand(5);
	for (int i = 0; i < SHARE * WIDTH * WIDTH; i++)
		sums[i / WIDTH / WIDTH][i / WIDTH % WIDTH][i % WIDTH] = number();
	for (int s = 0; s < SAMPLES; s++) {
		for (int c = 0; c < WIDTH; c++) {
			layers.x[s][0][c] = number() / (1 + c);
			layers.x[s][2][c] = number();
		}
		for (int l = 1; l < SHARE; l++)
			for (int i = 0; i < WIDTH * WIDTH; i++)
				layers.x[s][l][i % WIDTH] +=
					layers.x[s][0][i / WIDTH] * sums[l][i / WIDTH][i % WIDTH];
		const double *x = layers.x[s][0];
		for (int i = 0; i < ALL * ALL; i++)
			layers.moment[i] += x[i / ALL] * x[i % ALL] / SAMPLES;
		for (int l = 1; l < SHARE; l++)
			for (int c = 0; c < WIDTH; c++)
				layers.own[l - 1] += layers.x[s][l][c] * layers.x[s][l][c] / SAMPLES;
	}
}

static struct shared_side fit(void)
{
	const struct shared_side side = {WIDTH, SHARE, layers.moment};
	struct tool_error error = {""};
	make_layers();
	ck_assert_msg(shared_fit_first(&side, layers.down, layers.up, &error), "%s", error.text);
	return side;
}

/* The mean square of what `rank` latents, of all layers' rows by down [ALL][columns], lose of a layer's rows. */
static double loss(int layer, size_t rank, size_t columns, const float *down, const float *up)
{
	double sum = 0;
	for (int s = 0; s < SAMPLES; s++) {
		double e[WIDTH];
		memcpy(e, layers.x[s][layer], sizeof e);
		for (size_t r = 0; r < rank; r++) {
			double z = 0;
			for (int i = 0; i < ALL; i++)
				z += layers.x[s][i / WIDTH][i % WIDTH] * (double)down[(size_t)i * columns + r];
			for (int c = 0; c < WIDTH; c++)
				e[c] -= z * (double)up[r * ALL + (size_t)(layer * WIDTH + c)];
		}
		for (int c = 0; c < WIDTH; c++)
			sum += e[c] * e[c] / SAMPLES;
	}
	return sum;
}

/* All latents give back the first layer's rows, and those that are sums of them; A has nothing of other layers. */
START_TEST(test_what_the_first_layer_says_is_kept)
{
	fit();
	for (size_t i = WIDTH * WIDTH; i < ALL * WIDTH; i++)
		ck_assert_float_eq(layers.down[i], 0);
	ck_assert_double_lt(loss(0, WIDTH, WIDTH, layers.down, layers.up), 1e-8);
	ck_assert_double_lt(loss(1, WIDTH, WIDTH, layers.down, layers.up), 1e-8 * layers.own[0]);
	ck_assert_double_gt(loss(2, WIDTH, WIDTH, layers.down, layers.up), 1);
}
END_TEST

/* CLLA's stand-in: at any number of latents no other B of the other layers loses less, and what is said to be explained is. */
START_TEST(test_other_layers_lose_least)
{
	static float other[WIDTH * ALL];
	const struct shared_side side = fit();
	const double all = layers.own[0] + layers.own[1];
	for (size_t rank = 0; rank <= WIDTH; rank += 4) {
		double lost = loss(1, rank, WIDTH, layers.down, layers.up) +
		              loss(2, rank, WIDTH, layers.down, layers.up);
		ck_assert_double_eq_tol(shared_explained(&side, layers.up, rank), 1 - lost / all, 1e-5);
		for (int i = 0; i < 20 && rank > 0; i++) {
			memcpy(other, layers.up, sizeof other);
			for (size_t c = WIDTH; c < ALL; c++)
				other[(size_t)rand() % rank * ALL + c] += (float)(0.1 * number());
			ck_assert_double_gt(loss(1, rank, WIDTH, layers.down, other) +
			                        loss(2, rank, WIDTH, layers.down, other),
			                    lost);
		}
	}
}
END_TEST

/* Of all layers' rows latents lose no more of them together than those of the first one's do. */
START_TEST(test_joint_latents_lose_no_more)
{
	static float down[ALL * ALL], up[ALL * ALL];
	const struct shared_side side = fit();
	struct tool_error error = {""};
	ck_assert_msg(shared_fit_all(&side, down, up, &error), "%s", error.text);
	for (size_t rank = 0; rank <= WIDTH; rank += 3) {
		double first = 0, joint = 0;
		for (int l = 0; l < SHARE; l++) {
			first += loss(l, rank, WIDTH, layers.down, layers.up);
			joint += loss(l, rank, ALL, down, up);
		}
		ck_assert_double_le(joint, first * (1 + 1e-6));
	}
}
END_TEST

START_TEST(test_a_model_has_factors_of_layers)
{
	static struct tiny_training t;
	struct tool_error error = {""};
	double explained[2][2];
	if (!tiny_training_open(&t))
		return;
	struct session *s = &t.session;
	ck_assert(!train_clla(s, t.texts, 2, 3, false, t.path, explained, &error));
	ck_assert_msg(strstr(error.text, "--share 3 doesn't divide") != NULL, "%s", error.text);
	ck_assert_msg(train_clla(s, t.texts, 2, 2, false, t.path, explained, &error), "%s", error.text);
	for (int side = 0; side < 2; side++) {
		ck_assert_double_gt(explained[side][1], 0);
		ck_assert_double_gt(explained[side][0], explained[side][1]);
		ck_assert_double_lt(explained[side][0], 1.001);
	}
	s->given.factors = tiny_session_take(t.path);
	tiny_session_expect_taken(s, "clla | kivi:bits=4");
	free(s->given.factors.data);
	tiny_session_path(t.path);
	ck_assert_msg(train_clla(s, t.texts, 2, 2, true, t.path, explained, &error), "%s", error.text);
	s->given.factors = tiny_session_take(t.path);
	tiny_session_expect_taken(s, "lowrank:share=2,rank=1,heads_k=2,heads_v=2,rope=before");
	session_close(s);
}
END_TEST

int main(void)
{
	struct tool_error error = {""};
	Suite *suite = suite_create("train layers");
	TCase *numbers = tcase_create("numbers"), *model = tcase_create("model");
	if (!eigen_ready(&error)) {
		printf("SKIPPED: %s\n", error.text);
		return 77;
	}
	tcase_add_test(numbers, test_what_the_first_layer_says_is_kept);
	tcase_add_test(numbers, test_other_layers_lose_least);
	tcase_add_test(numbers, test_joint_latents_lose_no_more);
	tcase_set_timeout(model, 240);
	tcase_add_test(model, test_a_model_has_factors_of_layers);
	suite_add_tcase(suite, numbers);
	suite_add_tcase(suite, model);
	return run_suite(suite);
}
