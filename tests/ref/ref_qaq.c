/* SPDX-License-Identifier: MIT */
/** \file ref_qaq.c \brief Bits of a row and its codes, from the formulas. */
#include "ref_qaq.h"

#include "ref_half.h"

#include <math.h>

size_t ref_qaq_outliers(const struct ref_qaq *a, size_t dim)
{
	return 2 * (size_t)ceil(a->outliers / 2 * (double)dim - 1e-6);
}

/* The place of a value in the row's order. */
static size_t rank(size_t dim, const double *x, size_t c)
{
	size_t before = 0;
	for (size_t i = 0; i < dim; i++)
		before += x[i] < x[c] || (x[i] == x[c] && i < c);
	return before;
}

void ref_qaq_mark(const struct ref_qaq *a, size_t dim, const double *x, bool *outlier)
{
	size_t n = ref_qaq_outliers(a, dim) / 2;
	for (size_t c = 0; c < dim; c++) {
		size_t place = rank(dim, x, c);
		outlier[c] = place < n || place >= dim - n;
	}
}

static void extent(size_t dim, const double *x, const bool *outlier, double *least, double *most,
                   double *mean)
{
	size_t n = 0;
	*least = INFINITY, *most = -INFINITY, *mean = 0;
	for (size_t c = 0; c < dim; c++)
		if (!outlier[c]) {
			*least = fmin(*least, x[c]);
			*most = fmax(*most, x[c]);
			*mean += x[c];
			n++;
		}
	*mean /= (double)n;
}

double ref_qaq_range(size_t dim, const double *x, const bool *outlier)
{
	double least, most, mean;
	extent(dim, x, outlier, &least, &most, &mean);
	return most - least;
}

double ref_qaq_levels(const struct ref_qaq *a, bool is_key, double tokens, double received,
                      double range)
{
	double t = fmax(tokens, 2);
	if (is_key)
		return range / (2 * sqrt(12 / a->qn * log(pow(t, 3) / (t - 1) * pow(a->eps_k, 2) + 1)));
	return range * received / (2 * sqrt(12 / t) * a->eps_v);
}

int ref_qaq_bits(const struct ref_qaq *a, double levels)
{
	double bits = ceil(log2(levels + 1));
	return (int)fmin(fmax(bits, a->bmin), a->bmax);
}

/* The next bfloat16 that isn't below x. */
static double bfloat_up(double x)
{
	if (x == 0)
		return 0;
	int e;
	frexp(x, &e);
	return ldexp(ceil(ldexp(x, 8 - e)), e - 8);
}

double ref_qaq_decode(const struct ref_qaq *a, int bits, size_t dim, const double *x,
                      const bool *outlier, double *decoded, double *tie)
{
	double least, most, mean, levels = ldexp(1, bits);
	extent(dim, x, outlier, &least, &most, &mean);
	double step = bits == 0 ? 0 : bfloat_up((most - least) / (a->centred ? levels : levels - 1));
	double minimum = ref_half(bits == 0 ? mean : a->centred ? mean - levels / 2 * step : least);
	for (size_t c = 0; c < dim; c++) {
		double code = step > 0 ? (x[c] - minimum) / step : 0;
		if (tie)
			tie[c] = fabs(code - floor(code) - 0.5);
		code = fmin(fmax(nearbyint(code), 0), levels - 1);
		decoded[c] = outlier[c] ? x[c] : minimum + step * code;
	}
	return step;
}
