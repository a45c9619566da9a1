/* SPDX-License-Identifier: MIT */
/**
 * \file    logits.c
 * \brief   What logits say. Sums in double, exponentials in float: 1e-7 of a term.
 */
#include "logits.h"

#include <math.h>

size_t logits_best(const float *logits, size_t n)
{
	size_t best = 0;
	for (size_t i = 1; i < n; i++)
		best = logits[i] > logits[best] ? i : best;
	return best;
}

double logits_log_sum(const float *logits, size_t n)
{
	float most = logits[logits_best(logits, n)];
	double sum = 0.0;
	for (size_t i = 0; i < n; i++)
		sum += (double)expf(logits[i] - most);
	return (double)most + log(sum);
}

double logits_divergence(const float *reference, double reference_log_sum, const float *other,
                         double other_log_sum, size_t n)
{
	double shift = other_log_sum - reference_log_sum;
	float log_sum = (float)reference_log_sum;
	double sum = 0.0;
	for (size_t i = 0; i < n; i++) {
		double p = (double)expf(reference[i] - log_sum);
		sum += p * ((double)reference[i] - (double)other[i] + shift);
	}
	return sum;
}
