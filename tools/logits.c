/* SPDX-License-Identifier: MIT */
/**
 * \file    logits.c
 * \brief   What logits say. Sums in double, exponentials in float: 1e-7 of a term.
 */
#include "logits.h"

#include <math.h>

enum { AT_ONCE = 16 };

/* First how much, in lanes that don't wait for each other, then where. NaN is never the largest. */
size_t logits_best(const float *logits, size_t n)
{
	float most[AT_ONCE];
	size_t i = 0;
	for (size_t j = 0; j < AT_ONCE; j++)
		most[j] = -INFINITY;
	for (; i + AT_ONCE <= n; i += AT_ONCE) {
		for (size_t j = 0; j < AT_ONCE; j++)
			most[j] = logits[i + j] > most[j] ? logits[i + j] : most[j];
	}
	for (; i < n; i++)
		most[0] = logits[i] > most[0] ? logits[i] : most[0];
	for (size_t j = 1; j < AT_ONCE; j++)
		most[0] = most[j] > most[0] ? most[j] : most[0];
	for (i = 0; i < n; i++) {
		if (logits[i] >= most[0])
			return i;
	}
	return 0;
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
