/* SPDX-License-Identifier: MIT */
/**
 * \file    stage_corm.c
 * \brief   CORM: tokens to which one of the newest queries gave more than an even part of its attention.
 *
 * Source: arXiv 2404.15949. An even part is 1 / (the query's position + 1), tokens that were dropped among them. Unlike the
 * original, tokens are judged block by block once they leave the window, by the newest queries of that time.
 */
#include "stage/select_keys.h"

struct corm_options {
	int obs;
};

#define AT(field) offsetof(struct corm_options, field)

static const struct clkv__key corm_keys[] = {
	JUDGES_KEY(AT(obs), 1, 256, "newest queries, one of which must want a token"),
};

static clkv_status plan_corm(const void *options, const struct clkv__shape *shape,
                             struct clkv__plan *plan, struct clkv__variant *variant,
                             clkv_error *error)
{
	const struct corm_options *o = options;
	(void)shape, (void)variant, (void)error;
	plan->select = (struct clkv__select){
		.stage = "corm",
		.kind = ABI_SELECT_BEST,
		.score = ABI_SCORE_SEEN,
		.observe = o->obs,
		.rows = ABI_ROWS_ABOVE,
		.group = ABI_GROUP_MAX,
		.pool = 1,
		.rule = CLKV__BUDGET_ABOVE,
		.budget = 1,
		.any = true,
	};
	return CLKV_OK;
}

const struct clkv__stage clkv__stage_corm = {
	.name = "corm",
	.brief = "tokens to which a newest query gave more than an even part; no budget",
	.source = "CORM, arXiv 2404.15949",
	.kind = CLKV__SELECT,
	.keys = corm_keys,
	.n_keys = sizeof corm_keys / sizeof corm_keys[0],
	.window = 256,
	.prompt = true,
	.plan = plan_corm,
};
