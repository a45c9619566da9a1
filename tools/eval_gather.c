/* SPDX-License-Identifier: MIT */
/**
 * \file    eval_gather.c
 * \brief   Values of tokens in blocks of neighbours.
 */
#include "eval_gather.h"

#include <stdlib.h>

double eval_divergence_of(const struct eval_scores *own, const struct eval_scores *other, size_t i)
{
	(void)other;
	return own->divergence[i];
}

double eval_agreed_of(const struct eval_scores *own, const struct eval_scores *other, size_t i)
{
	(void)other;
	return own->agreed[i];
}

double eval_divergence_more_of(const struct eval_scores *own, const struct eval_scores *other,
                               size_t i)
{
	return own->divergence[i] - other->divergence[i];
}

double eval_loss_more_of(const struct eval_scores *own, const struct eval_scores *other, size_t i)
{
	return own->loss[i] - other->loss[i];
}

bool eval_gathered_open(struct eval_gathered *g, const struct eval_board *b,
                        struct tool_error *error)
{
	/* a window's blocks are no more than its tokens */
	const size_t n = b->work.n_windows * b->work.n_each;
	*g = (struct eval_gathered){.values = calloc(3 * n, sizeof *g->values)};
	if (g->values == NULL)
		return tool_fail(error, "out of memory");
	g->sums = g->values + n;
	g->counts = g->sums + n;
	return true;
}

void eval_gathered_close(struct eval_gathered *g)
{
	free(g->values);
}

static void gather_window(struct eval_gathered *g, const struct eval_scores *own,
                          const struct eval_scores *other, eval_value_fn value)
{
	double *values = g->values + g->n_values;
	for (size_t i = 0; i < own->n; i++)
		values[i] = value(own, other, i);
	g->n_values += own->n;
	g->n_sums +=
		stats_blocks(values, own->n, STATS_BLOCK, g->sums + g->n_sums, g->counts + g->n_sums);
}

void eval_gather(struct eval_gathered *g, const struct eval_board *b, size_t from, size_t to,
                 size_t slot, size_t other, eval_value_fn value)
{
	const size_t windows = b->eval->options->windows;
	g->n_values = g->n_sums = 0;
	g->n_strata = to - from;
	for (size_t t = from; t < to; t++) {
		size_t before = g->n_sums;
		for (size_t w = t * windows; w < (t + 1) * windows; w++)
			gather_window(g, eval_board_scores(b, w, slot), eval_board_scores(b, w, other), value);
		g->n_blocks[t - from] = g->n_sums - before;
	}
}

double eval_gathered_mean(const struct eval_gathered *g)
{
	return eval_scores_sum(g->values, g->n_values) / (double)g->n_values;
}

struct stats_interval eval_gathered_interval(const struct eval_gathered *g)
{
	return stats_bootstrap(&(struct stats_strata){g->sums, g->counts, g->n_blocks, g->n_strata},
	                       STATS_SEED);
}
