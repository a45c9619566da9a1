/* SPDX-License-Identifier: MIT */
/**
 * \file    eval_pairs.c
 * \brief   Differences of two recipes token by token: most of what a text adds to the noise of both falls out.
 */
#include "eval_pairs.h"

void eval_pairs_fill(struct eval_result *r, const struct eval_board *b, struct eval_gathered *g,
                     size_t from, size_t to, size_t i)
{
	const struct eval_options *o = b->eval->options;
	for (size_t k = 0; k < i; k++) {
		const size_t own = eval_slot(o, i), other = eval_slot(o, k);
		struct eval_pair *p = &r->against[k];
		eval_gather(g, b, from, to, own, other, eval_divergence_more_of);
		p->kl = eval_gathered_mean(g);
		p->kl_range = eval_gathered_interval(g);
		eval_gather(g, b, from, to, own, other, eval_loss_more_of);
		p->loss = eval_gathered_mean(g);
		p->loss_range = eval_gathered_interval(g);
	}
}
