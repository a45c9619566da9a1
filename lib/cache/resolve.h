/* SPDX-License-Identifier: MIT */
/** \file resolve.h \brief All that a device, a recipe and a geometry decide before memory is taken. */
#ifndef CLKV__RESOLVE_H
#define CLKV__RESOLVE_H

#include "plan/plan.h"
#include "shape/shape.h"
#include "store/sizes.h"
#include "tune/tune.h"

struct clkv__resolved {
	struct clkv__shape shape;
	struct clkv__plan plan;
	char recipe[CLKV__RECIPE_TEXT]; /**< in full, with what the stages chose, without their place */
	char key[CLKV__TUNE_KEY];
	struct clkv__tuning tuning;
	struct clkv__cut cut;
};

/** Errors: INVALID_ARGUMENT, INVALID_RECIPE, UNSUPPORTED. */
clkv_status clkv__resolve(const clkv_context *context, const clkv_geometry *geometry,
                          const char *recipe, struct clkv__resolved *out, clkv_error *error);

#endif
