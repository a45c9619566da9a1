/* SPDX-License-Identifier: MIT */
/** \file prune_keys.h \brief The keys that all stages share which prune channels. */
#ifndef CLKV__PRUNE_KEYS_H
#define CLKV__PRUNE_KEYS_H

#include "prune/prune.h"

#define KEEP_KEY(at, usual)                                                                        \
	{                                                                                              \
		"keep", CLKV__KEY_REALS, at, 0.001, 1, NULL, usual,                                        \
			"part of K's channels that a token keeps, for all layers, for each, or for each KV "   \
			"head "                                                                                \
			"of each; 1: all, as without the stage"                                                \
	}
#define OBS_KEY(at)                                                                                \
	{                                                                                              \
		"obs", CLKV__KEY_INT, at, 1, 256, NULL, 32,                                                \
			"newest queries by which channels are judged; as many as there are, if fewer"          \
	}
#define QAGG_KEY(at)                                                                               \
	{                                                                                              \
		"qagg", CLKV__KEY_NAME, at, 0, 0, "mean|rms|abs|norm", ABI_QAGG_RMS,                       \
			"how a group's queries become a channel's strength: norm of the heads' mean, root of " \
			"the mean square, mean magnitude, mean of the heads' norms"                            \
	}

#define VALUES_KEY(at)                                                                             \
	{                                                                                              \
		"values", CLKV__KEY_REAL, at, 0.001, 1, NULL, 1,                                           \
			"part of V's channels that a token keeps, those of largest magnitude; V must stay in " \
			"half. Integers lose less with fewer bytes"                                            \
	}

/** round(keep * dim). Errors: INVALID_RECIPE if that is 0, naming stage and key. */
clkv_status clkv__kept_channels(const char *stage, const char *key, float keep, int dim, int *kept,
                                clkv_error *error);

#endif
