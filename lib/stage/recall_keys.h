/* SPDX-License-Identifier: MIT */
/** \file recall_keys.h \brief The keys that all stages share which recall tokens. */
#ifndef CLKV__RECALL_KEYS_H
#define CLKV__RECALL_KEYS_H

#include "stage/stage.h"

#define RECALL_KEY(at)                                                                             \
	{                                                                                              \
		"recall", CLKV__KEY_INT, at, 1, 1 << 20, NULL, 1024,                                       \
			"sealed tokens that a query head attends to, beside sinks and window"                  \
	}
#define GQA_KEY(at, usual)                                                                         \
	{                                                                                              \
		"gqa", CLKV__KEY_NAME, at, 0, 0, "union|group", usual,                                     \
			"who chooses: each query head, and its KV head's others attend to that too; or all "   \
			"of them together"                                                                     \
	}
/** Source of both: ActQKV, arXiv 2502.13542. */
#define PROBE_KEY(at)                                                                              \
	{                                                                                              \
		"probe", CLKV__KEY_NAME, at, 0, 0, "row|chunk", 0,                                         \
			"by what the rows of a sequence choose that come in one step: each by its query, or "  \
			"all by one, the sum of theirs weighted by how far each is from their mean"            \
	}
#define ALLOC_KEY(at)                                                                              \
	{                                                                                              \
		"alloc", CLKV__KEY_NAME, at, 0, 0, "uniform|entropy", 0,                                   \
			"layers recall as many tokens each; or share them out by the entropy of their "        \
			"scores, "                                                                             \
			"a quarter of recall to twice as many"                                                 \
	}
#define EVERY_KEY(at)                                                                              \
	{                                                                                              \
		"every", CLKV__KEY_SET, at, 0, 0, "128|256|512|1024", 512,                                 \
			"generated tokens behind the window that are indexed together; until then they are "   \
			"attended to in full"                                                                  \
	}
#define MOST_KEY(at)                                                                               \
	{                                                                                              \
		"most", CLKV__KEY_SET, at, 0, 0, "1024|2048|4096|8192|16384|32768", 4096,                  \
			"tokens of a prompt that are indexed together, at most"                                \
	}

#define METRIC_KEY(at)                                                                             \
	{                                                                                              \
		"metric", CLKV__KEY_NAME, at, 0, 0, "cosine|l2|query", ABI_METRIC_EUCLID,                  \
			"which centroid a key is nearest to: by angle, by distance, or by what the error "     \
			"would mean to the newest queries"                                                     \
	}
#define OBSERVED_KEY(at)                                                                           \
	{                                                                                              \
		"obs", CLKV__KEY_INT, at, 1, 256, NULL, 128, "newest queries that metric=query looks at"   \
	}

/** Tokens that recall leaves to attention in any case: the stages' defaults of window and sinks. */
#define RECALL_WINDOW 64
#define RECALL_SINKS 16

#endif
