/* SPDX-License-Identifier: MIT */
/** \file options.c \brief Options of a cache beside its sizes. */
#include "store/options.h"

#include "base/error.h"
#include "base/struct_io.h"

clkv_status clkv__options_read(struct clkv__plan *plan, const clkv_cache_options *options,
                               clkv_cache_options *o, clkv_error *error)
{
	CLKV_TRY(clkv__struct_read(o, sizeof *o, options, "clkv_cache_options", error));
	if (o->codebook && (!clkv__index_kind_of(&plan->recall)->book || plan->sealing.dense))
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT,
		          "cache options: codebook is given, but the recipe has none; allowed: NULL, or a "
		          "recipe with a2ats");
	plan->recall.given = o->codebook != NULL;
	return CLKV_OK;
}
