/* SPDX-License-Identifier: MIT */
/**
 * \file    stage_prefixkv.c
 * \brief   PrefixKV: layers keep as many tokens as each needs for the same share of its attention.
 *
 * Source: arXiv 2412.03409, whose ratio is what is dropped. Unlike the original, layers reach their number of tokens exactly,
 * and tokens of a growing sequence are dropped by their scores; so the window is larger than the original's one token.
 */
#include "stage/select_keys.h"

struct prefixkv_options {
	float budget;
};

#define AT(field) offsetof(struct prefixkv_options, field)

static const struct clkv__key prefixkv_keys[] = {
	BUDGET_KEY(AT(budget), 0.2),
};

static clkv_status plan_prefixkv(const void *options, const struct clkv__shape *shape,
                                 struct clkv__plan *plan, struct clkv__variant *variant,
                                 clkv_error *error)
{
	const struct prefixkv_options *o = options;
	(void)shape, (void)variant, (void)error;
	plan->select = (struct clkv__select){
		.stage = "prefixkv",
		.kind = ABI_SELECT_BEST,
		.score = ABI_SCORE_MASS,
		.rows = ABI_ROWS_SUM,
		.group = ABI_GROUP_MEAN,
		.pool = 1,
		.layers = true,
		.rule = CLKV__BUDGET_CURVE,
		.budget = o->budget,
		.lambda = 1,
		.any = true,
	};
	return CLKV_OK;
}

const struct clkv__stage clkv__stage_prefixkv = {
	.name = "prefixkv",
	.brief = "each layer what it needs for the same share of its attention; the budget is the "
			 "layers' mean",
	.source = "PrefixKV, arXiv 2412.03409",
	.kind = CLKV__SELECT,
	.keys = prefixkv_keys,
	.n_keys = sizeof prefixkv_keys / sizeof prefixkv_keys[0],
	.window = 32,
	.sinks = 4,
	.prompt = true,
	.plan = plan_prefixkv,
};
