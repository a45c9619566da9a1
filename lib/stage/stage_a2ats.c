/* SPDX-License-Identifier: MIT */
/**
 * \file    stage_a2ats.c
 * \brief   A2ATS: sealed tokens are recalled by the codes of their keys.
 *
 * Source: arXiv 2502.12665. Tokens of one code have one score, so they are kept as lists, code by code, instead of a
 * code per token: a step looks at codes and at the tokens that it recalls, not at all of them.
 */
#include "base/error.h"
#include "plan/projection.h"
#include "stage/recall_keys.h"

struct a2ats_options {
	int recall, codes, niter, metric, obs, wrope, gqa, probe, alloc, every, most, seed;
};

#define AT(field) offsetof(struct a2ats_options, field)

static const struct clkv__key a2ats_keys[] = {
	RECALL_KEY(AT(recall)),
	{"codes", CLKV__KEY_INT, AT(codes), 32, 4096, NULL, 256, "entries of a KV head's codebook"},
	{"niter", CLKV__KEY_INT, AT(niter), 1, 300, NULL, 5, "rounds of k-means, at most"},
	METRIC_KEY(AT(metric)),
	OBSERVED_KEY(AT(obs)),
	{"wrope", CLKV__KEY_INT, AT(wrope), 0, 1 << 20, NULL, 0,
     "windowed RoPE: keys are indexed as before RoPE and scored as if they lay so far behind the "
     "query; 0: as they are"},
	GQA_KEY(AT(gqa), 0),
	PROBE_KEY(AT(probe)),
	ALLOC_KEY(AT(alloc)),
	EVERY_KEY(AT(every)),
	MOST_KEY(AT(most)),
	{"seed", CLKV__KEY_INT, AT(seed), 0, 1 << 30, NULL, 0, "of the first entries"},
};

static clkv_status plan_a2ats(const void *options, const struct clkv__shape *shape,
                              struct clkv__plan *plan, struct clkv__variant *variant,
                              clkv_error *error)
{
	const struct a2ats_options *o = options;
	if (o->wrope > 0 && shape->rope.kind == CLKV_ROPE_NONE)
		CLKV_FAIL(
			error, CLKV_ERROR_INVALID_RECIPE,
			"stage 'a2ats': key 'wrope' is %d, but the geometry's rope.kind is 0: to turn keys "
			"back the library must know the model's RoPE; allowed: 0",
			o->wrope);
	if (o->wrope > 0 && variant->project)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_RECIPE,
		          "stage 'a2ats': key 'wrope' is %d behind rot=%s, which mixes the channels "
		          "that RoPE turns; allowed: 0",
		          o->wrope, clkv__projection_name(variant->project));
	plan->recall = (struct clkv__recall){
		.kind = ABI_INDEX_CODES,
		.budget = o->recall,
		.codes = o->codes,
		.metric = o->metric,
		.iterations = o->niter,
		.observe = o->metric == ABI_METRIC_QUERY ? o->obs : 0,
		.distance = o->wrope,
		.grouped = o->gqa == 1,
		.probe = o->probe == 1,
		.entropy = o->alloc == 1,
		.every = o->every,
		.most = o->most,
		.seed = o->seed,
	};
	return CLKV_OK;
}

const struct clkv__stage clkv__stage_a2ats = {
	.name = "a2ats",
	.brief = "recall of tokens by vector-quantized keys",
	.source = "A2ATS, arXiv 2502.12665",
	.kind = CLKV__INDEX,
	.keys = a2ats_keys,
	.n_keys = sizeof a2ats_keys / sizeof a2ats_keys[0],
	.window = RECALL_WINDOW,
	.sinks = RECALL_SINKS,
	.prompt = true,
	.plan = plan_a2ats,
};
