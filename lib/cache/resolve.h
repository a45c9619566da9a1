/* SPDX-License-Identifier: MIT */
/** \file resolve.h \brief All that a device, a recipe and a geometry decide before memory is taken. */
#ifndef CLKV__RESOLVE_H
#define CLKV__RESOLVE_H

#include "plan/plan.h"
#include "recipe/recipe_layers.h"
#include "shape/shape.h"
#include "store/sizes.h"
#include "tune/tune.h"

/** A recipe's parts, and which layers of a model each is for. */
struct clkv__division {
	struct clkv__shape whole;
	struct clkv__recipe_parts parts;
	struct clkv__banding bands;
};

/** A band: its layers, and what its recipe means for them. */
struct clkv__resolved {
	struct clkv__shape shape;     /**< its layers alone */
	int window[CLKV__MAX_LAYERS]; /**< the shape's, if it is one of several */
	struct clkv__plan plan;
	struct clkv__recipe parsed;     /**< as recipe is printed, but skip is of the model's layers */
	char recipe[CLKV__RECIPE_TEXT]; /**< in full, with what the stages chose, without their place */
	char key[CLKV__TUNE_KEY];
	struct clkv__tuning tuning;
	struct clkv__cut cut;
};

/** Divides a model's layers by a recipe. What comes of it is borrowed by what follows. Errors: INVALID_ARGUMENT,
 *  INVALID_RECIPE. */
clkv_status clkv__divide(const clkv_geometry *geometry, const char *recipe,
                         struct clkv__division *out, clkv_error *error);

/** Errors: INVALID_ARGUMENT, INVALID_RECIPE, UNSUPPORTED. */
clkv_status clkv__resolve_band(const clkv_context *context, const struct clkv__division *division,
                               const char *recipe, int band, struct clkv__resolved *out,
                               clkv_error *error);

/** Resolves a recipe that is the same for all layers. Errors: also UNSUPPORTED (a recipe by layer). */
clkv_status clkv__resolve(const clkv_context *context, const clkv_geometry *geometry,
                          const char *recipe, struct clkv__resolved *out, clkv_error *error);

#endif
