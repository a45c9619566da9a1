/* SPDX-License-Identifier: MIT */
/** \file clkv/recipe.h \brief Recipes: which there are, what they mean in full, whether a device runs one. */
#ifndef CLKV_RECIPE_H
#define CLKV_RECIPE_H

#include "base.h"
#include "geometry.h"

CLKV_BEGIN_DECLS

/** Calls fn once per stage, in the order of the table: its name, what it does, its paper or source,
 *  and a line per key "key=default: range and meaning\n". Since 0.1. */
typedef void (*clkv_recipe_list_fn)(void *opaque, const char *stage, const char *brief,
                                    const char *source, const char *keys);
CLKV_API void clkv_recipe_list(clkv_recipe_list_fn fn, void *opaque);

/** A recipe is stages joined by '|', and general keys behind a ';': "kivi:bits=4 ; window=64". Layers may have recipes of their
 *  own: "layers=0-1: f16 ; 2-: kivi:bits=2 ; window=64" gives layers 0 and 1 the first, all others the second. In front of a
 *  colon stand numbers and ranges, one of which may have no end, or one of the names sliding and full, for layers whose
 *  window in the geometry isn't 0, or is. Each layer must have exactly one. skip counts the model's layers, a list of
 *  keep those of its recipe. Such a cache is used as any other; its bytes are the sum of its recipes'. Where a layer's
 *  window isn't 0 and its recipe is "f16", such a cache keeps the window alone.
 *
 *  Writes the recipe in full, with every key, into text (size n, always terminated).
 *  Parsing the result gives the same recipe. Errors: CLKV_ERROR_INVALID_RECIPE (position set),
 *  CLKV_ERROR_INVALID_ARGUMENT when n is too small. Since 0.1. */
CLKV_API clkv_status clkv_recipe_print(const char *recipe, char *text, size_t n, clkv_error *error);

/** Checks whether this device runs this recipe on this geometry, before anything is allocated: OK, or the error says why
 *  not. Never blocks. Errors: INVALID_ARGUMENT, INVALID_RECIPE, UNSUPPORTED. Since 0.1. */
CLKV_API clkv_status clkv_recipe_check(clkv_context *context, const clkv_geometry *geometry,
                                       const char *recipe, clkv_error *error);

CLKV_END_DECLS

#endif
