/* SPDX-License-Identifier: MIT */
/**
 * \file    eval_ranks.c
 * \brief   Whether an order of recipes is more than chance.
 */
#include "eval_ranks.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

const struct eval_rank_column eval_rank_columns[EVAL_RANK_COLUMNS] = {
	{"KL", offsetof(struct eval_pair, kl)},
	{"from", offsetof(struct eval_pair, kl_range.low)},
	{"to", offsetof(struct eval_pair, kl_range.high)},
	{"loss", offsetof(struct eval_pair, loss)},
	{"from", offsetof(struct eval_pair, loss_range.low)},
	{"to", offsetof(struct eval_pair, loss_range.high)},
};

static struct stats_interval turned(struct stats_interval i)
{
	return (struct stats_interval){-i.high, -i.low};
}

struct eval_pair eval_pair_of(const struct eval_result *results, size_t i, size_t k)
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
void eval_rank(const struct eval_result *results, size_t n, size_t *order)
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

bool eval_ranks(const struct eval_options *o)
{
	return eval_judges(o) && o->n_recipes > 1;
}

void eval_rank_cell(const struct eval_result *results, const size_t *order, size_t n, size_t column,
                    char *text)
{
	double value;
	if (n == 0) {
		*text = '\0';
		return;
	}
	const struct eval_pair p = eval_pair_of(results, order[n], order[n - 1]);
	memcpy(&value, (const char *)&p + eval_rank_columns[column].offset, sizeof value);
	/* what broke the model may be beyond any width */
	(void)snprintf(text, EVAL_CELL_BYTES, fabs(value) < 1e5 ? "%+.5f" : "%+.3g", value);
}
