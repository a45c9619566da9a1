/* SPDX-License-Identifier: MIT */
/** \file decoded.h \brief What a codec makes of a prompt of one layer and two KV heads: rows, bytes, attention behind it. */
#ifndef TEST_DECODED_H
#define TEST_DECODED_H

#include "feed.h"

enum { DECODED_TOKENS = 150, DECODED_MOST = DECODED_TOKENS * 2 * 256, DECODED_SHAPES = 3 };

/** Head sizes: equal and usual ones; two that vectors don't divide, with few queries; the largest beside the smallest. */
extern const struct decoded_shape {
	int q_heads, kv_heads, dk, dv;
} decoded_shapes[DECODED_SHAPES];
clkv_geometry decoded_geometry(int shape);

/** Rows [tokens][2][dim] as they came and as they are read. */
struct decoded {
	double k[DECODED_MOST], v[DECODED_MOST], given_k[DECODED_MOST], given_v[DECODED_MOST];
	struct feed_result result; /**< of three rows behind them; the caller closes it */
	size_t bytes;
};

/** Seals DECODED_TOKENS of a prompt; attends: with rows behind it, too. */
void decode_prompt(struct decoded *d, const char *recipe, clkv_geometry geometry, feed_value value,
                   bool attends);

#endif
