/* SPDX-License-Identifier: MIT */
/** \file plan_select.c \brief Budgets that are too small, and stages that can't follow selection. */
#include "plan/plan_select.h"

#include "base/error.h"

/* Slots of a budget that is a number, and what they must have room for. */
struct need {
	uint32_t budget, sinks, window, merged, kept;
};

static uint32_t most(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

static struct need need_of(const struct clkv__select *s, const struct clkv__general *g)
{
	struct need n = {.budget = (uint32_t)s->budget, .sinks = (uint32_t)g->sinks, .kept = 1};
	uint32_t left = n.budget > n.sinks ? n.budget - n.sinks : 0;
	n.window = clkv__select_part(s->tail, n.budget);
	if (clkv__choice_of(s)->rings) {
		n.window = most(left / (uint32_t)s->cascades, 1);
		n.kept = (uint32_t)s->cascades - 1;
	} else if (s->tail == 1) { /* whatever the sinks leave, and nothing else */
		n.window = most(left, 1);
		n.kept = 0;
	}
	n.window = most(n.window, (uint32_t)g->window);
	if (s->residual > 0)
		n.merged =
			most(clkv__select_part(s->residual, n.budget > n.window ? n.budget - n.window : 0), 1);
	return n;
}

static clkv_status check_budget(const struct clkv__select *s, const struct clkv__general *g,
                                clkv_error *error)
{
	struct need n = need_of(s, g);
	uint64_t least = (uint64_t)n.sinks + n.window + n.merged + n.kept;
	if (s->budget > 1 && n.budget < least)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_RECIPE,
		          "stage '%s': key 'budget' is %u slots, but %u sinks, a window of %u, %u merged "
		          "and %u kept are %llu; allowed: as many as these are, or a share up to 1",
		          s->stage, n.budget, n.sinks, n.window, n.merged, n.kept,
		          (unsigned long long)least);
	return CLKV_OK;
}

clkv_status clkv__plan_select(const struct clkv__plan *plan, clkv_error *error)
{
	const struct clkv__select *s = &plan->select;
	const struct clkv__prune *prune = &plan->sealing.prune;
	if (!clkv__selects(s))
		return CLKV_OK;
	CLKV_TRY(check_budget(s, &plan->general, error));
	if (clkv__recalls(&plan->recall))
		CLKV_FAIL(
			error, CLKV_ERROR_INVALID_RECIPE,
			"stage '%s' drops tokens, and what is dropped can't be recalled: clusterkv, a2ats, "
			"pages and topk can't follow it; allowed: stages that prune or encode",
			s->stage);
	if (clkv__select_compares(s) && plan->general.seal == 0)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_RECIPE,
		          "stage '%s' shares slots out by the scores of a whole prompt; general key 'seal' "
		          "is 'chunk'; allowed: seal=prompt",
		          s->stage);
	if (clkv__select_rereads(s) && plan->general.seal == 0)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_RECIPE,
		          "stage '%s' judges a prompt when it has been read again as a whole; general key "
		          "'seal' is 'chunk'; allowed: seal=prompt",
		          s->stage);
	if (s->observe > 0 && clkv__prunes_k(prune) && prune->observe != s->observe)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_RECIPE,
		          "stage '%s' looks at the %d newest queries, the stage that prunes at %d, and the "
		          "same are kept for both; allowed: their keys 'obs' set alike",
		          s->stage, s->observe, prune->observe);
	return CLKV_OK;
}
