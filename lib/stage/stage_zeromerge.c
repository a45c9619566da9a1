/* SPDX-License-Identifier: MIT */
/**
 * \file    stage_zeromerge.c
 * \brief   ZeroMerge: newest tokens, those with most attention, and slots into which the others are merged.
 *
 * Source: arXiv 2503.10714 (later ZSMerge) and its code. Unlike the original, tokens leave the window block by block while
 * a sequence grows; defaults are those that lost least where we measured; `alloc=adaptive`, `init=first`, `init=best`, `mean=mass`,
 * `evict=any` and the metrics beside dot are ours.
 */
#include "base/error.h"
#include "stage/select_keys.h"

struct zeromerge_options {
	float budget, tail, residual, lambda, alpha, peak, recent;
	int metric, init, mass, mean, obs, agg, gqa, alloc;
	float least;
	int evict, score_merge;
};

#define AT(field) offsetof(struct zeromerge_options, field)

static const struct clkv__key zeromerge_keys[] = {
	BUDGET_KEY(AT(budget), 0.2),
	TAIL_KEY("tail", AT(tail), 0.375),
	{"residual", CLKV__KEY_PART, AT(residual), 0, SLOTS_MOST, NULL, 0.2,
     "slots of merged tokens: a share of what the tail leaves, one at least, or their number; 0: "
     "what isn't kept is dropped"},
	{"lambda", CLKV__KEY_REAL, AT(lambda), 0.001, 1, NULL, 1,
     "what a score shrinks by with each row"},
	ALPHA_KEY(AT(alpha)),
	{"mass", CLKV__KEY_NAME, AT(mass), 0, 0, "sum|mean", CLKV__UNSET,
     "attention counts in all, or per row that could see the token; obs=0. Not given: mean, if "
     "lambda is 1"},
	{"peak", CLKV__KEY_REAL, AT(peak), 0, 100, NULL, 1,
     "what a token's share of the largest weights that a row gave counts for being kept, beside "
     "its "
     "share of all attention; obs=0"},
	{"recent", CLKV__KEY_REAL, AT(recent), 0, 100, NULL, 4,
     "what attention of the newest 64 rows or so counts for merging, beside that of all; obs=0"},
	{"metric", CLKV__KEY_NAME, AT(metric), 0, 0, "dot|l2|cos", ABI_NEAR_COSINE,
     "which merged slot a key is nearest to: by product, distance, or angle"},
	{"init", CLKV__KEY_NAME, AT(init), 0, 0, "first|contig|best", ABI_INIT_BEST,
     "merged slots begin with the first tokens left over, with the means of even runs, or with "
     "those that weigh most"},
	{"mean", CLKV__KEY_NAME, AT(mean), 0, 0, "count|mass", ABI_MEAN_MASS,
     "tokens of a merged slot count alike, or by their attention"},
	JUDGES_KEY(AT(obs), 0, 0,
               "newest queries by whose attention tokens are judged; 0: all that there were"),
	AGG_KEY(AT(agg)),
	REDUCE_KEY(AT(gqa), ABI_GROUP_SUM),
	{"alloc", CLKV__KEY_NAME, AT(alloc), 0, 0, "uniform|adaptive", 0,
     "a layer's heads have the same number of kept tokens, or share them by score"},
	{"least", CLKV__KEY_REAL, AT(least), 0, 1, NULL, 0.2,
     "alloc=adaptive: share of its even part that a head has at least"},
	{"evict", CLKV__KEY_NAME, AT(evict), 0, 0, "new|any", 0,
     "new: of the tokens that leave the window the newest is kept in any case; any: if its score "
     "is large enough"},
	{"score_merge", CLKV__KEY_NAME, AT(score_merge), 0, 0, "max|sum", 0,
     "score of a merged slot, of its tokens': with mean=count"},
};

/* Scores that fade say nothing of how many rows there were. */
static bool is_mean(const struct zeromerge_options *o)
{
	return o->mass == CLKV__UNSET ? o->lambda == 1 : o->mass == 1;
}

static clkv_status plan_zeromerge(const void *options, const struct clkv__shape *shape,
                                  struct clkv__plan *plan, struct clkv__variant *variant,
                                  clkv_error *error)
{
	const struct zeromerge_options *o = options;
	(void)shape, (void)variant;
	if (o->obs > 0 && o->lambda < 1)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_RECIPE,
		          "stage 'zeromerge': key 'lambda' is %g, but scores of the %d newest queries "
		          "alone are sums; allowed: lambda=1, or obs=0",
		          (double)o->lambda, o->obs);
	if (o->obs == 0 && o->agg != ABI_ROWS_SUM)
		CLKV_FAIL(
			error, CLKV_ERROR_INVALID_RECIPE,
			"stage 'zeromerge': key 'agg' is max, but all queries judge, whose attention is a "
			"sum; allowed: agg=sum, or obs of 1 to 256");
	plan->select = (struct clkv__select){
		.stage = "zeromerge",
		.kind = ABI_SELECT_BEST,
		.score = o->obs > 0 ? ABI_SCORE_SEEN : ABI_SCORE_MASS,
		.observe = o->obs,
		.rows = o->agg,
		.group = o->gqa,
		.pool = 1,
		.rule = o->alloc == 1 ? CLKV__BUDGET_HEADS : CLKV__BUDGET_FIXED,
		.budget = o->budget,
		.tail = o->tail,
		.residual = o->residual,
		.lambda = o->lambda,
		.alpha = o->alpha,
		.least = o->least,
		.metric = o->metric,
		.init = o->init,
		.mean = o->mean,
		.aged = o->obs == 0 && is_mean(o),
		.peak = o->obs > 0 ? 0 : o->peak,
		.recent = o->recent,
		.any = o->evict == 1,
		.score_sum = o->score_merge == 1,
	};
	return CLKV_OK;
}

static void settle_zeromerge(void *options)
{
	struct zeromerge_options *o = options;
	o->mass = is_mean(o);
}

const struct clkv__stage clkv__stage_zeromerge = {
	.name = "zeromerge",
	.brief = "newest tokens, those with most attention, and slots into which the others are merged",
	.source = "ZeroMerge, arXiv 2503.10714",
	.kind = CLKV__SELECT,
	.keys = zeromerge_keys,
	.n_keys = sizeof zeromerge_keys / sizeof zeromerge_keys[0],
	.prompt = true,
	.plan = plan_zeromerge,
	.settle = settle_zeromerge,
};
