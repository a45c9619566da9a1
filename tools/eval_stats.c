/* SPDX-License-Identifier: MIT */
/**
 * \file    eval_stats.c
 * \brief   Quantiles, and the bootstrap over blocks of consecutive tokens.
 */
#include "eval_stats.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "draw.h"

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	if (isnan(x) || isnan(y))
		return (int)(isnan(x) != 0) - (int)(isnan(y) != 0);
	return (x > y) - (x < y);
}

void stats_sort(double *values, size_t n)
{
	qsort(values, n, sizeof *values, compare);
}

double stats_quantile(const double *sorted, size_t n, double p)
{
	double at = p * (double)(n - 1);
	size_t below = (size_t)at;
	double share = at - (double)below;
	/* without a share the upper one has no say: it may be infinite, and 0 times infinity is NaN */
	return share > 0.0 ? sorted[below] + share * (sorted[below + 1] - sorted[below])
	                   : sorted[below];
}

size_t stats_blocks(const double *values, size_t n, size_t block, double *sums, double *counts)
{
	size_t n_blocks = (n + block - 1) / block;
	for (size_t b = 0; b < n_blocks; b++) {
		size_t from = b * n / n_blocks, to = (b + 1) * n / n_blocks;
		counts[b] = (double)(to - from);
		sums[b] = 0.0;
		for (size_t i = from; i < to; i++)
			sums[b] += values[i];
	}
	return n_blocks;
}

static double draw_mean(const struct stats_strata *strata, uint64_t *state)
{
	double sum = 0.0, count = 0.0;
	for (size_t s = 0, first = 0; s < strata->n; first += strata->n_blocks[s++]) {
		for (size_t i = 0; i < strata->n_blocks[s]; i++) {
			size_t b = first + draw_below(state, strata->n_blocks[s]);
			sum += strata->sums[b];
			count += strata->counts[b];
		}
	}
	return sum / count;
}

static bool has_nan(const struct stats_strata *strata)
{
	double sum = 0.0;
	for (size_t s = 0, b = 0; s < strata->n; s++)
		for (size_t end = b + strata->n_blocks[s]; b < end; b++)
			sum += strata->sums[b];
	return isnan(sum) != 0;
}

struct stats_interval stats_bootstrap(const struct stats_strata *strata, unsigned long long seed)
{
	uint64_t state = seed;
	struct stats_interval interval = {NAN, NAN};
	double *means = malloc(STATS_DRAWS * sizeof *means);
	if (means != NULL && !has_nan(strata)) {
		for (size_t i = 0; i < STATS_DRAWS; i++)
			means[i] = draw_mean(strata, &state);
		stats_sort(means, STATS_DRAWS);
		interval.low = stats_quantile(means, STATS_DRAWS, 0.025);
		interval.high = stats_quantile(means, STATS_DRAWS, 0.975);
	}
	free(means);
	return interval;
}
