/* SPDX-License-Identifier: MIT */
/**
 * \file    eval_ranks.h
 * \brief   Recipes in the order of their divergence, each beside another.
 */
#ifndef EVAL_RANKS_H
#define EVAL_RANKS_H

#include "eval.h"

/** What recipe i of some results has more than recipe k; zeros if they are the same one. */
struct eval_pair eval_pair_of(const struct eval_result *results, size_t i, size_t k);

/** Recipes by their mean divergence, the least first and what has none (NaN) last: order[n]. */
void eval_rank(const struct eval_result *results, size_t n, size_t *order);

/** Whether there is such a table: of several recipes that several windows judge. */
bool eval_ranks(const struct eval_options *options);

#define EVAL_RANKS_TITLE "More than the one above, nats"

/** The columns of a table of ranks, each of a pair: that of a recipe and the one ranked above it. */
struct eval_rank_column {
	const char *title;
	size_t offset; /**< of the double in struct eval_pair */
};
extern const struct eval_rank_column eval_rank_columns[];
#define EVAL_RANK_COLUMNS 6

/** A cell of row n, the n-th by rank: "" in the first row. text holds EVAL_CELL_BYTES. */
void eval_rank_cell(const struct eval_result *results, const size_t *order, size_t n, size_t column,
                    char *text);

#endif
