/* SPDX-License-Identifier: MIT */
/**
 * \file    ref_qaq.h
 * \brief   Bits of a row from the bound on attention's error, and its codes, from the definition, in double precision.
 *
 * Of a row's D values the ceil(alpha / 2 D) smallest and as many of the largest are outliers, of equal ones those of the lowest
 * and the highest channels, and stay as they are. R is the range of the others. With T tokens, at least 2,
 *     E = sqrt(12 / qn * ln(T^3 / (T - 1) eps^2 + 1)) for K, sqrt(12 / T) eps / A for V,
 * A the largest weight that the token got; bits = ceil(log2(R / (2 E) + 1)) within bmin and bmax.
 * Source: QAQ, arXiv 2403.04643. Codes begin at the least value in steps of R / (2^bits - 1), or lie around the mean in steps of
 * R / 2^bits, clipped; a step is the next bfloat16 not below that, a minimum a half.
 */
#ifndef REF_QAQ_H
#define REF_QAQ_H

#include <stdbool.h>
#include <stddef.h>

struct ref_qaq {
	double eps_k, eps_v, qn, outliers;
	int bmin, bmax;
	bool centred;
};

/** Outliers of a row of dim values, those of both ends. */
size_t ref_qaq_outliers(const struct ref_qaq *a, size_t dim);

/** Which these are. */
void ref_qaq_mark(const struct ref_qaq *a, size_t dim, const double *x, bool *outlier);

/** R. */
double ref_qaq_range(size_t dim, const double *x, const bool *outlier);

/** R / (2 E), to which bits belong; received: A. */
double ref_qaq_levels(const struct ref_qaq *a, bool is_key, double tokens, double received,
                      double range);
int ref_qaq_bits(const struct ref_qaq *a, double levels);

/** The row decoded, and how near a tie the rounding of a value's code was: 0 is a tie; its step. tie may be NULL. */
double ref_qaq_decode(const struct ref_qaq *a, int bits, size_t dim, const double *x,
                      const bool *outlier, double *decoded, double *tie);

#endif
