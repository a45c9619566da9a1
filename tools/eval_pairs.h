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

#endif
