/* SPDX-License-Identifier: MIT */
/**
 * \file    budget.h
 * \brief   How many tokens each layer or head keeps, from the scores of all of them.
 *
 * Scores are finite and >= 0. Sums are in double. What must be the same on every device is the same here: equal scores
 * are told apart by what each has so far, then by number.
 */
#ifndef CLKV__BUDGET_H
#define CLKV__BUDGET_H

#include <clkv.h>
#include <stddef.h>

/** PrefixKV (arXiv 2412.03409): total slots go to layers so that the scores kept are about the same share of each layer's
 *  sum. scores is [layers][n]; kept[layers] adds up to total, or layers * n if that is less; none is above n. A layer
 *  without any score counts as one whose scores are equal. Errors: NO_HOST_MEMORY. */
clkv_status clkv__budget_curve(const clkv_allocator *allocator, const float *scores, size_t layers,
                               size_t n, size_t total, size_t *kept, clkv_error *error);

/** DBudgetKV (arXiv 2502.16886): how many of the newest tokens stay beside the first ones, so that the norm of the scores
 *  kept, averaged over heads, is within the part tau of that of all. scores is [heads][n] in the order of time, first and
 *  newest tokens among them. All of them if there is no score. Errors: NO_HOST_MEMORY. */
clkv_status clkv__budget_energy(const clkv_allocator *allocator, const float *scores, size_t heads,
                                size_t n, size_t first, float tau, size_t *newest,
                                clkv_error *error);

/** A layer's heads * even slots go to the largest scores of all its heads, once each has the part `least` of its even
 *  ones. scores is [heads][n]; kept[heads] adds up to heads * even, or heads * n if that is less; none is above n.
 *  Errors: NO_HOST_MEMORY. */
clkv_status clkv__budget_heads(const clkv_allocator *allocator, const float *scores, size_t heads,
                               size_t n, size_t even, float least, size_t *kept, clkv_error *error);

/** KVMerger (arXiv 2407.08454): runs of n tokens whose neighbours have these cosines, [n - 1]. A new run begins where a
 *  cosine is below similar, and before and behind each token that is alone ([n], not 0). */
size_t clkv__budget_runs(const float *cosines, const unsigned char *alone, size_t n, float similar);

/** The cosine that makes as many runs as possible, but not more than most; if there are more whatever it is, one that
 *  makes the fewest. Above 1: no two tokens are one run. Errors: NO_HOST_MEMORY. */
clkv_status clkv__budget_similar(const clkv_allocator *allocator, const float *cosines,
                                 const unsigned char *alone, size_t n, size_t most, float *similar,
                                 clkv_error *error);

#endif
