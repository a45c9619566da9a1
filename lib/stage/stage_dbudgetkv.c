/* SPDX-License-Identifier: MIT */
/**
 * \file    stage_dbudgetkv.c
 * \brief   DBudgetKV: of each layer as many newest tokens as lose little of the norm of attention.
 *
 * Source: arXiv 2502.16886 (later ReFreeKV). Unlike the original, whose norms are averaged over query heads, the mean of a
 * KV head's query heads counts once. The first tokens are the sinks.
 */
#include "stage/select_keys.h"

struct dbudgetkv_options {
	float tau;
	int obs;
};

#define AT(field) offsetof(struct dbudgetkv_options, field)

static const struct clkv__key dbudgetkv_keys[] = {
	{"tau", CLKV__KEY_REAL, AT(tau), 1e-6, 1, NULL, 0.01, "part of the norm that may be lost"},
	JUDGES_KEY(AT(obs), 1, 1, "newest queries of a prompt whose attention counts"),
};

static clkv_status plan_dbudgetkv(const void *options, const struct clkv__shape *shape,
                                  struct clkv__plan *plan, struct clkv__variant *variant,
                                  clkv_error *error)
{
	const struct dbudgetkv_options *o = options;
	(void)shape, (void)variant, (void)error;
	plan->select = (struct clkv__select){
		.stage = "dbudgetkv",
		.kind = ABI_SELECT_BEST,
		.score = ABI_SCORE_SEEN,
		.observe = o->obs,
		.rows = ABI_ROWS_SUM,
		.group = ABI_GROUP_MEAN,
		.pool = 1,
		.layers = true,
		.rule = CLKV__BUDGET_ENERGY,
		.budget = 1,
		.tau = o->tau,
		.any = true,
	};
	return CLKV_OK;
}

const struct clkv__stage clkv__stage_dbudgetkv = {
	.name = "dbudgetkv",
	.brief = "first tokens, and of each layer as many newest as lose little of attention's norm; "
			 "no budget",
	.source = "DBudgetKV, arXiv 2502.16886",
	.kind = CLKV__SELECT,
	.keys = dbudgetkv_keys,
	.n_keys = sizeof dbudgetkv_keys / sizeof dbudgetkv_keys[0],
	.sinks = 4,
	.skip = 2,
	.prompt = true,
	.plan = plan_dbudgetkv,
};
