/* SPDX-License-Identifier: MIT */
/** \file calibration_codes.c \brief Steps from statistics; classes of tokens; codes. */
#include "calibration_codes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CODE_MOST = 127, CODE_REACH = 96 };

/* Of a head's mean weight, so that a channel which no query asks for has a step too; of what queries are at all, and of values
 * that nobody attends to: for heads without any weight. */
static const double least_of_mean = 0.01, least_of_queries = 1e-5, least_spread = 1e-9;

/* Of tokens, by score: class 0, and classes 0 and 1. */
static const double shares[TOKEN_CLASSES - 1] = {0.06, 0.30};

/* What files take: lib's limits of steps and of means. */
static float within(double x, double least, double most)
{
	return (float)(x < least ? least : x > most ? most : x);
}

/* The finest class must reach the farthest row with codes that leave a third for other texts: a block with one code beyond
 * CODE_MOST is kept in half. factors: of the classes. */
static float step_of(double delta, double weight, double reach, const float *factors)
{
	double finest = (double)factors[0];
	for (size_t i = 1; i < TOKEN_CLASSES; i++)
		finest = fmin(finest, (double)factors[i]);
	return within(fmax(delta / sqrt(weight), reach / (finest * CODE_REACH)), 1e-12, 1e12);
}

static void set_steps(const struct head_stats *s, const struct head_measure *m,
                      struct head_calibration *h)
{
	const double dim = (double)s->dim, rows = (double)s->rows, square = m->norm * m->norm;
	double mean = 0;
	for (size_t c = 0; c < s->dim; c++)
		mean += s->weighed[c] / (rows * dim * square) / dim;
	for (size_t c = 0; c < s->dim; c++) {
		/* RoPE turns errors of a pair into each other */
		const size_t other = head_partner(h, c);
		const double asked = (s->second[c * s->dim + c] + s->second[other * s->dim + other]) /
		                     (2 * (double)s->queries * dim);
		const double weight =
			(s->weighed[c] + s->weighed[other]) / (2 * rows * dim * square) + least_of_mean * mean;
		const double least = least_of_queries * asked;
		h->k_step[c] = step_of(m->k_delta, weight > least ? weight : least,
		                       fmax(m->key_reach[c], m->key_reach[other]), h->k_factor);
	}
	const double spread = s->spread / rows + least_spread * m->traces;
	*h->v_step = step_of(m->v_delta, spread / (dim * square), m->value_reach, h->v_factor);
}

/* Queries are taken as normal: E exp(q k) = exp(mean k + k C k / 2) with C their covariance. Of C its diagonal stands for itself,
 * what is off it for the mean key alone, where it is linear in the key. Half of what C says: a group's heads are several
 * distributions, and fewer tokens than a normal one's are asked for by rare queries. */
static void set_expected(const struct head_stats *s, const struct head_measure *m,
                         struct head_calibration *h)
{
	const size_t dim = s->dim;
	const double n = (double)s->queries, scale = (double)m->scale;
	for (size_t c = 0; c < dim; c++) {
		const double mean = s->first[c] / n, step = (double)h->k_step[c];
		double pull = 0;
		for (size_t d = 0; d < dim; d++)
			if (d != c)
				pull += (s->second[c * dim + d] / n - mean * s->first[d] / n) * m->key_mean[d];
		const double variance = fmax(s->second[c * dim + c] / n - mean * mean, 0);
		h->k_ask[c] = (float)((scale * mean + scale * scale * pull / 2) * step);
		h->k_square[c] = (float)(scale * scale * variance * step * step / 4);
	}
}

void head_calibrate(const struct head_stats *s, const struct head_measure *m,
                    struct head_calibration *h)
{
	set_steps(s, m, h);
	set_expected(s, m, h);
	for (size_t c = 0; c < s->dim; c++) {
		h->k_mean[c] = within(m->plain_mean[c] / (double)h->k_step[c], -1e6, 1e6);
		h->v_mean[c] = within(m->value_mean[c] / (double)*h->v_step, -1e6, 1e6);
	}
}

void head_score(const struct head_calibration *h, const float *keys, size_t n, float *scores)
{
	for (size_t t = 0; t < n; t++) {
		const float *k = keys + t * h->dim;
		float sum = 0;
		for (size_t c = 0; c < h->dim; c++) {
			float y = k[c] / h->k_step[c];
			sum += y * (h->k_ask[c] + y * h->k_square[c]);
		}
		scores[t] = sum;
	}
}

static int compare_falling(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;
	return (x < y) - (x > y);
}

void head_set_thresholds(struct head_calibration *h, const float *scores, size_t n, float *sorted)
{
	memcpy(sorted, scores, n * sizeof *sorted);
	qsort(sorted, n, sizeof *sorted, compare_falling);
	for (size_t i = 0; i < TOKEN_CLASSES - 1; i++)
		h->threshold[i] = sorted[(size_t)(shares[i] * (double)n)];
}

size_t head_class(const struct head_calibration *h, float score)
{
	size_t class = 0;
	while (class < TOKEN_CLASSES - 1 && !(score > h->threshold[class]))
		class ++;
	return class;
}

static signed char code_of(float y, float mean, float factor)
{
	return (signed char)rintf(within((double)((y - mean) / factor), -CODE_MOST, CODE_MOST));
}

void head_encode(const struct head_calibration *h, const float *keys, const float *values,
                 const float *scores, size_t n, const struct head_codes *codes, double *errors,
                 size_t *counts)
{
	for (size_t t = 0; t < n; t++) {
		const size_t class = head_class(h, scores[t]);
		const float k_factor = h->k_factor[class], v_factor = h->v_factor[class];
		counts[class]++;
		for (size_t c = 0; c < h->dim; c++) {
			const float y = keys[t * h->dim + c] / h->k_step[c];
			const signed char code = code_of(y, h->k_mean[c], k_factor);
			const double error = (double)(y - (h->k_mean[c] + k_factor * (float)code));
			codes->k[c * codes->stride + t] = code;
			codes->v[c * codes->stride + t] =
				code_of(values[t * h->dim + c] / *h->v_step, h->v_mean[c], v_factor);
			errors[class * h->dim + c] += error * error;
		}
	}
}

void head_set_errors(struct head_calibration *h, const double *errors, const size_t *counts)
{
	for (size_t i = 0; i < TOKEN_CLASSES; i++)
		for (size_t c = 0; c < h->dim; c++) {
			const double even = (double)h->k_factor[i] * (double)h->k_factor[i] / 12;
			const double sum =
				(errors[i * h->dim + c] + errors[i * h->dim + head_partner(h, c)]) / 2;
			const double mean = counts[i] > 0 ? sum / (double)counts[i] : even;
			h->k_error[i * h->dim + c] = within(mean, 0, 1e12);
		}
}
