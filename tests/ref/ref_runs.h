/* SPDX-License-Identifier: MIT */
/**
 * \file    ref_runs.h
 * \brief   Neighbours that become one, of one head, in double precision. Source: KVMerger, arXiv 2407.08454; sigma^2 is the
 *          mean squared distance from the pivot.
 */
#ifndef REF_RUNS_H
#define REF_RUNS_H

#include <stdbool.h>
#include <stddef.h>

/** Tokens first .. first + n - 1 as one. */
struct ref_run {
	size_t first, n, pivot;
	double *weight; /**< [n] in the room given; they add up to 1 */
};

/** Cosine of keys i and i + 1 of n, [n - 1]; keys of zeros are like none. */
void ref_runs_cosines(const double *k, size_t n, size_t dk, double *cosine);

/** Mass of each of n tokens: the softmax weights that rows [n] of `group` heads give it, causal, added up. q
 *  [n][group][dk], k [n][dk]. */
void ref_runs_mass(const double *q, const double *k, size_t n, size_t group, size_t dk,
                   double scale, double *mass);

/** Runs of tokens from .. to - 1, scanned from the last one: returns how many, in order. weights: room for as many as
 *  tokens. alone may be NULL. cosine, score, alone and k are of all tokens. */
size_t ref_runs(const double *cosine, const double *score, const bool *alone, double similar,
                const double *k, size_t dk, size_t from, size_t to, struct ref_run *runs,
                double *weights);

#endif
