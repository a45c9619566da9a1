/* SPDX-License-Identifier: MIT */
/**
 * \file    stage_h2o.c
 * \brief   H2O: newest tokens, and those that all queries so far attended to most.
 *
 * Source: arXiv 2306.14048. Unlike the original, tokens of a growing sequence leave the window block by block.
 */
#include "stage/select_keys.h"

struct h2o_options {
	float budget, recent;
	int gqa;
};

#define AT(field) offsetof(struct h2o_options, field)

static const struct clkv__key h2o_keys[] = {
	BUDGET_KEY(AT(budget), 0.2),
	TAIL_KEY("recent", AT(recent), 0.5),
	REDUCE_KEY(AT(gqa), ABI_GROUP_SUM),
};

static clkv_status plan_h2o(const void *options, const struct clkv__shape *shape,
                            struct clkv__plan *plan, struct clkv__variant *variant,
                            clkv_error *error)
{
	const struct h2o_options *o = options;
	(void)shape, (void)variant, (void)error;
	plan->select = (struct clkv__select){
		.stage = "h2o",
		.kind = ABI_SELECT_BEST,
		.score = ABI_SCORE_MASS,
		.rows = ABI_ROWS_SUM,
		.group = o->gqa,
		.pool = 1,
		.rule = CLKV__BUDGET_FIXED,
		.budget = o->budget,
		.tail = o->recent,
		.lambda = 1,
		.any = true,
	};
	return CLKV_OK;
}

const struct clkv__stage clkv__stage_h2o = {
	.name = "h2o",
	.brief = "newest tokens, and those with most attention of all queries",
	.source = "H2O, arXiv 2306.14048",
	.kind = CLKV__SELECT,
	.keys = h2o_keys,
	.n_keys = sizeof h2o_keys / sizeof h2o_keys[0],
	.prompt = true,
	.plan = plan_h2o,
};
