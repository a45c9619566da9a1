/* SPDX-License-Identifier: MIT */
/**
 * \file    stage_morphkv.c
 * \brief   MorphKV: a constant number of tokens, chosen anew by the newest queries as the sequence grows.
 *
 * Source: arXiv 2503.00979. Unlike the original, tokens are judged block by block, not at every token, and one choice holds
 * for memory and attention.
 */
#include "stage/select_keys.h"

struct morphkv_options {
	float budget;
	int obs, agg, gqa;
};

#define AT(field) offsetof(struct morphkv_options, field)

static const struct clkv__key morphkv_keys[] = {
	BUDGET_KEY(AT(budget), 600),
	JUDGES_KEY(AT(obs), 2, 30,
               "newest queries by whose attention to the older tokens these are judged; their own "
               "tokens are the window"),
	AGG_KEY(AT(agg)),
	REDUCE_KEY(AT(gqa), ABI_GROUP_MAX),
};

static clkv_status plan_morphkv(const void *options, const struct clkv__shape *shape,
                                struct clkv__plan *plan, struct clkv__variant *variant,
                                clkv_error *error)
{
	const struct morphkv_options *o = options;
	(void)shape, (void)variant, (void)error;
	plan->select = (struct clkv__select){
		.stage = "morphkv",
		.kind = ABI_SELECT_BEST,
		.score = ABI_SCORE_SEEN,
		.observe = o->obs,
		.rows = o->agg,
		.group = o->gqa,
		.pool = 1,
		.old = true,
		.rule = CLKV__BUDGET_FIXED,
		.budget = o->budget,
		.tail = (float)o->obs,
		.any = true,
	};
	return CLKV_OK;
}

const struct clkv__stage clkv__stage_morphkv = {
	.name = "morphkv",
	.brief = "a constant number of tokens, chosen anew by the newest queries",
	.source = "MorphKV, arXiv 2503.00979",
	.kind = CLKV__SELECT,
	.keys = morphkv_keys,
	.n_keys = sizeof morphkv_keys / sizeof morphkv_keys[0],
	.prompt = true,
	.plan = plan_morphkv,
};
