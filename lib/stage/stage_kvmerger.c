/* SPDX-License-Identifier: MIT */
/**
 * \file    stage_kvmerger.c
 * \brief   KVMerger: neighbours whose keys are alike become one slot.
 *
 * Source: arXiv 2407.08454. Unlike the original, a slot's logit knows how many tokens it stands for (`alpha=0`: it doesn't),
 * the Gaussian's width is the mean distance from the run's pivot, as the printed one is defined through itself, and the last
 * layer is merged like the others. Tokens of a growing sequence become runs by the cosine that its prompt's end has found;
 * their slots come on top of the budget. Behind a stage that selects, that one's scores and number of slots count.
 */
#include "base/error.h"
#include "stage/select_keys.h"

struct kvmerger_options {
	float budget, similar, heavy, alpha;
};

#define AT(field) offsetof(struct kvmerger_options, field)

static const struct clkv__key kvmerger_keys[] = {
	{"budget", CLKV__KEY_PART, AT(budget), SHARE_LEAST, SLOTS_MOST, NULL, CLKV__UNSET,
     "slots of a KV head, sinks and window among them: a share of the tokens, or their number; if "
     "not given, 0.5, or what similar or a stage in front says"},
	{"similar", CLKV__KEY_REAL, AT(similar), 0.001, 2, NULL, CLKV__UNSET,
     "cosine that neighbours of a run have at least, whatever the number of slots; above 1: none "
     "are merged"},
	{"heavy", CLKV__KEY_REAL, AT(heavy), 0, 1, NULL, 0.2,
     "share of the kept slots that stays unmerged, those with most attention; with similar: share "
     "of the tokens"},
	ALPHA_KEY(AT(alpha)),
};

/* Without a stage in front: attention of all queries says what is heavy and which token of a run is its pivot. */
static struct clkv__select of_its_own(const struct kvmerger_options *o)
{
	float budget = o->budget > 0 ? o->budget : 0.5f;
	return (struct clkv__select){
		.stage = "kvmerger",
		.score = ABI_SCORE_MASS,
		.rows = ABI_ROWS_SUM,
		.group = ABI_GROUP_SUM,
		.pool = 1,
		.rule = CLKV__BUDGET_FIXED,
		.budget = o->similar > 0 ? 1 : budget,
		.lambda = 1,
		.any = true,
	};
}

/* What a stage in front lacks for runs, or NULL. */
static const char *unfit(const struct clkv__select *s)
{
	if (s->kind != ABI_SELECT_BEST)
		return "has rings of its own";
	if (s->residual > 0)
		return "merges what it doesn't keep itself";
	if (!clkv__score_of(s)->attention)
		return "doesn't look at attention, by which the pivot of a run is found";
	if (clkv__select_rereads(s))
		return "keeps tokens that nobody has judged yet beside its slots";
	if (clkv__select_is_open(s))
		return "has no number of slots to which runs could be fitted";
	return NULL;
}

static clkv_status check_before(const struct clkv__select *s, const struct kvmerger_options *o,
                                clkv_error *error)
{
	const char *why = unfit(s);
	if (why)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_RECIPE,
		          "stage 'kvmerger' can't come behind '%s', which %s; allowed: prefixkv, h2o, "
		          "snapkv, expected, morphkv, or kvmerger alone",
		          s->stage, why);
	if (o->budget > 0 || o->similar > 0)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_RECIPE,
		          "stage 'kvmerger': key '%s' is given, but the number of slots is that of '%s' in "
		          "front; allowed: without it",
		          o->budget > 0 ? "budget" : "similar", s->stage);
	return CLKV_OK;
}

static clkv_status plan_kvmerger(const void *options, const struct clkv__shape *shape,
                                 struct clkv__plan *plan, struct clkv__variant *variant,
                                 clkv_error *error)
{
	const struct kvmerger_options *o = options;
	(void)shape, (void)variant;
	struct clkv__select *s = &plan->select;
	if (o->budget > 0 && o->similar > 0)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_RECIPE,
		          "stage 'kvmerger': keys 'budget' and 'similar' both say how much is merged; "
		          "allowed: one of them");
	if (!clkv__selects(s))
		*s = of_its_own(o);
	else
		CLKV_TRY(check_before(s, o, error));
	s->kind = ABI_SELECT_RUNS;
	s->similar = o->similar > 0 ? o->similar : 0;
	s->heavy = o->heavy;
	s->alpha = o->alpha;
	return CLKV_OK;
}

const struct clkv__stage clkv__stage_kvmerger = {
	.name = "kvmerger",
	.brief = "neighbours whose keys are alike become one slot",
	.source = "KVMerger, arXiv 2407.08454",
	.kind = CLKV__MERGE,
	.keys = kvmerger_keys,
	.n_keys = sizeof kvmerger_keys / sizeof kvmerger_keys[0],
	.window = 32,
	.skip = 2,
	.prompt = true,
	.plan = plan_kvmerger,
};
