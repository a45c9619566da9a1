/* SPDX-License-Identifier: MIT */
/**
 * \file    stage_clusterkv.c
 * \brief   ClusterKV: sealed tokens are recalled by clusters of their keys.
 *
 * Source: arXiv 2412.03213. Unlike the original each layer has an index (`skip` leaves some out), first centroids are
 * drawn from all parts of a segment, and long prompts are clustered in segments.
 */
#include "stage/recall_keys.h"

struct clusterkv_options {
	int recall, per, niter, metric, obs, gqa, probe, alloc, every, most, seed;
};

#define AT(field) offsetof(struct clusterkv_options, field)

static const struct clkv__key clusterkv_keys[] = {
	RECALL_KEY(AT(recall)),
	{"per", CLKV__KEY_INT, AT(per), 4, 256, NULL, 16, "tokens of a cluster, on average"},
	{"niter", CLKV__KEY_INT, AT(niter), 1, 100, NULL, 5, "rounds of k-means, at most"},
	METRIC_KEY(AT(metric)),
	OBSERVED_KEY(AT(obs)),
	GQA_KEY(AT(gqa), 0),
	PROBE_KEY(AT(probe)),
	ALLOC_KEY(AT(alloc)),
	EVERY_KEY(AT(every)),
	MOST_KEY(AT(most)),
	{"seed", CLKV__KEY_INT, AT(seed), 0, 1 << 30, NULL, 0, "of the first centroids"},
};

static clkv_status plan_clusterkv(const void *options, const struct clkv__shape *shape,
                                  struct clkv__plan *plan, struct clkv__variant *variant,
                                  clkv_error *error)
{
	const struct clusterkv_options *o = options;
	(void)shape, (void)variant, (void)error;
	plan->recall = (struct clkv__recall){
		.kind = ABI_INDEX_CLUSTERS,
		.budget = o->recall,
		.per = o->per,
		.metric = o->metric,
		.iterations = o->niter,
		.observe = o->metric == ABI_METRIC_QUERY ? o->obs : 0,
		.grouped = o->gqa == 1,
		.probe = o->probe == 1,
		.entropy = o->alloc == 1,
		.every = o->every,
		.most = o->most,
		.seed = o->seed,
	};
	return CLKV_OK;
}

const struct clkv__stage clkv__stage_clusterkv = {
	.name = "clusterkv",
	.brief = "recall of tokens by clusters of their keys",
	.source = "ClusterKV, arXiv 2412.03213",
	.kind = CLKV__INDEX,
	.keys = clusterkv_keys,
	.n_keys = sizeof clusterkv_keys / sizeof clusterkv_keys[0],
	.window = RECALL_WINDOW,
	.sinks = RECALL_SINKS,
	.prompt = true,
	.plan = plan_clusterkv,
};
