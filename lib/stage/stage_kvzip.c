/* SPDX-License-Identifier: MIT */
/**
 * \file    stage_kvzip.c
 * \brief   KVzip: the tokens to which some row attended most when the model read the prompt again.
 *
 * Source: arXiv 2505.23416, section 3. A question that comes later has had no part in it. Unlike the original, each row's weights are
 * those of its softmax over all tokens, not over the chunk that it repeats, and newest tokens are kept. What is generated
 * stays, as there, until it's read too.
 */
#include "stage/select_keys.h"

struct kvzip_options {
	float budget;
	int gqa, alloc;
};

#define AT(field) offsetof(struct kvzip_options, field)

static const struct clkv__key kvzip_keys[] = {
	BUDGET_KEY(AT(budget), 512),
	REDUCE_KEY(AT(gqa), ABI_GROUP_MAX),
	{"alloc", CLKV__KEY_NAME, AT(alloc), 0, 0, "global|uniform", 0,
     "who gets a prompt's kept slots: the best scores of all layers' heads, or each head as many"},
};

static clkv_status plan_kvzip(const void *options, const struct clkv__shape *shape,
                              struct clkv__plan *plan, struct clkv__variant *variant,
                              clkv_error *error)
{
	const struct kvzip_options *o = options;
	(void)shape, (void)variant, (void)error;
	plan->select = (struct clkv__select){
		.stage = "kvzip",
		.kind = ABI_SELECT_BEST,
		.score = ABI_SCORE_REREAD,
		.rows = ABI_ROWS_MAX,
		.group = o->gqa,
		.pool = 1,
		.rule = o->alloc == 0 ? CLKV__BUDGET_ALL : CLKV__BUDGET_FIXED,
		.budget = o->budget,
		.lambda = 1,
		.any = true,
	};
	return CLKV_OK;
}

const struct clkv__stage clkv__stage_kvzip = {
	.name = "kvzip",
	.brief = "tokens that a second reading of the prompt attended to; safe over turns",
	.source = "KVzip, arXiv 2505.23416",
	.kind = CLKV__SELECT,
	.keys = kvzip_keys,
	.n_keys = sizeof kvzip_keys / sizeof kvzip_keys[0],
	.window = 32,
	.prompt = true,
	.plan = plan_kvzip,
};
