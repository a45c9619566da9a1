/* SPDX-License-Identifier: MIT */
/** \file check_calibration_share.c \brief Bits shared out among heads: costs against attention in double, the best shares, a
 *  model's. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "calibration_costs.h"
#include "calibration_probe.h"
#include "calibration_share.h"
#include "support/random.h"
#include "support/suite.h"
#include "support/tiny_calibration.h"
#include "support/tiny_session.h"

static float normal(uint64_t seed, size_t i)
{
	return (float)random_normal(random_mix(seed, i));
}

/* ---------------------------------------------------------------- shares ---- */

enum { LEVELS = 5, UNITS = 8 };
static const double factors[LEVELS] = {0.25, 0.5, 1, 2, 4};

/* Costs a f^2 and bits 5 - log2 f: at the best all units cost the same, and the product of factors is 1. */
static void make_points(struct share_point *points, const double *a)
{
	for (size_t u = 0; u < UNITS; u++)
		for (size_t i = 0; i < LEVELS; i++)
			points[u * LEVELS + i] = (struct share_point){.cost = a[u] * factors[i] * factors[i],
			                                              .bits = 5 - log2(factors[i])};
}

START_TEST(test_one_price_for_all)
{
	static const double a[UNITS] = {1, 2, 4, 8, 1, 0.5, 0.25, 0.125};
	const double grid = pow(16, 1.0 / 96) * 1.001; /* factors are steps of a grid */
	struct share_point points[UNITS * LEVELS];
	double chosen[UNITS], product = 1, mean = 1;
	make_points(points, a);
	calibration_share(points, factors, LEVELS, UNITS, chosen);
	for (size_t u = 0; u < UNITS; u++) {
		product *= chosen[u];
		mean *= pow(a[u], 1.0 / UNITS);
	}
	/* no more bits than at factor 1, and less than one step of all units fewer */
	ck_assert_double_ge(product, 1 - 1e-9);
	ck_assert_double_le(product, pow(grid, UNITS));
	for (size_t u = 0; u < UNITS; u++) {
		const double best = sqrt(mean / a[u]);
		ck_assert_msg(chosen[u] <= best * grid * grid && chosen[u] >= best / grid,
		              "unit %zu: %g, not %g", u, chosen[u], best);
	}
}
END_TEST

/* Units without cost take what is coarsest, and leave their bits to others; of alike ones none is moved. */
START_TEST(test_what_costs_nothing_gives_its_bits)
{
	double a[UNITS] = {1, 1, 1, 1, 1, 1, 1, 0}, chosen[UNITS];
	struct share_point points[UNITS * LEVELS];
	make_points(points, a);
	calibration_share(points, factors, LEVELS, UNITS, chosen);
	ck_assert_double_eq_tol(chosen[UNITS - 1], 4, 1e-9);
	for (size_t u = 0; u + 1 < UNITS; u++)
		ck_assert_double_lt(chosen[u], 1);
	a[UNITS - 1] = 1;
	make_points(points, a);
	calibration_share(points, factors, LEVELS, UNITS, chosen);
	for (size_t u = 0; u < UNITS; u++)
		ck_assert_double_eq_tol(chosen[u], 1, 0.03);
}
END_TEST

/* ---------------------------------------------------------------- costs ---- */

enum { DIM = 32, GROUP = 2, N = 320, QUERIES = 5, CODED = N - CALIBRATION_SINKS };

static float keys[N * DIM], values[N * DIM], queries[QUERIES * GROUP * DIM],
	gram[GROUP * DIM * DIM];
static size_t positions[QUERIES];
static float k_step[DIM], k_mean[DIM], v_mean[DIM], k_error[TOKEN_CLASSES * DIM], v_step = 0.25f;
static float threshold[TOKEN_CLASSES - 1] = {1, 0}, scores[CODED];
static signed char k_codes[DIM * CODED], v_codes[DIM * CODED];
static float k_errors[CODED * DIM], v_errors[CODED * DIM];
static unsigned char classes[CODED];
static const float factor[TOKEN_CLASSES] = {0.5f, 0.8f, 1.3f};

static const struct head_calibration head = {
	.dim = DIM,
	.k_step = k_step,
	.k_mean = k_mean,
	.k_error = k_error,
	.threshold = threshold,
	.v_step = &v_step,
	.v_mean = v_mean,
	.k_factor = factor,
	.v_factor = factor,
};

static void make_rows(void)
{
	for (size_t i = 0; i < N * DIM; i++) {
		keys[i] = normal(1, i);
		values[i] = normal(2, i) + 0.5f;
	}
	for (size_t i = 0; i < QUERIES * GROUP * DIM; i++)
		queries[i] = normal(3, i);
	for (size_t i = 0; i < QUERIES; i++)
		positions[i] = N - 1 - 60 * i; /* the last ones find few or none that are sealed */
	for (size_t g = 0; g < GROUP; g++)
		for (size_t c = 0; c < DIM; c++)
			gram[(g * DIM + c) * DIM + c] = (float)(c + g + 1);
	for (size_t c = 0; c < DIM; c++) {
		k_step[c] = 0.2f + 0.01f * (float)c;
		k_mean[c] = 0.1f * (float)c;
		v_mean[c] = 2;
		for (size_t i = 0; i < TOKEN_CLASSES; i++)
			k_error[i * DIM + c] = 4.0f * (float)(i + 1);
	}
	for (size_t t = 0; t < CODED; t++) {
		scores[t] = (float)(t % 3) - 0.5f; /* -0.5, 0.5, 1.5: classes 2, 1, 0 */
		for (size_t c = 0; c < DIM; c++) {
			const size_t at = (CALIBRATION_SINKS + t) * DIM + c;
			const float f = factor[2 - t % 3];
			k_codes[c * CODED + t] = (signed char)lrintf((keys[at] / k_step[c] - k_mean[c]) / f);
			v_codes[c * CODED + t] = (signed char)lrintf((values[at] / v_step - v_mean[c]) / f);
		}
	}
}

static const size_t windows[] = {0, 250};
static size_t window;

/* Attention in double to the tokens before `end` that a row sees, of which those of sealed ones are as codes have them where
 * asked for. */
static void attend(const float *q, size_t end, bool coded_k, bool coded_v, double *out)
{
	const size_t from = window > 0 && end > window ? end - window : 0;
	double sum = 0, weight[N];
	for (size_t c = 0; c < DIM; c++)
		out[c] = 0;
	for (size_t t = from; t < end; t++) {
		const bool sealed = t >= CALIBRATION_SINKS && t + CALIBRATION_WINDOW < end;
		const size_t j = t - CALIBRATION_SINKS, class = 2 - j % 3;
		double logit = 0, bias = 0;
		for (size_t c = 0; c < DIM; c++) {
			const double step = (double)k_step[c], scaled = (double)q[c] * step / sqrt(DIM);
			double key = (double)keys[t * DIM + c];
			if (sealed && coded_k) {
				key = ((double)k_mean[c] + (double)factor[class] * k_codes[c * CODED + j]) * step;
				bias += scaled * scaled * (double)k_error[class * DIM + c] / 2;
			}
			logit += (double)q[c] * key / sqrt(DIM);
		}
		weight[t] = exp(logit - bias);
		sum += weight[t];
	}
	for (size_t t = from; t < end; t++) {
		const bool sealed = t >= CALIBRATION_SINKS && t + CALIBRATION_WINDOW < end;
		const size_t j = t - CALIBRATION_SINKS, class = 2 - j % 3;
		for (size_t c = 0; c < DIM; c++) {
			double value = (double)values[t * DIM + c];
			if (sealed && coded_v)
				value = ((double)v_mean[c] + (double)factor[class] * v_codes[c * CODED + j]) *
				        (double)v_step;
			out[c] += weight[t] / sum * value;
		}
	}
}

static double moved(size_t i, size_t g, bool coded_k, bool coded_v)
{
	const float *q = queries + (i * GROUP + g) * DIM;
	double is[DIM], was[DIM], sum = 0;
	attend(q, positions[i] + 1, false, false, was);
	attend(q, positions[i] + 1, coded_k, coded_v, is);
	for (size_t c = 0; c < DIM; c++)
		sum += (double)gram[(g * DIM + c) * DIM + c] * (is[c] - was[c]) * (is[c] - was[c]);
	return sum;
}

/* Floats of 2^-24 over sums of 300 terms: far below a thousandth. */
START_TEST(test_costs_are_what_attention_makes)
{
	static float scratch[2 * (N + DIM)];
	double k = 0, v = 0;
	make_rows();
	window = windows[_i];
	const struct head_rows rows = {
		.dim = DIM,
		.group = GROUP,
		.n = N,
		.n_queries = QUERIES,
		.keys = keys,
		.values = values,
		.queries = queries,
		.query_stride = GROUP * DIM,
		.positions = positions,
		.gram = gram,
		.scale = (float)(1 / sqrt(DIM)),
		.window = window,
	};
	const struct head_codes codes = {k_codes, v_codes, CODED};
	struct coded_rows coded = {CODED, k_errors, v_errors, classes};
	struct head_costs costs = {0, 0};
	head_errors(&head, keys + CALIBRATION_SINKS * DIM, values + CALIBRATION_SINKS * DIM, scores,
	            &codes, &coded);
	head_costs_add(&costs, &head, &rows, &coded, scratch);
	for (size_t i = 0; i < QUERIES; i++)
		for (size_t g = 0; g < GROUP; g++) {
			k += moved(i, g, true, false);
			v += moved(i, g, false, true);
		}
	ck_assert(k > 0 && v > 0);
	ck_assert_double_eq_tol(costs.k / k, 1, 1e-3);
	ck_assert_double_eq_tol(costs.v / v, 1, 1e-3);
	for (size_t t = 0; t < CODED; t++)
		ck_assert_uint_eq(classes[t], 2 - t % 3);
}
END_TEST

/* ---------------------------------------------------------------- of a model ---- */

enum { LENGTH = CALIBRATION_LEAST_TOKENS, ROWS = 128, CONTEXT = 96, SCORED = 16 };

static float *times(const float *x, size_t n, float by)
{
	float *y = malloc(n * sizeof *y);
	ck_assert_ptr_nonnull(y);
	for (size_t i = 0; i < n; i++)
		y[i] = by * x[i];
	return y;
}

/* The model's own rows move nothing; others do, those of K and of V. */
START_TEST(test_a_probe_sees_one_layer)
{
	struct session s;
	struct tool_error error = {""};
	struct engine_stream stream = {0};
	struct calibration_probe probe;
	struct kept_rows rows;
	int32_t ids[CONTEXT + SCORED];
	double still, by_k, by_v;
	if (!tiny_session_open(&s, ROWS))
		return;
	tiny_session_text(&s, 0, ids, CONTEXT + SCORED);
	const struct text_input text = {ids, CONTEXT + SCORED};
	const size_t width = (size_t)s.model->kv_heads * (size_t)s.model->head_dim;
	ck_assert_msg(session_stream_open(&s, "f16", text.n, &stream, &error) &&
	                  session_prompt(&s, &stream, ids, text.n, NULL, &error) &&
	                  kept_rows_open(&s, CONTEXT, &rows, &error) &&
	                  kept_rows_read(&s, &stream, 0, 0, CONTEXT, &rows, &error),
	              "%s", error.text);
	float *other_keys = times(rows.keys, CONTEXT * width, -64),
		  *other_values = times(rows.values, CONTEXT * width, -64);
	ck_assert_msg(calibration_probe_open(&probe, &s, &text, &stream, CONTEXT, SCORED, &error), "%s",
	              error.text);
	const struct layer_rows own = {0, rows.keys, rows.values}, k = {0, other_keys, rows.values},
							v = {0, rows.keys, other_values};
	ck_assert_msg(calibration_probe_ask(&probe, &own, &still, &error) &&
	                  calibration_probe_ask(&probe, &k, &by_k, &error) &&
	                  calibration_probe_ask(&probe, &v, &by_v, &error),
	              "%s", error.text);
	ck_assert_double_eq_tol(still, 0, 1e-12);
	/* no more than 1e-9 of either sign is rounding */
	ck_assert_double_gt(by_k, 1e-8);
	ck_assert_double_gt(by_v, 1e-8);
	calibration_probe_close(&probe);
	kept_rows_close(&rows);
	session_stream_close(&stream);
	free(other_keys);
	free(other_values);
	session_close(&s);
}
END_TEST

enum { MOST_HEADS = 16 };

/* factors_of [heads]: steps of K over those of one step for all, the same in all channels of a head; returns how many aren't 1. */
static size_t expect_moved(const struct session *s, const char *even, const char *shared,
                           float least, float most, float *factors_of)
{
	const size_t dim = (size_t)s->model->head_dim;
	const size_t heads = (size_t)s->model->n_layers * (size_t)s->model->kv_heads;
	size_t moved_heads = 0;
	ck_assert_uint_le(heads, MOST_HEADS);
	for (size_t h = 0; h < heads; h++) {
		const float first = tiny_calibration_factor(shared, even, dim, h);
		ck_assert_msg(first >= 0.999f * least && first <= 1.001f * most,
		              "head %zu: %g times the step", h, (double)first);
		moved_heads += fabsf(first - 1) > 0.05f;
		factors_of[h] = first;
	}
	return moved_heads;
}

static struct calibrator *gather(struct session *s, int32_t ids[LENGTH])
{
	struct tool_error error = {""};
	struct calibrator *c;
	const struct text_input text = {ids, LENGTH};
	for (int i = 0; i < LENGTH; i++)
		ids[i] = i * i % s->model->vocabulary;
	ck_assert_msg(calibrator_open(s, &text, 1, false, &c, &error), "%s", error.text);
	return c;
}

/* Shared bits are those of one step for all: between levels a line stands for what is bent, by a hundredth or so. The channels of a
 * head keep their proportions, and some head has others' bits. */
START_TEST(test_shares_keep_the_bits)
{
	static int32_t ids[LENGTH];
	struct session s;
	struct tool_error error = {""};
	struct calibration_bits even, shared, again;
	float factors_of[MOST_HEADS];
	size_t size, other;
	if (!tiny_session_open(&s, ROWS))
		return;
	struct calibrator *c = gather(&s, ids);
	char *a = tiny_calibration(c, 1e-3f, &even, &size);
	ck_assert_msg(calibrator_share(c, 1e-3f, 1e-3f, &error), "%s", error.text);
	char *b = tiny_calibration(c, 1e-3f, &shared, &other);
	ck_assert_uint_eq(size, other);
	ck_assert_double_le(shared.bytes, 1.03 * even.bytes);
	ck_assert_uint_gt(expect_moved(&s, a, b, 0.3f, 4, factors_of), 0);
	/* the same texts, the same shares */
	ck_assert_msg(calibrator_share(c, 1e-3f, 1e-3f, &error), "%s", error.text);
	char *d = tiny_calibration(c, 1e-3f, &again, &other);
	ck_assert_mem_eq(b, d, size);
	free(a);
	free(b);
	free(d);
	calibrator_close(c);
	session_close(&s);
}
END_TEST

/* No step of K is above the other file's. */
static void expect_finer(const struct session *s, const char *fine, const char *coarse)
{
	const size_t dim = (size_t)s->model->head_dim;
	const size_t heads = (size_t)s->model->n_layers * (size_t)s->model->kv_heads;
	for (size_t h = 0; h < heads; h++)
		for (size_t i = 0; i < dim; i++) {
			const size_t at = CALIBRATION_HEADS_AT + h * calibration_head_bytes(dim) + 4 * i;
			ck_assert_float_le(tiny_calibration_float(fine, at),
			                   1.00001f * tiny_calibration_float(coarse, at));
		}
}

/* Costs that are measured once serve files of several deltas, in any order: each keeps the bits of its own. Of the same costs more bits
 * leave no head coarser steps, and some head other proportions. */
START_TEST(test_shares_serve_several_deltas)
{
	enum { DELTAS = 3 };
	static const float deltas[DELTAS] = {4e-4f, 5e-5f, 1e-4f};
	static int32_t ids[LENGTH];
	struct session s;
	struct tool_error error = {""};
	struct calibration_bits even[DELTAS], shared;
	float factors_of[DELTAS][MOST_HEADS];
	char *a[DELTAS], *b[DELTAS];
	size_t size, other = 0;
	if (!tiny_session_open(&s, ROWS))
		return;
	struct calibrator *c = gather(&s, ids);
	for (size_t i = 0; i < DELTAS; i++)
		a[i] = tiny_calibration(c, deltas[i], &even[i], &size);
	ck_assert_msg(calibrator_share(c, deltas[1], deltas[0], &error), "%s", error.text);
	for (size_t i = 0; i < DELTAS; i++) {
		b[i] = tiny_calibration(c, deltas[i], &shared, &size);
		ck_assert_double_le(shared.bytes, 1.03 * even[i].bytes);
		ck_assert_uint_gt(expect_moved(&s, a[i], b[i], 0.3f * deltas[1] / deltas[i],
		                               4 * deltas[0] / deltas[i], factors_of[i]),
		                  0);
	}
	expect_finer(&s, b[1], b[2]);
	expect_finer(&s, b[2], b[0]);
	for (size_t h = 0; h < (size_t)s.model->n_layers * (size_t)s.model->kv_heads; h++)
		other += fabsf(factors_of[0][h] / factors_of[1][h] - 1) > 0.05f;
	ck_assert_uint_gt(other, 0);
	char *again = tiny_calibration(c, deltas[0], &shared, &size);
	ck_assert_mem_eq(again, b[0], size);
	free(again);
	for (size_t i = 0; i < DELTAS; i++) {
		free(a[i]);
		free(b[i]);
	}
	calibrator_close(c);
	session_close(&s);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("calibration_share");
	TCase *numbers = tcase_create("numbers"), *model = tcase_create("model");
	tcase_add_test(numbers, test_one_price_for_all);
	tcase_add_test(numbers, test_what_costs_nothing_gives_its_bits);
	tcase_add_loop_test(numbers, test_costs_are_what_attention_makes, 0, 2);
	tcase_add_test(model, test_a_probe_sees_one_layer);
	tcase_add_test(model, test_shares_keep_the_bits);
	tcase_add_test(model, test_shares_serve_several_deltas);
	tcase_set_timeout(model, 240);
	suite_add_tcase(suite, numbers);
	suite_add_tcase(suite, model);
	return run_suite(suite);
}
