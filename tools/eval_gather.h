/* SPDX-License-Identifier: MIT */
/**
 * \file    eval_gather.h
 * \brief   One value of each scored token, from windows of some texts, and how far its mean may lie elsewhere.
 */
#ifndef EVAL_GATHER_H
#define EVAL_GATHER_H

#include "eval_board.h"
#include "eval_stats.h"

/** What a part's tokens are gathered in: room for those of all texts. A zeroed one may be closed. */
struct eval_gathered {
	double *values, *sums, *counts;
	size_t n_values, n_sums;
	size_t n_blocks[EVAL_MOST_TEXTS], n_strata;
};

/** The value of token i under one slot beside another. */
typedef double (*eval_value_fn)(const struct eval_scores *own, const struct eval_scores *other,
                                size_t i);

double eval_divergence_of(const struct eval_scores *own, const struct eval_scores *other, size_t i);
double eval_agreed_of(const struct eval_scores *own, const struct eval_scores *other, size_t i);
/** What own has more than other. */
double eval_divergence_more_of(const struct eval_scores *own, const struct eval_scores *other,
                               size_t i);
double eval_loss_more_of(const struct eval_scores *own, const struct eval_scores *other, size_t i);

bool eval_gathered_open(struct eval_gathered *gathered, const struct eval_board *board,
                        struct tool_error *error);
void eval_gathered_close(struct eval_gathered *gathered);

/** Texts from .. to - 1, each a stratum, of a board that has text by text its windows. */
void eval_gather(struct eval_gathered *gathered, const struct eval_board *board, size_t from,
                 size_t to, size_t slot, size_t other, eval_value_fn value);

double eval_gathered_mean(const struct eval_gathered *gathered);

/** The 95 % interval of the mean: the same blocks are drawn of all that is gathered from the same texts. */
struct stats_interval eval_gathered_interval(const struct eval_gathered *gathered);

#endif
