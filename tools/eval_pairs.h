/* SPDX-License-Identifier: MIT */
/**
 * \file    eval_pairs.h
 * \brief   Recipe against recipe, over the same tokens.
 */
#ifndef EVAL_PAIRS_H
#define EVAL_PAIRS_H

#include "eval_gather.h"

/** Fills r->against, which has room, with what recipe i of the results has more than each recipe before it: texts
 *  from .. to - 1. */
void eval_pairs_fill(struct eval_result *r, const struct eval_board *board,
                     struct eval_gathered *gathered, size_t from, size_t to, size_t i);

/** What recipe i of some results has more than recipe k; zeros if they are the same one. */
struct eval_pair eval_pairs_of(const struct eval_result *results, size_t i, size_t k);

/** Recipes by their mean divergence, the least first and what has none (NaN) last: order[n]. */
void eval_pairs_rank(const struct eval_result *results, size_t n, size_t *order);

#endif
