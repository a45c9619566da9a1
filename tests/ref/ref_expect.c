/* SPDX-License-Identifier: MIT */
/** \file ref_expect.c \brief Expected Attention, step by step as its source has it. */
#include "ref_expect.h"

#include <math.h>
#include <stdlib.h>

static double *new_doubles(size_t n)
{
	double *values = calloc(n + 1, sizeof *values);
	if (!values)
		abort();
	return values;
}

/* to [dk] = x [dk] as it was before it was rotated at a position. */
static void turn_back(const struct ref_expect *e, double position, const double *x, double *to)
{
	double factor = ref_rope_magnitude(e->rope);
	for (size_t d = 0; d < e->dk; d++)
		to[d] = d < e->rope->dims
		            ? ref_rope(e->rope, -position, d, x[d], x[ref_rope_partner(e->rope, d)]) /
		                  (factor * factor)
		            : x[d];
}

/* The mean rotation as a matrix [dk][dk]: of each position to come, added up. */
static double *mean_rotation(const struct ref_expect *e, size_t end)
{
	double *r = new_doubles(e->dk * e->dk);
	for (size_t d = 0; d < e->dk; d++) {
		if (d >= e->rope->dims) {
			r[d * e->dk + d] = 1.0;
			continue;
		}
		size_t partner = ref_rope_partner(e->rope, d);
		for (size_t t = 0; t < e->ahead; t++) {
			double p = (double)(end + t);
			r[d * e->dk + d] += ref_rope(e->rope, p, d, 1.0, 0.0) / (double)e->ahead;
			r[d * e->dk + partner] += ref_rope(e->rope, p, d, 0.0, 1.0) / (double)e->ahead;
		}
	}
	return r;
}

/* a b, or a b^T, of [n][n]; rows: of a and of the result. */
static double *product(size_t rows, size_t n, const double *a, const double *b, bool transposed)
{
	double *c = new_doubles(rows * n);
	for (size_t i = 0; i < rows; i++)
		for (size_t j = 0; j < n; j++)
			for (size_t k = 0; k < n; k++)
				c[i * n + j] += a[i * n + k] * (transposed ? b[j * n + k] : b[k * n + j]);
	return c;
}

static double length_of(size_t n, const double *x)
{
	double squares = 0.0;
	for (size_t d = 0; d < n; d++)
		squares += x[d] * x[d];
	return sqrt(squares);
}

void ref_expect_open(struct ref_expected *x, const struct ref_expect *e, size_t n,
                     const double *const *q, const size_t *position, size_t end)
{
	size_t dk = e->dk;
	double *plain = new_doubles(n * dk), *mean = new_doubles(dk), *cov = new_doubles(dk * dk);
	double *r = mean_rotation(e, end);
	*x = (struct ref_expected){.e = e, .n = n};
	for (size_t i = 0; i < n; i++) {
		turn_back(e, (double)position[i], q[i], plain + i * dk);
		x->size = fmax(x->size, length_of(dk, q[i]));
		for (size_t d = 0; d < dk; d++)
			mean[d] += plain[i * dk + d] / (double)n;
	}
	for (size_t i = 0; i < n; i++)
		for (size_t d = 0; d < dk * dk; d++)
			cov[d] += (plain[i * dk + d / dk] - mean[d / dk]) *
			          (plain[i * dk + d % dk] - mean[d % dk]) / (double)n;
	x->mean = product(1, dk, mean, r, true);
	double *half = product(dk, dk, r, cov, false);
	x->cov = product(dk, dk, half, r, true);
	free(half);
	free(plain);
	free(mean);
	free(cov);
	free(r);
}

void ref_expect_close(struct ref_expected *x)
{
	free(x->mean);
	free(x->cov);
	*x = (struct ref_expected){0};
}

double ref_expect_log(const struct ref_expected *x, const double *k, double *deviation)
{
	size_t dk = x->e->dk;
	double dot = 0.0, square = 0.0;
	for (size_t d = 0; d < dk; d++)
		dot += k[d] * x->mean[d];
	for (size_t d = 0; d < dk * dk; d++)
		square += k[d / dk] * x->cov[d] * k[d % dk];
	double variance = fmax(x->e->scale * x->e->scale * square, 0.0);
	if (deviation)
		*deviation = sqrt(variance);
	return x->e->scale * dot + (x->e->spread ? variance / 2.0 : 0.0);
}
