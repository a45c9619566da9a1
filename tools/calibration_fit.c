/* SPDX-License-Identifier: MIT */
/** \file calibration_fit.c \brief A slope, then a ridge regression by Cholesky's decomposition. */
#include "calibration_fit.h"

#include <math.h>
#include <string.h>

/* The ridge for features of variance 1, per token: a third keeps a text's accidents out. */
static const double ridge = 1.0 / 3;

/* What stands in the scratch. */
struct fit {
	size_t dim, n, width;               /* width: features, 2 dim */
	double *mean, *deviation;           /* [dim] of y */
	double *center, *feature, *weights; /* [width] */
	double *matrix;                     /* [width][width] */
	double *target, *base;              /* [n] */
};

size_t fit_doubles(size_t dim, size_t n)
{
	return 2 * dim + 3 * 2 * dim + 4 * dim * dim + 2 * n;
}

static struct fit lay_out(size_t dim, size_t n, double *at)
{
	memset(at, 0, fit_doubles(dim, n) * sizeof *at);
	const size_t width = 2 * dim;
	return (struct fit){
		.dim = dim,
		.n = n,
		.width = width,
		.mean = at,
		.deviation = at + dim,
		.center = at + 2 * dim,
		.feature = at + 2 * dim + width,
		.weights = at + 2 * dim + 2 * width,
		.matrix = at + 2 * dim + 3 * width,
		.target = at + 2 * dim + 3 * width + width * width,
		.base = at + 2 * dim + 3 * width + width * width + n,
	};
}

static double y_of(const struct head_calibration *h, const float *key, size_t c)
{
	return (double)key[c] / (double)h->k_step[c];
}

static void measure_channels(struct fit *f, const struct head_calibration *h, const float *keys)
{
	const double n = (double)f->n;
	for (size_t t = 0; t < f->n; t++)
		for (size_t c = 0; c < f->dim; c++)
			f->mean[c] += y_of(h, keys + t * f->dim, c) / n;
	for (size_t t = 0; t < f->n; t++)
		for (size_t c = 0; c < f->dim; c++) {
			const double off = y_of(h, keys + t * f->dim, c) - f->mean[c];
			f->deviation[c] += off * off / n;
		}
	for (size_t c = 0; c < f->dim; c++)
		f->deviation[c] = sqrt(f->deviation[c]);
}

/* Each channel's distance from its mean in deviations, and its square; 0 of a channel that stands still. */
static void set_features(struct fit *f, const struct head_calibration *h, const float *key)
{
	for (size_t c = 0; c < f->dim; c++) {
		const double off = y_of(h, key, c) - f->mean[c];
		const double z = f->deviation[c] > 0 ? off / f->deviation[c] : 0;
		f->feature[c] = z - f->center[c];
		f->feature[f->dim + c] = z * z - f->center[f->dim + c];
	}
}

static void center_features(struct fit *f, const struct head_calibration *h, const float *keys)
{
	for (size_t t = 0; t < f->n; t++) {
		const double *x = f->feature;
		set_features(f, h, keys + t * f->dim);
		for (size_t i = 0; i < f->width; i++)
			f->weights[i] += x[i] / (double)f->n;
	}
	memcpy(f->center, f->weights, f->width * sizeof *f->center);
	memset(f->weights, 0, f->width * sizeof *f->weights);
}

static void subtract_mean(double *x, size_t n)
{
	double mean = 0;
	for (size_t i = 0; i < n; i++)
		mean += x[i] / (double)n;
	for (size_t i = 0; i < n; i++)
		x[i] -= mean;
}

/* How much of the target goes with what was expected; what is left is the target from then on. */
static double take_slope(struct fit *f)
{
	double both = 0, square = 0;
	subtract_mean(f->target, f->n);
	subtract_mean(f->base, f->n);
	for (size_t t = 0; t < f->n; t++) {
		both += f->base[t] * f->target[t];
		square += f->base[t] * f->base[t];
	}
	const double slope = square > 0 && both > 0 ? both / square : 0;
	for (size_t t = 0; t < f->n; t++)
		f->target[t] -= slope * f->base[t];
	return slope;
}

/* The lower half of sum x x^T + ridge, and sum x target. */
static void add_tokens(struct fit *f, const struct head_calibration *h, const float *keys)
{
	const double *x = f->feature;
	for (size_t t = 0; t < f->n; t++) {
		set_features(f, h, keys + t * f->dim);
		for (size_t i = 0; i < f->width; i++) {
			f->weights[i] += x[i] * f->target[t];
			for (size_t j = 0; j <= i; j++)
				f->matrix[i * f->width + j] += x[i] * x[j];
		}
	}
	for (size_t i = 0; i < f->width; i++)
		f->matrix[i * f->width + i] += ridge * (double)f->n;
}

/* Solves matrix w = weights in place: L L^T = matrix, whose ridge keeps it definite. */
static void solve(struct fit *f)
{
	const size_t n = f->width;
	double *m = f->matrix, *w = f->weights;
	for (size_t i = 0; i < n; i++) {
		for (size_t j = 0; j <= i; j++) {
			double sum = m[i * n + j];
			for (size_t k = 0; k < j; k++)
				sum -= m[i * n + k] * m[j * n + k];
			m[i * n + j] = i == j ? sqrt(sum) : sum / m[j * n + j];
		}
		for (size_t k = 0; k < i; k++)
			w[i] -= m[i * n + k] * w[k];
		w[i] /= m[i * n + i];
	}
	for (size_t i = n; i-- > 0;) {
		for (size_t k = i + 1; k < n; k++)
			w[i] -= m[k * n + i] * w[k];
		w[i] /= m[i * n + i];
	}
}

/* The same quadratics in y, less what is the same for all tokens. */
static void move_head(const struct fit *f, double slope, struct head_calibration *h)
{
	for (size_t c = 0; c < f->dim; c++) {
		const double deviation = f->deviation[c] > 0 ? f->deviation[c] : 1;
		const double line = f->weights[c] / deviation;
		const double bend = f->weights[f->dim + c] / (deviation * deviation);
		h->k_ask[c] = (float)(slope * (double)h->k_ask[c] + line - 2 * bend * f->mean[c]);
		h->k_square[c] = (float)(slope * (double)h->k_square[c] + bend);
	}
}

void head_fit(struct head_calibration *h, const float *keys, const double *costs, size_t n,
              double *scratch)
{
	struct fit f = lay_out(h->dim, n, scratch);
	measure_channels(&f, h, keys);
	center_features(&f, h, keys);
	for (size_t t = 0; t < n; t++) {
		float expected;
		head_score(h, keys + t * h->dim, 1, &expected);
		f.base[t] = (double)expected;
		f.target[t] = log(costs[t]);
	}
	const double slope = take_slope(&f);
	add_tokens(&f, h, keys);
	solve(&f);
	move_head(&f, slope, h);
}
