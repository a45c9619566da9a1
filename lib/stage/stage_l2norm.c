/* SPDX-License-Identifier: MIT */
/**
 * \file    stage_l2norm.c
 * \brief   L2 norm: the keys of least norm, which attention tends to favour.
 *
 * Source: arXiv 2406.11430. Unlike the original, there is a window, the share is rounded down, and tokens stay in the order
 * of time.
 */
#include "stage/select_keys.h"

struct l2norm_options {
	float budget;
};

#define AT(field) offsetof(struct l2norm_options, field)

static const struct clkv__key l2norm_keys[] = {
	BUDGET_KEY(AT(budget), 0.5),
};

static clkv_status plan_l2norm(const void *options, const struct clkv__shape *shape,
                               struct clkv__plan *plan, struct clkv__variant *variant,
                               clkv_error *error)
{
	const struct l2norm_options *o = options;
	(void)shape, (void)variant, (void)error;
	plan->select = (struct clkv__select){
		.stage = "l2norm",
		.kind = ABI_SELECT_BEST,
		.score = ABI_SCORE_NORM,
		.pool = 1,
		.rule = CLKV__BUDGET_FIXED,
		.budget = o->budget,
		.any = true,
	};
	return CLKV_OK;
}

const struct clkv__stage clkv__stage_l2norm = {
	.name = "l2norm",
	.brief = "tokens whose keys have the least norm: attention is not looked at",
	.source = "L2-norm strategy, arXiv 2406.11430",
	.kind = CLKV__SELECT,
	.keys = l2norm_keys,
	.n_keys = sizeof l2norm_keys / sizeof l2norm_keys[0],
	.window = 64,
	.skip = 2,
	.plan = plan_l2norm,
};
