/* SPDX-License-Identifier: MIT */
/** \file fallback.c \brief Tries tunings until the device takes one. */
#include "attend/fallback.h"

#include "attend/cut.h"
#include "attend/kernels.h"
#include "base/error.h"
#include "device/context.h"
#include "store/cache.h"

#include <stdio.h>
#include <string.h>

static void note(clkv_cache *cache, const char *why)
{
	const struct clkv__tuning *t = &cache->tuning;
	size_t at = strlen(cache->refused);
	snprintf(cache->refused + at, sizeof cache->refused - at, "%slanes=%u,vec=%u,queries=%u (%s)",
	         at ? ", " : "", t->lanes, t->vec, t->queries, why);
	clkv__log(cache->context, CLKV_LOG_CONTEXT, "tune", "%s refuses lanes=%u,vec=%u,queries=%u: %s",
	          cache->context->info.name, t->lanes, t->vec, t->queries, why);
}

/* The next tuning that makes other kernels than the ones just refused. Tiles have no more rows than
 * the first one's, so that partial results need no more memory. */
static bool take_next(clkv_cache *cache, const struct clkv__tuning *first, int most_rows,
                      int *refused)
{
	struct clkv__tuning t;
	while (clkv__tune_next(&cache->context->tune, first, ++*refused, &t)) {
		struct clkv__cut cut;
		clkv__cut_narrow(&cache->plan, &t);
		if (clkv__cut_choose(cache->context, &cache->shape, &cache->plan, &t, &cut, NULL) !=
		    CLKV_OK)
			continue;
		if (cut.tile_rows > most_rows)
			cut.tile_rows = most_rows;
		bool same = t.lanes == cache->tuning.lanes && t.vec == cache->tuning.vec &&
		            cut.tile_rows == cache->cut.tile_rows &&
		            cut.tile_heads == cache->cut.tile_heads;
		if (same)
			continue;
		cache->tuning = t;
		cache->cut = cut;
		return true;
	}
	return false;
}

clkv_status clkv__kernels_build_any(clkv_cache *cache, clkv_error *error)
{
	const struct clkv__tuning first = cache->tuning;
	const int most_rows = cache->cut.tile_rows;
	for (int refused = 0;;) {
		clkv_error cause;
		const char *why = NULL;
		clkv__error_clear(&cause);
		clkv_status status = clkv__kernels_build(cache, &why, &cause);
		if (status == CLKV_OK)
			return CLKV_OK;
		clkv__kernels_free(cache);
		if (why)
			note(cache, why);
		if (why && take_next(cache, &first, most_rows, &refused))
			continue;
		if (error && error->status == CLKV_OK)
			*error = cause;
		return status;
	}
}
