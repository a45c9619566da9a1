/* SPDX-License-Identifier: MIT */
/**
 * \file    stage_cascade.c
 * \brief   Cascading KV cache: rings of tokens, each of which takes every other token that the one before lets go.
 *
 * Source: arXiv 2406.17808. Scores are averages that forget, of which the factor 1 - beta is left out: they are compared
 * with each other alone. Unlike the original, which numbers what is kept anew, keys keep the positions at which they were
 * rotated; and tokens leave the window by whole blocks.
 */
#include "stage/select_keys.h"

struct cascade_options {
	float budget;
	int rings;
	float beta;
	int gqa;
};

#define AT(field) offsetof(struct cascade_options, field)

static const struct clkv__key cascade_keys[] = {
	BUDGET_KEY(AT(budget), 2048),
	{"rings", CLKV__KEY_INT, AT(rings), 1, 16, NULL, 4,
     "rings that share what the sinks leave of the budget; the window is the first"},
	{"beta", CLKV__KEY_REAL, AT(beta), 0.001, 1, NULL, 0.9999,
     "what a score shrinks by with each row"},
	REDUCE_KEY(AT(gqa), ABI_GROUP_MEAN),
};

static clkv_status plan_cascade(const void *options, const struct clkv__shape *shape,
                                struct clkv__plan *plan, struct clkv__variant *variant,
                                clkv_error *error)
{
	const struct cascade_options *o = options;
	(void)shape, (void)variant, (void)error;
	plan->select = (struct clkv__select){
		.stage = "cascade",
		.kind = ABI_SELECT_CASCADE,
		.score = ABI_SCORE_MASS,
		.rows = ABI_ROWS_SUM,
		.group = o->gqa,
		.pool = 1,
		.rule = CLKV__BUDGET_FIXED,
		.budget = o->budget,
		.lambda = o->beta,
		.any = true,
		.cascades = o->rings,
	};
	return CLKV_OK;
}

const struct clkv__stage clkv__stage_cascade = {
	.name = "cascade",
	.brief =
		"rings of tokens, each takes every other one that the ring before lets go; positions stay",
	.source = "Cascading KV cache, arXiv 2406.17808",
	.kind = CLKV__SELECT,
	.keys = cascade_keys,
	.n_keys = sizeof cascade_keys / sizeof cascade_keys[0],
	.sinks = 64,
	.plan = plan_cascade,
};
