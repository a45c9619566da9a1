/* SPDX-License-Identifier: MIT */
/**
 * \file    factors_fit.c
 * \brief   Principal components of whitened rows: the singular value decomposition of all rows, by their second moments.
 *
 * Source: whitening as in ReCalKV, arXiv 2505.24357, of what reads a row instead of what makes it. With M = S S^T, S = U sqrt(L) of
 * M's eigenvectors, e M e^T is the square of e S. Rows y = x S have the moment S^T C S = W D W^T, whose first eigenvectors lose
 * least. So z = y W / sqrt(D), x' = z sqrt(D) W^T S^-1, S^-1 = U^T / sqrt(L).
 */
#include "factors_fit.h"

#include "eigen.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The least part of the largest eigenvalue that a direction is taken to have. */
static const double least_part = 1e-6;

/* values [dim], largest first, become their roots. */
static bool take_roots(size_t dim, double *values, struct tool_error *error)
{
	if (!(values[0] > 0) || !isfinite(values[0]))
		return tool_fail(error, "rows of zeros, or that aren't numbers, have no factors");
	const double least = values[0] * least_part;
	for (size_t i = 0; i < dim; i++)
		values[i] = sqrt(values[i] > least ? values[i] : least);
	return true;
}

/* out = a b, with a turned over or not; all [dim][dim]. */
static void multiply(size_t dim, const double *a, bool turned, const double *b, double *out)
{
	memset(out, 0, dim * dim * sizeof *out);
	for (size_t i = 0; i < dim; i++)
		for (size_t j = 0; j < dim; j++) {
			const double x = turned ? a[j * dim + i] : a[i * dim + j];
			for (size_t c = 0; c < dim; c++)
				out[i * dim + c] += x * b[j * dim + c];
		}
}

/* Work space: matrices [dim][dim] and vectors [dim]. */
struct work {
	double *a, *b, *roots, *deviations;
};

/* m [dim][dim] = m's columns times factors, or divided by them. */
static void scale_columns(size_t dim, const double *factors, bool divide, double *m)
{
	for (size_t i = 0; i < dim * dim; i++)
		m[i] = divide ? m[i] / factors[i % dim] : m[i] * factors[i % dim];
}

/* u: eigenvectors of the metric, w: those of the whitened moment. */
static void put_factors(size_t dim, const struct work *k, double *u, double *w, float *down,
                        float *up)
{
	/* S W / sqrt(D) */
	scale_columns(dim, k->roots, false, u);
	multiply(dim, u, false, w, k->a);
	scale_columns(dim, k->deviations, true, k->a);
	for (size_t i = 0; i < dim * dim; i++)
		down[i] = (float)k->a[i];
	/* its inverse, turned over: U / sqrt(L) W sqrt(D) */
	scale_columns(dim, k->roots, true, u);
	scale_columns(dim, k->roots, true, u);
	multiply(dim, u, false, w, k->a);
	scale_columns(dim, k->deviations, false, k->a);
	for (size_t i = 0; i < dim * dim; i++)
		up[i] = (float)k->a[i % dim * dim + i / dim];
}

static bool fit(size_t dim, const struct work *k, double *metric, double *moment, float *down,
                float *up, struct tool_error *error)
{
	if (!eigen_vectors((int)dim, metric, k->roots, error) || !take_roots(dim, k->roots, error))
		return false;
	memcpy(k->a, metric, dim * dim * sizeof *k->a);
	scale_columns(dim, k->roots, false, k->a);
	multiply(dim, k->a, true, moment, k->b);
	multiply(dim, k->b, false, k->a, moment);
	if (!eigen_vectors((int)dim, moment, k->deviations, error) ||
	    !take_roots(dim, k->deviations, error))
		return false;
	put_factors(dim, k, metric, moment, down, up);
	return true;
}

bool factors_fit(size_t dim, double *metric, double *moment, float *down, float *up,
                 struct tool_error *error)
{
	double *all = calloc(2 * dim * dim + 2 * dim, sizeof *all);
	const struct work k = {all, all + dim * dim, all + 2 * dim * dim, all + 2 * dim * dim + dim};
	if (all == NULL)
		return tool_fail(error, "out of memory");
	bool done = fit(dim, &k, metric, moment, down, up, error);
	free(all);
	return done;
}

bool factors_components(size_t dim, double *moment, float *down, float *up,
                        struct tool_error *error)
{
	double *plain = calloc(dim * dim, sizeof *plain);
	if (plain == NULL)
		return tool_fail(error, "out of memory");
	for (size_t i = 0; i < dim; i++)
		plain[i * dim + i] = 1;
	bool done = factors_fit(dim, plain, moment, down, up, error);
	free(plain);
	return done;
}
