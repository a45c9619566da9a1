/* SPDX-License-Identifier: MIT */
/** \file select.c \brief The arithmetic of selection: slots, macros. */
#include "select/select.h"

#include <float.h>
#include <math.h>

static uint32_t least(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static uint32_t most(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

uint32_t clkv__select_part(float part, uint32_t of)
{
	double exact = (double)part * of, whole = round(exact);
	if (part > 1)
		return (uint32_t)part;
	/* A float lies half of its last bit from its decimal at most. */
	return (uint32_t)(fabs(exact - whole) <= exact * (double)FLT_EPSILON / 2 ? whole
	                                                                         : floor(exact));
}

/* The newest tokens that the stage itself wants in half, of budget slots, sinks included. */
static uint32_t tail_of(const struct clkv__select *s, uint32_t sinks, uint32_t budget)
{
	if (clkv__choice_of(s)->rings)
		return budget > sinks ? (budget - sinks) / (uint32_t)s->cascades : 0;
	return clkv__select_part(s->tail, budget);
}

uint32_t clkv__select_floor(uint32_t sinks, uint32_t window)
{
	return most(CLKV__SHARE_LEAST, sinks + window + CLKV__SHARE_LEAST_BEHIND);
}

/* All slots of a sequence of so many tokens. */
static uint32_t slots_of(const struct clkv__select *s, uint32_t sinks, uint32_t window,
                         uint32_t tokens)
{
	uint32_t slots = clkv__select_part(s->budget, tokens);
	uint32_t floor = clkv__select_floor(sinks, window);
	return s->budget > 1 ? slots : most(slots, least(floor, tokens));
}

uint32_t clkv__select_counts(uint32_t counted, uint32_t tokens)
{
	return counted == 0 ? tokens : most(counted, least(tokens, CLKV__SHARE_GROWS_TO));
}

struct clkv__quota clkv__select_quota(const struct clkv__select *s, uint32_t sinks, uint32_t window,
                                      uint32_t tokens)
{
	struct clkv__quota q = {.sinks = sinks};
	uint32_t budget = slots_of(s, sinks, window, tokens);
	uint32_t left = budget > sinks ? budget - sinks : 0;
	q.window = least(most(window, tail_of(s, sinks, budget)), left);
	left -= q.window;
	if (s->residual > 0)
		q.merged = least(most(clkv__select_part(s->residual, budget - q.window), 1), left);
	q.kept = left - q.merged;
	return q;
}

uint32_t clkv__select_most(const struct clkv__select *s, const struct clkv__quota *quota,
                           uint32_t leaving)
{
	bool found = clkv__select_is_open(s) || !clkv__choice_of(s)->bounded;
	return found ? leaving : least(quota->kept, leaving);
}

uint32_t clkv__select_bound(const struct clkv__select *s, uint32_t kept, int streams)
{
	const struct clkv__rule *rule = clkv__rule_of(s);
	if (!rule->bounded || !clkv__choice_of(s)->bounded || clkv__select_rereads(s))
		return UINT32_MAX;
	return kept * (uint32_t)(rule->pooled ? streams : 1);
}

void clkv__select_macros(const struct clkv__select *s, clkv__macros *m)
{
	clkv__macros_int(m, "SELECT", s->kind);
	if (!clkv__selects(s))
		return;
	clkv__macros_int(m, "SCORE", s->score);
	clkv__macros_int(m, "SCORE_ROWS", s->rows);
	clkv__macros_int(m, "SCORE_GROUP", s->group);
	clkv__macros_int(m, "SCORE_SUM", s->score_sum);
	clkv__macros_int(m, "POOL", s->pool);
	clkv__macros_int(m, "POOL_MAX", s->pool_max);
	clkv__macros_int(m, "ABOVE", clkv__rule_of(s)->above);
	clkv__macros_int(m, "OLD", s->old);
	clkv__macros_int(m, "NEAR", s->metric);
	clkv__macros_int(m, "INIT", s->init);
	clkv__macros_int(m, "AGED", s->aged);
	if (clkv__choice_of(s)->rings)
		clkv__macros_int(m, "CASCADES", s->cascades);
	clkv__macros_int(m, "MEAN", s->mean);
	if (clkv__select_expects(s)) {
		clkv__macros_int(m, "AHEAD", s->ahead);
		clkv__macros_int(m, "VARIANCE", s->spread);
		clkv__macros_int(m, "LENGTHS", s->lengths);
	}
	clkv__macros_int(m, "SEEDS", s->init == ABI_INIT_BEST);
	clkv__macros_int(m, "TRACED",
	                 clkv__weighs(s) && (s->peak > 0 || clkv__select_weighs_merged(s)));
}
