/* SPDX-License-Identifier: MIT */
/** \file demand.h \brief What the caches of all bands of a recipe would take, before any is made. */
#ifndef CLKV__DEMAND_H
#define CLKV__DEMAND_H

#include "cache/resolve.h"
#include "plan/dictionary.h"
#include "plan/projection.h"
#include "store/cache.h"

/** What one band asks for. */
struct clkv__demand {
	struct clkv__resolved resolved;
	struct clkv__sizes sizes;
	clkv_cache_options options;
};

/** What all bands of a cache ask for, and their sum. */
struct clkv__demands {
	clkv_bytes bytes;
	clkv_cache_options options;       /**< with what the caller's don't say */
	bool asks[CLKV__GIVENS];          /**< some band, for that file of the options */
	struct clkv__factors_use factors; /**< what bands ask of a file of those */
};

/** Errors: INVALID_ARGUMENT, INVALID_RECIPE, UNSUPPORTED. */
clkv_status clkv__demand_band(clkv_context *context, const struct clkv__division *division,
                              const char *recipe, const clkv_cache_options *options, int band,
                              enum clkv__cache_use use, struct clkv__demand *out,
                              clkv_error *error);

/** What all bands take, within the limits of the options and of the device. Errors: also NO_DEVICE_MEMORY,
 *  NO_HOST_MEMORY. */
clkv_status clkv__demand_all(clkv_context *context, const struct clkv__division *division,
                             const char *recipe, const clkv_cache_options *options,
                             enum clkv__cache_use use, struct clkv__demands *out,
                             clkv_error *error);

/** A file of the options, and its bytes; NULL: it isn't given. */
const void *clkv__options_file(const clkv_cache_options *options, enum clkv__given given,
                               size_t *size);

/** Adds what one band takes. */
void clkv__bytes_add(clkv_bytes *sum, const clkv_bytes *band);

/** The recipe in full, of all bands, with layers by number. Errors: INVALID_RECIPE (too long). */
clkv_status clkv__division_print(const clkv_context *context, const struct clkv__division *division,
                                 const char *recipe, char text[CLKV__RECIPE_TEXT],
                                 clkv_error *error);

#endif
