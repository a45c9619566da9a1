/* SPDX-License-Identifier: MIT */
/** \file select_keys.h \brief The keys that all stages share which select tokens. */
#ifndef CLKV__SELECT_KEYS_H
#define CLKV__SELECT_KEYS_H

#include "stage/stage.h"

/** Slots at most, and the least share: one of 10,000 tokens. */
#define SLOTS_MOST (1 << 20)
#define SHARE_LEAST 0.0001

#define BUDGET_KEY(at, usual)                                                                      \
	{                                                                                              \
		"budget", CLKV__KEY_PART, at, SHARE_LEAST, SLOTS_MOST, NULL, usual,                        \
			"slots of a KV head, sinks and window among them: a share of the tokens that the "     \
			"prompt's end finds (128 at least), or their number"                                   \
	}
#define TAIL_KEY(name, at, usual)                                                                  \
	{                                                                                              \
		name, CLKV__KEY_PART, at, 0, SLOTS_MOST, NULL, usual,                                      \
			"slots of the newest tokens, no fewer than the general key window: a share of the "    \
			"budget, or their number"                                                              \
	}
#define JUDGES_KEY(at, least, usual, meaning)                                                      \
	{                                                                                              \
		"obs", CLKV__KEY_INT, at, least, 256, NULL, usual, meaning                                 \
	}
/** In the order of ABI_GROUP_*. */
#define REDUCE_KEY(at, usual)                                                                      \
	{                                                                                              \
		"gqa", CLKV__KEY_NAME, at, 0, 0, "sum|mean|max", usual,                                    \
			"what the weights of a KV head's query heads become together"                          \
	}
/** In the order of ABI_ROWS_*. Source of max: DefensiveKV, arXiv 2510.13334, section 4: the worst case of a window of rows. */
#define AGG_KEY(at)                                                                                \
	{                                                                                              \
		"agg", CLKV__KEY_NAME, at, 0, 0, "sum|max", ABI_ROWS_SUM,                                  \
			"what the weights of the newest queries become together"                               \
	}
#define ALPHA_KEY(at)                                                                              \
	{                                                                                              \
		"alpha", CLKV__KEY_REAL, at, 0, 1, NULL, 1,                                                \
			"a merged slot of w tokens gets alpha * log(w) on its logit; 0: nothing"               \
	}

#endif
