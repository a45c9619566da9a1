/* SPDX-License-Identifier: MIT */
/**
 * \file    eval_pairs.c
 * \brief   Differences of two recipes token by token: most of what a text adds to the noise of both falls out.
 */
#include "eval_pairs.h"

#include <math.h>

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

static struct stats_interval turned(struct stats_interval i)
{
	return (struct stats_interval){-i.high, -i.low};
}

struct eval_pair eval_pairs_of(const struct eval_result *results, size_t i, size_t k)
{
	if (i == k)
		return (struct eval_pair){.kl = 0.0};
	if (i > k)
		return results[i].against[k];
	const struct eval_pair *p = &results[k].against[i];
	return (struct eval_pair){.kl = -p->kl,
	                          .loss = -p->loss,
	                          .kl_range = turned(p->kl_range),
	                          .loss_range = turned(p->loss_range)};
}

/* By insertion: equal ones stay in their order. */
void eval_pairs_rank(const struct eval_result *results, size_t n, size_t *order)
{
	for (size_t i = 0; i < n; i++) {
		const double kl = results[i].kl_mean;
		size_t at = i;
		for (; at > 0; at--) {
			const double before = results[order[at - 1]].kl_mean;
			if (!(kl < before || (isnan(before) && !isnan(kl))))
				break;
			order[at] = order[at - 1];
		}
		order[at] = i;
	}
}
