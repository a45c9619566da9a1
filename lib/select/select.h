/* SPDX-License-Identifier: MIT */
/**
 * \file    select.h
 * \brief   Selection: which tokens a KV head keeps of those that leave the window, and what becomes of the others.
 *
 * A policy is a row of parameters: a score, a budget, a choice, and slots into which the rest is merged. Stages choose
 * it; cl/select/slots.clh draws what a kept token carries, cl/select/score_*.cl, select_*.cl and merge_*.cl do the work.
 */
#ifndef CLKV__SELECT_H
#define CLKV__SELECT_H

#include "../cl/base/abi.clh"
#include "base/macros.h"
#include "select/select_kinds.h"
#include "shape/shape.h"

#include <clkv.h>
#include <stdbool.h>
#include <stdint.h>

/** A share is of the tokens when a prompt ended, but of the text while it is shorter than so many: a conversation that begins
 *  with a few words would else keep next to nothing for ever. */
enum { CLKV__SHARE_GROWS_TO = 3072 };

/** Slots that a share of a longer text has at least; and so many behind the sinks and the window. */
enum { CLKV__SHARE_LEAST = 128, CLKV__SHARE_LEAST_BEHIND = 64 };

/** How many slots each head gets. */
enum clkv__budget {
	CLKV__BUDGET_FIXED,  /**< the same for all heads */
	CLKV__BUDGET_ALL,    /**< those of all layers go to the best scores of all heads */
	CLKV__BUDGET_HEADS,  /**< a layer's slots go to the best scores of all its heads */
	CLKV__BUDGET_CURVE,  /**< all layers reach the same share of their scores' sum (PrefixKV) */
	CLKV__BUDGET_ENERGY, /**< each layer as many newest tokens as leave a loss of tau (DBudgetKV) */
	CLKV__BUDGET_ABOVE   /**< whatever has a score above 0 (CORM) */
};

struct clkv__select {
	const char *stage; /**< which chose it, for errors; of two the one that scores */

	int kind;      /**< ABI_SELECT_* */
	int score;     /**< ABI_SCORE_* */
	int observe;   /**< ABI_SCORE_SEEN, ABI_SCORE_EXPECTED: newest queries that judge */
	int ahead;     /**< ABI_SCORE_EXPECTED: positions that these are taken to */
	bool spread;   /**< ABI_SCORE_EXPECTED: the variance of logits counts */
	bool lengths;  /**< ABI_SCORE_EXPECTED: so does the length of a value */
	int rows;      /**< ABI_ROWS_*: how the queries' weights become one */
	int group;     /**< ABI_GROUP_*: how those of a group's heads do */
	int pool;      /**< tokens around a token whose scores count for it: odd; 1: its own */
	bool pool_max; /**< their largest, not their mean */
	bool old;      /**< ABI_SCORE_SEEN: weights among candidates alone (MorphKV) */
	bool layers;   /**< all heads of a layer keep the same tokens, by the mean of their scores */
	int rule;      /**< enum clkv__budget */
	float
		budget; /**< up to 1: share of the tokens; above: slots; sinks, window and merged slots included */
	float
		tail; /**< newest tokens: up to 1 of the budget, above a count; the general key window is the least */
	float
		residual; /**< merged slots: up to 1 of what the tail leaves, above a count; 0: the rest is dropped */
	float lambda;  /**< ABI_SCORE_MASS: what a row's weights shrink by with each row behind it */
	float alpha;   /**< a slot of w tokens gets alpha * log(w) on its logit */
	float tau;     /**< CLKV__BUDGET_ENERGY: the loss */
	float least;   /**< CLKV__BUDGET_HEADS: share of its even part that a head gets at least */
	float similar; /**< ABI_SELECT_RUNS: least cosine of neighbours; 0: as the budget wants */
	float heavy;   /**< ABI_SELECT_RUNS: share of the budget that stays unmerged, by score */
	int metric;    /**< ABI_NEAR_*: which merged slot is nearest */
	int init;      /**< ABI_INIT_*: how merged slots begin */
	int mean;      /**< ABI_MEAN_*: by what merged tokens are weighted */
	float
		peak; /**< ABI_SCORE_MASS: what a token's share of all largest weights counts beside its share of attention */
	bool aged; /**< ABI_SCORE_MASS: attention counts per row that could see the token */
	float
		recent; /**< ABI_MEAN_MASS, ABI_INIT_BEST: what attention of the newest rows counts beside that of all */
	bool
		any; /**< a token that leaves the window may be dropped at once; else it first enters the context */
	bool score_sum; /**< a merged slot's score is the sum of its tokens', not the largest */
	int cascades;   /**< ABI_SELECT_CASCADE: rings, the window is the first; tail doesn't matter */
};

static inline bool clkv__selects(const struct clkv__select *s)
{
	return s->kind != ABI_SELECT_NONE;
}

/** Whether each row's attention counts, and each step's commit has to weigh it. */
static inline bool clkv__weighs(const struct clkv__select *s)
{
	return clkv__selects(s) && clkv__score_of(s)->each;
}

/** Whether rows that read a prompt again judge its tokens, and no others do. */
static inline bool clkv__select_rereads(const struct clkv__select *s)
{
	return clkv__selects(s) && clkv__score_of(s)->reread;
}

/** Whether rows of a phase weigh tokens at their commit. */
static inline bool clkv__select_by(const struct clkv__select *s, clkv_phase phase)
{
	return clkv__weighs(s) && clkv__select_rereads(s) == (phase == CLKV_REREAD);
}

/** Whether queries are taken to positions to come, and each query head's logits lie by themselves. */
static inline bool clkv__select_expects(const struct clkv__select *s)
{
	return clkv__selects(s) && clkv__score_of(s)->turns.file;
}

/** Whether a rule finds out how many tokens a head keeps, of whose slots the budget says nothing. */
static inline bool clkv__select_is_open(const struct clkv__select *s)
{
	const struct clkv__choice *c = clkv__choice_of(s);
	return clkv__rule_of(s)->open || (c->open && c->open(s));
}

/** Whether the rule looks at a prompt's end at the scores of more than one head. */
static inline bool clkv__select_compares(const struct clkv__select *s)
{
	return clkv__rule_of(s)->compares;
}

/** Whether tokens that are merged are weighted, for means or as seeds. */
static inline bool clkv__select_weighs_merged(const struct clkv__select *s)
{
	return s->residual > 0 && (s->mean == ABI_MEAN_MASS || s->init == ABI_INIT_BEST);
}

/** Whether a token's score is more than its attention so far. */
static inline bool clkv__select_mixes(const struct clkv__select *s)
{
	return clkv__weighs(s) && (s->peak > 0 || s->aged);
}

/** A head's slots. */
struct clkv__quota {
	uint32_t sinks, window; /**< in half, beside the kept ones */
	uint32_t kept;          /**< chosen tokens; of a rule that finds them out, all there may be */
	uint32_t merged;        /**< slots of merged tokens */
};

/** The slots of a sequence of so many tokens with these general keys. A share is never less than all tokens up to
 *  CLKV__SHARE_LEAST, nor less than CLKV__SHARE_LEAST_BEHIND more than sinks and window; slots grow with tokens. */
struct clkv__quota clkv__select_quota(const struct clkv__select *s, uint32_t sinks, uint32_t window,
                                      uint32_t tokens);

/** Tokens that a head may keep of so many that leave its window: its quota's, or all where scores or keys say how many. */
uint32_t clkv__select_most(const struct clkv__select *s, const struct clkv__quota *quota,
                           uint32_t leaving);

/** Tokens that a head can have kept whose quota is so many, of a model with so many KV heads; UINT32_MAX: the budget doesn't say. */
uint32_t clkv__select_bound(const struct clkv__select *s, uint32_t kept, int streams);

/** What a share is at least, in slots, of a sequence that has as many tokens. */
uint32_t clkv__select_floor(uint32_t sinks, uint32_t window);

/** Says of how many tokens a share is a share, once `counted` were and the sequence has `tokens`: it grows with the text, up to
 *  CLKV__SHARE_GROWS_TO; counted is 0 when a prompt ends and when tokens are selected first. */
uint32_t clkv__select_counts(uint32_t counted, uint32_t tokens);

/** A part of so many: up to 1 a share, rounded down, above a number of its own. A share that as a decimal number makes
 *  a whole number, as 0.7 of 10 does, isn't one less for being a float. */
uint32_t clkv__select_part(float part, uint32_t of);

/** The macros of its kernels, and of attention over what it keeps. */
void clkv__select_macros(const struct clkv__select *s, clkv__macros *macros);

#endif
