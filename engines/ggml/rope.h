/* SPDX-License-Identifier: MIT */
/** \file
 *  How the engine rotates keys. Its graph says so: what it writes into the cache comes from an operation that has the numbers. */
#ifndef CLKV_GGML_ROPE_H
#define CLKV_GGML_ROPE_H

#include <clkv.h>

#include "engine.h"

struct rope {
	int known; /**< 0: keys come from no rotation, or from one that clkv doesn't have */
	int32_t dims, mode, original;
	float base, scale, ext_factor, beta_fast, beta_slow;
	float *factors; /**< [dims / 2], or NULL */
};

/** Reads the rotation that rows of K come from: rows is what SET_ROWS writes. Nothing changes where it doesn't tell. */
void rope_of_rows(struct rope *rope, const struct ggml_tensor *rows);
void rope_free(struct rope *rope);

/** Describes it to the library; kind 0 if it isn't known. */
clkv_rope rope_geometry(const struct rope *rope);

/** Tells whether a node of GGML_OP_ROPE rotates likewise. What it multiplies by isn't looked at: keys that lie in a cache have been
 *  multiplied. */
int rope_is(const struct rope *rope, const struct ggml_tensor *node);

#endif
