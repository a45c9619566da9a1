/* SPDX-License-Identifier: MIT */
/** \file sizes_token.c \brief Bytes of one token more, and of one slot. */
#include "store/sizes_token.h"

/* A token that all heads of the layers that seal keep: its share of blocks and entries. */
static double sealed_token(const struct clkv__shape *shape, const struct clkv__plan *plan)
{
	double bytes = 0, bt = plan->general.block;
	for (int i = 0; i < shape->layers; i++)
		if (!clkv__layer_is_dense(plan, i))
			bytes += ((double)clkv__plan_units(plan, shape->streams, i) * ABI_UNIT +
			          4.0 * ABI_ENTRY_WORDS * shape->streams) /
			         bt;
	return bytes;
}

/* The same of layers that never seal. */
static double dense_token(const struct clkv__shape *shape, const struct clkv__plan *plan)
{
	int dense = plan->sealing.dense ? shape->layers : plan->general.skip;
	double rows = plan->slides > 0 ? 0 : 2.0 * (shape->dk + shape->dv);
	return (double)(shape->streams * dense) * (rows + 4 / (double)plan->general.block);
}

static double index_token(const struct clkv__shape *shape, const struct clkv__plan *plan,
                          const struct clkv__sizes *sizes)
{
	const struct clkv__recall *r = &plan->recall;
	if (sizes->segs == 0)
		return 0;
	return (double)sizes->index_heads * ABI_UNIT * clkv__recall_index(r, shape, (uint32_t)r->most) /
	       r->most;
}

/* Slots that one token more makes, where tokens are selected: none, of a number of them. */
static double slots_of_token(const struct clkv__select *s)
{
	if (clkv__select_is_open(s))
		return 1;
	return s->budget > 1 ? 0 : (double)s->budget;
}

void clkv__sizes_token(const struct clkv__shape *shape, const struct clkv__plan *plan,
                       const struct clkv__sizes *sizes, clkv_bytes *bytes)
{
	double sealed = sealed_token(shape, plan);
	bool selects = clkv__selects(&plan->select);
	bytes->per_token_f16 = (double)(shape->layers * shape->streams) * 2 * (shape->dk + shape->dv);
	bytes->per_slot = selects ? sealed : 0;
	bytes->per_token = dense_token(shape, plan) + index_token(shape, plan, sizes) +
	                   sealed * (selects ? slots_of_token(&plan->select) : 1);
}
