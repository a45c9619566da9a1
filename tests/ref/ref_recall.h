/* SPDX-License-Identifier: MIT */
/**
 * \file    ref_recall.h
 * \brief   Recall of tokens, from the formulas, in double precision: scores of units, the choice, attention over it.
 *
 * A unit is a set of tokens that have one score: a token, a page, a cluster, those with one code. A head takes the units
 * with the largest scores until it has as many tokens as it may; of the last unit the newest.
 */
#ifndef REF_RECALL_H
#define REF_RECALL_H

#include "ref_attend.h"

#include <stdbool.h>
#include <stddef.h>

/** take [n]: how many tokens of each unit a head takes; of units with the same score that with the lower number goes
 *  first. Returns how far the score at which the choice was cut is from the nearest one that, in its place, would have
 *  changed the choice: scores that are off by less than half of that choose the same. INFINITY if all are taken. */
double ref_recall_choose(size_t n, const double *score, const size_t *size, size_t budget,
                         size_t *take);

/** share [n]: the sum over the heads of a unit's shares in the softmax of scale * score. score [heads][n]. */
void ref_recall_group(size_t heads, size_t n, const double *score, double scale, double *share);

/** The largest q . x of any x whose channels lie between the smallest and the largest of n keys'. */
double ref_recall_page(size_t dk, const double *q, const double *keys, size_t stride, size_t n);

/** How near a centroid is to a key; the nearest has the largest. cosine: of their angle; else -|key - centroid|^2. */
double ref_recall_near(size_t dk, const double *key, const double *centroid, bool cosine);

/** Attention over tokens token[0 .. n) only; a's from and to don't count. */
void ref_recall_attend(const struct ref_attend *a, const double *q, const double *k,
                       const double *v, const size_t *token, size_t n, double *out,
                       struct ref_attend_sums *sums);

#endif
