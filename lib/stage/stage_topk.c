/* SPDX-License-Identifier: MIT */
/**
 * \file    stage_topk.c
 * \brief   The tokens with the largest logits: reads every key, so it saves nothing of that; the bound of what recall
 *          can reach, for comparison.
 */
#include "stage/recall_keys.h"

struct topk_options {
	int recall, gqa, probe, alloc, every, most;
};

#define AT(field) offsetof(struct topk_options, field)

static const struct clkv__key topk_keys[] = {
	RECALL_KEY(AT(recall)), GQA_KEY(AT(gqa), 0),  PROBE_KEY(AT(probe)),
	ALLOC_KEY(AT(alloc)),   EVERY_KEY(AT(every)), MOST_KEY(AT(most)),
};

static clkv_status plan_topk(const void *options, const struct clkv__shape *shape,
                             struct clkv__plan *plan, struct clkv__variant *variant,
                             clkv_error *error)
{
	const struct topk_options *o = options;
	(void)shape, (void)variant, (void)error;
	plan->recall = (struct clkv__recall){
		.kind = ABI_INDEX_TOKENS,
		.budget = o->recall,
		.per = 1,
		.grouped = o->gqa == 1,
		.probe = o->probe == 1,
		.entropy = o->alloc == 1,
		.every = o->every,
		.most = o->most,
	};
	return CLKV_OK;
}

const struct clkv__stage clkv__stage_topk = {
	.name = "topk",
	.brief = "recall of the tokens with the largest logits: the oracle",
	.source = "exact scores of all keys",
	.kind = CLKV__INDEX,
	.keys = topk_keys,
	.n_keys = sizeof topk_keys / sizeof topk_keys[0],
	.window = RECALL_WINDOW,
	.sinks = RECALL_SINKS,
	.prompt = true,
	.plan = plan_topk,
};
