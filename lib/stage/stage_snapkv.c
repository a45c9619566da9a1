/* SPDX-License-Identifier: MIT */
/**
 * \file    stage_snapkv.c
 * \brief   SnapKV: what the last queries of a prompt attend to, and the tokens around it.
 *
 * Source: arXiv 2404.14469. Unlike the original, which chooses per query head and once, a KV head chooses for its group,
 * and the budget also holds while the sequence grows. agg=max: DefensiveKV, arXiv 2510.13334.
 */
#include "stage/select_keys.h"

struct snapkv_options {
	float budget;
	int obs, agg, pool, pooling, gqa;
};

#define AT(field) offsetof(struct snapkv_options, field)

static const struct clkv__key snapkv_keys[] = {
	BUDGET_KEY(AT(budget), 512),
	JUDGES_KEY(AT(obs), 1, 32, "newest queries by whose attention tokens are judged"),
	AGG_KEY(AT(agg)),
	{"pool", CLKV__KEY_SET, AT(pool), 0, 0, "1|3|5|7|9|11|13|15", 5,
     "tokens around a token whose scores count for it, itself among them"},
	{"pooling", CLKV__KEY_NAME, AT(pooling), 0, 0, "avg|max", 0, "their mean, or the largest"},
	REDUCE_KEY(AT(gqa), ABI_GROUP_MEAN),
};

static clkv_status plan_snapkv(const void *options, const struct clkv__shape *shape,
                               struct clkv__plan *plan, struct clkv__variant *variant,
                               clkv_error *error)
{
	const struct snapkv_options *o = options;
	(void)shape, (void)variant, (void)error;
	plan->select = (struct clkv__select){
		.stage = "snapkv",
		.kind = ABI_SELECT_BEST,
		.score = ABI_SCORE_SEEN,
		.observe = o->obs,
		.rows = o->agg,
		.group = o->gqa,
		.pool = o->pool,
		.pool_max = o->pooling == 1,
		.rule = CLKV__BUDGET_FIXED,
		.budget = o->budget,
		.any = true,
	};
	return CLKV_OK;
}

const struct clkv__stage clkv__stage_snapkv = {
	.name = "snapkv",
	.brief = "what the last queries of a prompt attend to, and the tokens around it",
	.source = "SnapKV, arXiv 2404.14469",
	.kind = CLKV__SELECT,
	.keys = snapkv_keys,
	.n_keys = sizeof snapkv_keys / sizeof snapkv_keys[0],
	.window = 32,
	.prompt = true,
	.plan = plan_snapkv,
};
