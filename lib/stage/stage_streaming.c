/* SPDX-License-Identifier: MIT */
/**
 * \file    stage_streaming.c
 * \brief   StreamingLLM: first tokens and newest tokens.
 *
 * Source: arXiv 2309.17453. Unlike the original, keys keep the positions at which they were rotated.
 */
#include "stage/select_keys.h"

struct streaming_options {
	float budget;
};

#define AT(field) offsetof(struct streaming_options, field)

static const struct clkv__key streaming_keys[] = {
	BUDGET_KEY(AT(budget), 512),
};

static clkv_status plan_streaming(const void *options, const struct clkv__shape *shape,
                                  struct clkv__plan *plan, struct clkv__variant *variant,
                                  clkv_error *error)
{
	const struct streaming_options *o = options;
	(void)shape, (void)variant, (void)error;
	plan->select = (struct clkv__select){
		.stage = "streaming",
		.kind = ABI_SELECT_BEST,
		.score = ABI_SCORE_PLACE,
		.pool = 1,
		.rule = CLKV__BUDGET_FIXED,
		.budget = o->budget,
		.tail = 1,
		.any = true,
	};
	return CLKV_OK;
}

const struct clkv__stage clkv__stage_streaming = {
	.name = "streaming",
	.brief = "first tokens and newest tokens",
	.source = "StreamingLLM, arXiv 2309.17453",
	.kind = CLKV__SELECT,
	.keys = streaming_keys,
	.n_keys = sizeof streaming_keys / sizeof streaming_keys[0],
	.sinks = 4,
	.plan = plan_streaming,
};
