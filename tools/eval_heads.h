/* SPDX-License-Identifier: MIT */
/**
 * \file    eval_heads.h
 * \brief   What recipes do to the attention of each head alone: every layer gets the exact run's k, v and q.
 */
#ifndef EVAL_HEADS_H
#define EVAL_HEADS_H

#include "eval_runs.h"

/** Sums over the rows that were compared. */
struct eval_heads {
	size_t runs, layers, heads; /**< heads: of queries */
	double *error; /**< [runs][layers][heads] |out - exact| / |exact| of a head's row; 0 of run 0 */
	double *mass;  /**< [runs][layers][heads] sum of exp(logit) over the exact run's */
};

/** Feeds n tokens of the window behind the prompt of --context to all runs, which have it, and compares. */
bool eval_heads_compare(struct eval_runs *runs, size_t n, struct eval_heads *heads,
                        struct tool_error *error);

/** A zeroed one may be closed. */
void eval_heads_close(struct eval_heads *heads);

#endif
