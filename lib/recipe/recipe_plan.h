/* SPDX-License-Identifier: MIT */
/**
 * \file    recipe_plan.h
 * \brief   A recipe applied to a geometry: what each layer stores and how.
 */
#ifndef CLKV__RECIPE_PLAN_H
#define CLKV__RECIPE_PLAN_H

#include "codec/codec.h"

#include <clkv.h>
#include <stdbool.h>

/** Keys behind `;`: they hold for the whole recipe. */
struct clkv__general {
	int window; /**< tokens that stay in half at the end of a sequence */
	int sinks;  /**< tokens that stay in half at its beginning */
	int block;  /**< tokens of a block */
	int skip;   /**< first layers that stay in half */
	int seal;   /**< 0: chunk by chunk, 1: at the prompt's end */
};

/** What the layers of one kind do with their tokens. */
struct clkv__variant {
	bool dense;                      /**< never seals: all tokens stay in half */
	bool rotate;                     /**< K, V and q are turned by a Hadamard matrix */
	const struct clkv__codec *codec; /**< of sealed blocks; NULL if dense */
	union clkv__codec_spec spec;
	struct clkv__codec_layout layout;
};

struct clkv__plan {
	struct clkv__general general;
	struct clkv__variant sealing; /**< of layers skip .. layers - 1 */
	struct clkv__variant dense;   /**< of layers 0 .. skip - 1 */
};

struct clkv__recipe;

/** Room for the canonical form of any recipe. */
#define CLKV__RECIPE_TEXT 1024

/** Refuses what the recipe can't do on this shape, naming stage, key and what is allowed. */
clkv_status clkv__recipe_plan(const struct clkv__recipe *recipe, const struct clkv__shape *shape,
                              struct clkv__plan *plan, clkv_error *error);

/** Tokens that stay in half at the beginning of a sequence of this length. */
static inline uint32_t clkv__plan_sinks(const struct clkv__plan *plan, uint32_t length)
{
	uint32_t sinks = (uint32_t)plan->general.sinks;
	return sinks < length ? sinks : length;
}

static inline const struct clkv__variant *clkv__plan_layer(const struct clkv__plan *plan, int layer)
{
	return layer < plan->general.skip ? &plan->dense : &plan->sealing;
}

/** Layers that seal nothing: their blocks all stay in half. */
static inline bool clkv__layer_is_dense(const struct clkv__plan *plan, int layer)
{
	return clkv__plan_layer(plan, layer)->dense;
}

#endif
