/* SPDX-License-Identifier: MIT */
/**
 * \file    eval_stats.h
 * \brief   Statistics of scored tokens: quantiles, and how far a mean might lie elsewhere.
 */
#ifndef EVAL_STATS_H
#define EVAL_STATS_H

#include <stdbool.h>
#include <stddef.h>

/** The value below which a share p, 0 to 1, of the n >= 1 sorted values lies; between two of them on the line that
 *  joins them (the j-th of 0 .. n - 1 stands for j / (n - 1)). */
double stats_quantile(const double *sorted, size_t n, double p);

/** Sorts ascending; NaN counts as larger than all else. */
void stats_sort(double *values, size_t n);

/** Consecutive tokens that are drawn together: divergences of neighbours correlate. */
#define STATS_BLOCK 32

/** Cuts n values of one run into ceil(n / block) blocks of consecutive ones, whose sizes differ by 1 at most; sums and
 *  counts hold as many. Returns their number. */
size_t stats_blocks(const double *values, size_t n, size_t block, double *sums, double *counts);

struct stats_interval {
	double low, high;
};

/** Blocks of all strata (texts), one behind the other. */
struct stats_strata {
	const double *sums,
		*counts;            /**< [all blocks]: of each block's values, and how many these are */
	const size_t *n_blocks; /**< [n] of each stratum */
	size_t n;
};

#define STATS_DRAWS 2000

/** What tools draw by. Any seed would do: it is fixed so that the same scores have the same intervals. */
#define STATS_SEED 20261128ULL

/** Where the middle 95 % of the means lie when, STATS_DRAWS times, each stratum's blocks are replaced by as many of
 *  them drawn with replacement. The same seed and the same numbers of blocks draw the same blocks: what is drawn of one recipe
 *  is drawn of all, and of the reference. Both ends are NaN if a sum is, or without memory. */
struct stats_interval stats_bootstrap(const struct stats_strata *strata, unsigned long long seed);

#endif
