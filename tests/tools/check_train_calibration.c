/* SPDX-License-Identifier: MIT */
/** \file check_train_calibration.c \brief Calibrations: statistics against plain sums in double, fits and codes of made-up heads, files. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "calibration_fit.h"
#include "support/random.h"
#include "support/suite.h"
#include "support/tiny_calibration.h"
#include "support/tiny_session.h"

enum { DIM = 32, GROUP = 2, N = 320, QUERIES = 6, ROWS = 128, WIDTH = 2 * GROUP * DIM };

static float normal(uint64_t seed, size_t i)
{
	return (float)random_normal(random_mix(seed, i));
}

/* ---------------------------------------------------------------- statistics ---- */

/* A head among two: rows of queries have those of the other behind them. */
struct made {
	float keys[N * DIM], values[N * DIM], queries[QUERIES * WIDTH], gram[GROUP * DIM * DIM];
	size_t positions[QUERIES];
};

static struct made made;

static void make_rows(void)
{
	static float weights[DIM * DIM];
	memset(&made, 0, sizeof made);
	for (size_t i = 0; i < N * DIM; i++) {
		made.keys[i] = normal(1, i);
		made.values[i] = normal(2, i) + 0.5f;
	}
	for (size_t i = 0; i < QUERIES * WIDTH; i++)
		made.queries[i] = normal(3, i);
	for (size_t i = 0; i < QUERIES; i++)
		made.positions[i] = N / 2 + i * (N / 2 - 1) / (QUERIES - 1);
	for (size_t g = 0; g < GROUP; g++) {
		for (size_t i = 0; i < DIM * DIM; i++)
			weights[i] = normal(4 + g, i);
		for (size_t i = 0; i < DIM * DIM; i++)
			for (size_t e = 0; e < DIM; e++)
				made.gram[g * DIM * DIM + i] +=
					weights[i / DIM * DIM + e] * weights[i % DIM * DIM + e];
	}
}

/* What the sums must be, in double, from their definitions. */
struct wanted {
	double first[DIM], second[DIM * DIM], weighed[DIM], noise, spread;
	double key_costs[N], value_costs[N];
};

static double dot(const float *x, const float *y)
{
	double sum = 0;
	for (size_t c = 0; c < DIM; c++)
		sum += (double)x[c] * (double)y[c];
	return sum;
}

/* d G d of the distance of token t's value from out. */
static double moves(const float *gram, size_t t, const double *out)
{
	double sum = 0;
	for (size_t i = 0; i < DIM; i++)
		for (size_t j = 0; j < DIM; j++)
			sum += ((double)made.values[t * DIM + i] - out[i]) * (double)gram[i * DIM + j] *
			       ((double)made.values[t * DIM + j] - out[j]);
	return sum;
}

static void want_query(struct wanted *w, const float *q, const float *gram, size_t position,
                       size_t from)
{
	double p[N] = {0}, sum = 0, out[DIM] = {0}, noise = 0, trace = 0;
	for (size_t t = from; t <= position; t++)
		sum += p[t] = exp(dot(q, made.keys + t * DIM) / sqrt(DIM));
	for (size_t t = from; t <= position; t++)
		for (size_t c = 0; c < DIM; c++)
			out[c] += p[t] / sum * (double)made.values[t * DIM + c];
	for (size_t c = 0; c < DIM; c++)
		trace += (double)gram[c * DIM + c];
	for (size_t t = from > CALIBRATION_SINKS ? from : CALIBRATION_SINKS;
	     t <= position - CALIBRATION_WINDOW; t++) {
		const double square = p[t] / sum * p[t] / sum, cost = square * moves(gram, t, out);
		w->key_costs[t] += cost;
		w->value_costs[t] += square * trace;
		w->spread += square * trace;
		noise += cost;
	}
	w->noise += noise;
	for (size_t i = 0; i < DIM * DIM; i++) {
		w->first[i % DIM] += i < DIM ? (double)q[i] : 0;
		w->second[i] += (double)q[i / DIM] * (double)q[i % DIM];
		w->weighed[i % DIM] += i < DIM ? noise * (double)q[i] * (double)q[i] : 0;
	}
}

/* f32 rounds by 2^-24, of sums of 320 terms and exponentials of some tens; 1e-4 of the largest is far above. */
static void expect_near(const char *what, const double *got, const double *want, size_t n)
{
	double most = 0;
	for (size_t i = 0; i < n; i++)
		most = fmax(most, fabs(want[i]));
	ck_assert_double_gt(most, 0);
	for (size_t i = 0; i < n; i++)
		ck_assert_msg(fabs(got[i] - want[i]) <= 1e-4 * most, "%s [%zu]: %g, not %g", what, i,
		              got[i], want[i]);
}

/* With all tokens, and with those of a sliding window, which leaves the sinks out. */
START_TEST(test_statistics_are_their_sums)
{
	static struct wanted want, got;
	static float scratch[(1 + GROUP) * N + 2 * DIM];
	const size_t window = _i ? 150 : 0;
	struct head_stats stats = {
		.dim = DIM, .first = got.first, .second = got.second, .weighed = got.weighed};
	make_rows();
	memset(&want, 0, sizeof want);
	memset(&got, 0, sizeof got);
	const struct head_rows rows = {
		.dim = DIM,
		.group = GROUP,
		.n = N,
		.n_queries = QUERIES,
		.keys = made.keys,
		.values = made.values,
		.queries = made.queries,
		.query_stride = WIDTH,
		.positions = made.positions,
		.gram = made.gram,
		.scale = (float)(1 / sqrt(DIM)),
		.window = window,
		.key_costs = got.key_costs,
		.value_costs = got.value_costs,
	};
	head_stats_add(&stats, &rows, scratch);
	for (size_t i = 0; i < QUERIES; i++)
		for (size_t g = 0; g < GROUP; g++)
			want_query(&want, made.queries + i * WIDTH + g * DIM, made.gram + g * DIM * DIM,
			           made.positions[i], window ? made.positions[i] + 1 - window : 0);
	ck_assert_uint_eq(stats.rows, QUERIES);
	ck_assert_uint_eq(stats.queries, QUERIES * GROUP);
	expect_near("first", got.first, want.first, DIM);
	expect_near("second", got.second, want.second, DIM * DIM);
	expect_near("weighed", got.weighed, want.weighed, DIM);
	expect_near("key costs", got.key_costs, want.key_costs, N);
	expect_near("value costs", got.value_costs, want.value_costs, N);
	expect_near("noise", &stats.noise, &want.noise, 1);
	expect_near("spread", &stats.spread, &want.spread, 1);
}
END_TEST

/* ---------------------------------------------------------------- a head ---- */

enum { TOKENS = 4000 };

static float k_step[DIM], k_mean[DIM], k_ask[DIM], k_square[DIM], k_error[TOKEN_CLASSES * DIM];
static float threshold[TOKEN_CLASSES - 1], v_step, v_mean[DIM];
static float keys[TOKENS * DIM], values[TOKENS * DIM], scores[TOKENS], sorted[TOKENS];
static double costs[TOKENS];

static struct head_calibration head_of(void)
{
	static const float k_factor[] = {0.5f, 0.8f, 1.3f}, v_factor[] = {0.4f, 0.8f, 1.4f};
	return (struct head_calibration){
		.dim = DIM,
		.k_step = k_step,
		.k_mean = k_mean,
		.k_ask = k_ask,
		.k_square = k_square,
		.k_error = k_error,
		.threshold = threshold,
		.v_step = &v_step,
		.v_mean = v_mean,
		.k_factor = k_factor,
		.v_factor = v_factor,
	};
}

/* Of queries x with mean 1 in channel 0 and variance c + 1 in channel c, asked by 5 rows of 2 heads; channel 3 weighs nothing. */
START_TEST(test_steps_follow_from_statistics)
{
	double first[DIM] = {0}, second[DIM * DIM] = {0}, weighed[DIM] = {0};
	double key_mean[DIM] = {0}, plain_mean[DIM] = {0}, value_mean[DIM] = {0}, reach[DIM] = {0};
	double mean = 0;
	struct head_calibration head = head_of();
	const struct head_stats stats = {.dim = DIM,
	                                 .queries = 10,
	                                 .rows = 5,
	                                 .first = first,
	                                 .second = second,
	                                 .weighed = weighed,
	                                 .spread = 40};
	struct head_measure m = {.k_delta = 0.01,
	                         .v_delta = 0.012,
	                         .norm = 2,
	                         .traces = 1,
	                         .scale = 0.25f,
	                         .key_mean = key_mean,
	                         .plain_mean = plain_mean,
	                         .value_mean = value_mean,
	                         .key_reach = reach};
	first[0] = 10;
	second[0] = 10;
	for (size_t c = 0; c < DIM; c++) {
		second[c * DIM + c] += 10 * (double)(c + 1);
		weighed[c] = c == 3 ? 0 : (double)(c + 1);
		mean += weighed[c] / (5 * DIM * 4.0) / DIM;
		key_mean[c] = (double)c;
		plain_mean[c] = (double)(3 * c);
		value_mean[c] = 7;
	}
	second[1 * DIM + 2] = second[2 * DIM + 1] = 30;
	head_calibrate(&stats, &m, &head);
	for (size_t c = 0; c < DIM; c++) {
		const double weight = weighed[c] / (5 * DIM * 4.0) + 0.01 * mean;
		ck_assert_double_eq_tol((double)k_step[c], 0.01 / sqrt(weight), 1e-5 / sqrt(weight));
		ck_assert_double_eq_tol((double)(k_mean[c] * k_step[c]), (double)(3 * c), 1e-4);
		ck_assert_double_eq_tol((double)(v_mean[c] * v_step), 7, 1e-4);
		/* half of scale^2 variance / 2, and of scale^2 times what is off the diagonal times the mean key */
		const double pull = c == 1 ? 3 * 2.0 : c == 2 ? 3 * 1.0 : 0;
		ck_assert_double_eq_tol((double)(k_square[c] / (k_step[c] * k_step[c])),
		                        (double)(c + 1) / 64, 1e-4 * (double)(c + 1));
		ck_assert_double_eq_tol((double)(k_ask[c] / k_step[c]), (c == 0 ? 0.25 : 0) + pull / 32,
		                        1e-4);
	}
	ck_assert_double_eq_tol((double)v_step, 1.2 * 0.01 / sqrt(40 / 5.0 / (DIM * 4.0)), 1e-5);
	/* rows that codes of the finest class, 0.5 and 0.4, would not reach */
	reach[1] = 480;
	m.value_reach = 384;
	head_calibrate(&stats, &m, &head);
	ck_assert_double_eq_tol((double)k_step[1], 10, 1e-5);
	ck_assert_double_eq_tol((double)v_step, 10, 1e-5);
	/* of a pair that RoPE turns: the farther reach, and the mean of weights, 3 and 0 of channels 2 and 3 */
	head.turned = 4;
	head_calibrate(&stats, &m, &head);
	ck_assert_float_eq(k_step[0], k_step[1]);
	ck_assert_float_eq(k_step[2], k_step[3]);
	const double weight = 1.5 / (5 * DIM * 4.0) + 0.01 * mean;
	ck_assert_double_eq_tol((double)k_step[2], 0.01 / sqrt(weight), 1e-5 / sqrt(weight));
}
END_TEST

/* A head that nobody attends to, of queries or none, has steps that a file takes. */
START_TEST(test_heads_without_weight_have_steps)
{
	static double zeros[DIM * DIM], second[DIM * DIM];
	struct head_calibration head = head_of();
	struct head_stats stats = {
		.dim = DIM, .queries = 10, .rows = 5, .first = zeros, .second = second, .weighed = zeros};
	const struct head_measure m = {.k_delta = 0.01,
	                               .v_delta = 0.012,
	                               .norm = 1,
	                               .scale = 1,
	                               .key_mean = zeros,
	                               .plain_mean = zeros,
	                               .value_mean = zeros,
	                               .key_reach = zeros};
	for (size_t c = 0; c < DIM; c++)
		second[c * DIM + c] = 10;
	head_calibrate(&stats, &m, &head);
	for (size_t c = 0; c < DIM; c++)
		ck_assert_double_eq_tol((double)k_step[c], 0.01 / sqrt(1e-5 / DIM), 1e-4);
	ck_assert(v_step >= 1e-12f && v_step <= 1e12f);
	stats.second = zeros;
	head_calibrate(&stats, &m, &head);
	ck_assert(k_step[0] >= 1e-12f && k_step[0] <= 1e12f && isfinite(k_mean[0]));
}
END_TEST

static void make_keys(uint64_t seed, size_t n)
{
	for (size_t i = 0; i < n * DIM; i++) {
		keys[i] = 2 * normal(seed, i) + 1;
		values[i] = normal(seed + 1, i);
	}
}

/* Of token t: a line in all channels, a bend in channel 5. */
static double cost_of(size_t t)
{
	double sum = 0;
	for (size_t c = 0; c < DIM; c++)
		sum += sin((double)c) * (double)keys[t * DIM + c];
	return sum - 0.5 * (double)(keys[t * DIM + 5] * keys[t * DIM + 5]);
}

static double correlation(size_t n)
{
	double x = 0, y = 0, xx = 0, yy = 0, xy = 0;
	for (size_t t = 0; t < n; t++) {
		const double a = (double)scores[t], b = cost_of(t);
		x += a;
		y += b;
		xx += a * a;
		yy += b * b;
		xy += a * b;
	}
	const double m = (double)n;
	return (xy - x * y / m) / sqrt((xx - x * x / m) * (yy - y * y / m));
}

/* What was expected says nothing; the costs of other tokens, whose logarithms are a line and a bend of the keys with noise of
 * deviation 1, are then found by the fit: the ridge of a third takes a quarter off each slope but turns none. */
START_TEST(test_costs_are_found_in_keys)
{
	struct head_calibration head = head_of();
	double *scratch = calloc(fit_doubles(DIM, TOKENS), sizeof *scratch);
	ck_assert_ptr_nonnull(scratch);
	make_keys(5, TOKENS);
	for (size_t c = 0; c < DIM; c++) {
		k_step[c] = 0.5f + (float)c / DIM;
		k_ask[c] = c % 2 ? 0.1f : -0.1f;
		k_square[c] = 0;
	}
	for (size_t t = 0; t < TOKENS; t++)
		costs[t] = exp(cost_of(t) + (double)normal(7, t));
	head_score(&head, keys, TOKENS, scores);
	ck_assert_double_lt(correlation(TOKENS), 0.5);
	head_fit(&head, keys, costs, TOKENS, scratch);
	make_keys(9, TOKENS);
	head_score(&head, keys, TOKENS, scores);
	ck_assert_double_gt(correlation(TOKENS), 0.98);
	free(scratch);
}
END_TEST

/* Keys that are all the same, costs that are: nothing to find, and nothing that isn't finite. */
START_TEST(test_nothing_to_find_is_harmless)
{
	struct head_calibration head = head_of();
	double *scratch = calloc(fit_doubles(DIM, 8), sizeof *scratch);
	ck_assert_ptr_nonnull(scratch);
	for (int same = 0; same < 2; same++) {
		make_keys(5, 8);
		for (size_t i = 0; i < 8 * DIM && same; i++)
			keys[i] = 3;
		for (size_t c = 0; c < DIM; c++) {
			k_step[c] = 1;
			k_ask[c] = k_square[c] = 1;
		}
		for (size_t t = 0; t < 8; t++)
			costs[t] = 1e-12;
		head_fit(&head, keys, costs, 8, scratch);
		for (size_t c = 0; c < DIM; c++)
			ck_assert(isfinite(k_ask[c]) && isfinite(k_square[c]));
	}
	free(scratch);
}
END_TEST

static void check_codes(const struct head_calibration *h, const signed char *k,
                        const signed char *v, size_t *counts)
{
	double errors[TOKEN_CLASSES * DIM] = {0};
	for (size_t t = 0; t < TOKENS; t++) {
		const size_t class = scores[t] > threshold[0] ? 0 : scores[t] > threshold[1] ? 1 : 2;
		counts[class]++;
		for (size_t c = 0; c < DIM; c++) {
			const double y = (double)(keys[t * DIM + c] / k_step[c]);
			const double back = (double)(k_mean[c] + h->k_factor[class] * (float)k[c * TOKENS + t]);
			ck_assert_double_le(fabs(y - back), (double)h->k_factor[class] / 2 + 1e-4);
			errors[class * DIM + c] += (y - back) * (y - back);
			const double z = (double)(values[t * DIM + c] / v_step);
			ck_assert_double_le(
				fabs(z - (double)(v_mean[c] + h->v_factor[class] * (float)v[c * TOKENS + t])),
				(double)h->v_factor[class] / 2 + 1e-4);
		}
	}
	for (size_t i = 0; i < TOKEN_CLASSES * DIM; i++)
		ck_assert_double_eq_tol((double)k_error[i], errors[i] / (double)counts[i / DIM], 1e-5);
}

START_TEST(test_codes_keep_their_bound)
{
	static signed char k[DIM * TOKENS], v[DIM * TOKENS];
	struct head_calibration head = head_of();
	double errors[TOKEN_CLASSES * DIM] = {0};
	size_t counts[TOKEN_CLASSES] = {0}, seen[TOKEN_CLASSES] = {0};
	const struct head_codes codes = {k, v, TOKENS};
	make_keys(5, TOKENS);
	v_step = 0.3f;
	for (size_t c = 0; c < DIM; c++) {
		k_step[c] = 0.5f + (float)c / DIM;
		k_ask[c] = c == 0;
		k_square[c] = 0;
		k_mean[c] = 1 / k_step[c];
		v_mean[c] = 0.25f;
	}
	head_score(&head, keys, TOKENS, scores);
	head_set_thresholds(&head, scores, TOKENS, sorted);
	head_encode(&head, keys, values, scores, TOKENS, &codes, errors, counts);
	head_set_errors(&head, errors, counts);
	check_codes(&head, k, v, seen);
	ck_assert_uint_eq(seen[0], TOKENS * 6 / 100);
	ck_assert_uint_eq(seen[0] + seen[1], TOKENS * 30 / 100);
	const size_t none[TOKEN_CLASSES] = {0};
	head_set_errors(&head, errors, none);
	ck_assert_double_eq_tol((double)k_error[2 * DIM], 1.3 * 1.3 / 12, 1e-6);
	keys[0] = 1e6f; /* codes end at 127 */
	keys[1] = -1e6f;
	head_encode(&head, keys, values, scores, 1, &codes, errors, counts);
	ck_assert(k[0] == 127 && k[TOKENS] == -127);
}
END_TEST

/* ---------------------------------------------------------------- of a model ---- */

enum { LENGTH = CALIBRATION_LEAST_TOKENS };

static struct calibrator *gather(struct session *s, size_t n_texts, bool before)
{
	static int32_t ids[2][LENGTH + 8];
	struct tool_error error = {""};
	struct calibrator *c;
	const struct text_input texts[] = {{ids[0], LENGTH}, {ids[1], LENGTH + 8}};
	for (int i = 0; i < LENGTH + 8; i++) {
		ids[0][i] = i * i % s->model->vocabulary;
		ids[1][i] = i * 37 % s->model->vocabulary;
	}
	ck_assert_msg(calibrator_open(s, texts, n_texts, before, &c, &error), "%s", error.text);
	return c;
}

static char *train(struct session *s, size_t n_texts, float delta, struct calibration_bits *bits,
                   size_t *size)
{
	struct calibrator *c = gather(s, n_texts, false);
	char *file = tiny_calibration(c, delta, bits, size);
	calibrator_close(c);
	return file;
}

/* Steps are proportional to delta; coarser ones take fewer bits; a second text changes them. */
START_TEST(test_files_follow_delta_and_texts)
{
	struct session s;
	struct calibration_bits fine, coarse, both;
	size_t size, other;
	if (!tiny_session_open(&s, ROWS))
		return;
	const size_t dim = (size_t)s.model->head_dim;
	const size_t heads = (size_t)s.model->n_layers * (size_t)s.model->kv_heads;
	const size_t head_bytes = calibration_head_bytes(dim);
	char *a = train(&s, 1, 1e-4f, &fine, &size), *b = train(&s, 1, 2e-4f, &coarse, &other);
	ck_assert_uint_eq(size, CALIBRATION_HEADS_AT + heads * head_bytes + 16 * 16396 + 8);
	ck_assert_uint_eq(size, other);
	ck_assert_float_eq(tiny_calibration_float(a, CALIBRATION_FACTORS_AT), 0.5f);
	ck_assert_float_eq(tiny_calibration_float(a, CALIBRATION_FACTORS_AT + 20), 1.4f);
	for (size_t h = 0; h < heads; h++) {
		const size_t at = CALIBRATION_HEADS_AT + h * head_bytes;
		for (size_t c = 0; c < dim; c++)
			ck_assert_float_eq_tol(tiny_calibration_float(b, at + 4 * c) /
			                           tiny_calibration_float(a, at + 4 * c),
			                       2, 1e-5f);
		ck_assert_float_eq_tol(tiny_calibration_float(b, at + 28 * dim + 8) /
		                           tiny_calibration_float(a, at + 28 * dim + 8),
		                       2, 1e-5f);
	}
	ck_assert_double_ge(fine.k, coarse.k);
	ck_assert_double_gt(fine.v, coarse.v);
	ck_assert_double_eq_tol(fine.bytes, ((fine.k + fine.v) * (double)dim + 2) * (double)heads / 8,
	                        1e-6);
	char *c = train(&s, 2, 1e-4f, &both, &size);
	ck_assert_uint_eq(size, other);
	ck_assert_mem_ne(a + CALIBRATION_HEADS_AT, c + CALIBRATION_HEADS_AT, 4 * dim);
	free(a);
	free(b);
	free(c);
	session_close(&s);
}
END_TEST

/* What is gathered serves any number of files, in any order: each is what it would be alone. */
START_TEST(test_one_gathering_serves_several_deltas)
{
	struct session s;
	struct calibration_bits bits, again;
	size_t size, other;
	if (!tiny_session_open(&s, ROWS))
		return;
	struct calibrator *c = gather(&s, 2, false);
	char *coarse = tiny_calibration(c, 2e-3f, &bits, &size),
		 *fine = tiny_calibration(c, 1e-4f, &again, &size);
	char *alone = train(&s, 2, 2e-3f, &again, &other);
	ck_assert_uint_eq(size, other);
	ck_assert_mem_eq(coarse, alone, size);
	ck_assert_mem_ne(coarse, fine, size);
	ck_assert_double_eq(bits.bytes, again.bytes);
	free(alone);
	alone = train(&s, 2, 1e-4f, &again, &other);
	ck_assert_mem_eq(fine, alone, size);
	free(coarse);
	free(fine);
	free(alone);
	calibrator_close(c);
	session_close(&s);
}
END_TEST

/* Pairs that turn by more than a quarter of a circle within the context are coded in front of RoPE, in steps alike; what classes
 * are chosen by stays that of keys behind it. */
START_TEST(test_fast_pairs_are_turned)
{
	struct session s;
	struct calibration_bits bits;
	size_t size;
	if (!tiny_session_open(&s, ROWS))
		return;
	const struct model *m = s.model;
	size_t turned = 0;
	while (turned < (size_t)m->rope_dims / 2 &&
	       pow((double)m->rope_base, -2.0 * (double)turned / m->rope_dims) * m->context > acos(0))
		turned++;
	struct calibrator *c = gather(&s, 1, true);
	char *before = tiny_calibration(c, 1e-4f, &bits, &size),
		 *behind = train(&s, 1, 1e-4f, &bits, &size);
	ck_assert_uint_gt(turned, 0);
	ck_assert_uint_eq((size_t)(unsigned char)before[CALIBRATION_FACTORS_AT + 24], turned);
	ck_assert_uint_eq((size_t)(unsigned char)behind[CALIBRATION_FACTORS_AT + 24], 0);
	for (size_t i = 0; i < turned; i++)
		ck_assert_mem_eq(before + CALIBRATION_HEADS_AT + 8 * i,
		                 before + CALIBRATION_HEADS_AT + 8 * i + 4, 4);
	ck_assert_mem_ne(before + CALIBRATION_HEADS_AT, behind + CALIBRATION_HEADS_AT,
	                 4 * (size_t)m->head_dim);
	free(before);
	free(behind);
	calibrator_close(c);
	session_close(&s);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("train_calibration");
	TCase *heads = tcase_create("heads"), *files = tcase_create("files");
	tcase_add_loop_test(heads, test_statistics_are_their_sums, 0, 2);
	tcase_add_test(heads, test_steps_follow_from_statistics);
	tcase_add_test(heads, test_heads_without_weight_have_steps);
	tcase_add_test(heads, test_costs_are_found_in_keys);
	tcase_add_test(heads, test_nothing_to_find_is_harmless);
	tcase_add_test(heads, test_codes_keep_their_bound);
	tcase_add_test(files, test_files_follow_delta_and_texts);
	tcase_add_test(files, test_one_gathering_serves_several_deltas);
	tcase_add_test(files, test_fast_pairs_are_turned);
	tcase_set_timeout(files, 240);
	suite_add_tcase(suite, heads);
	suite_add_tcase(suite, files);
	return run_suite(suite);
}
