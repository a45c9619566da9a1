/* SPDX-License-Identifier: MIT */
/** \file clkv/figures.h \brief What a cache counts. */
#ifndef CLKV_FIGURES_H
#define CLKV_FIGURES_H

#include "base.h"
#include "bytes.h"

CLKV_BEGIN_DECLS

typedef struct clkv_stats {
	size_t struct_size;
	clkv_bytes allocated;                         /**< what the cache took at creation */
	uint64_t used_sealed, used_open, used_tables; /**< device bytes in use now */
	uint64_t sequences, tokens;                   /**< that exist now */
	uint64_t steps, launches;  /**< since creation: steps committed, kernels enqueued */
	uint64_t host_ns;          /**< time inside step functions, OpenCL calls left out */
	uint64_t not_finite;       /**< values replaced at append, known one commit later */
	uint64_t used_code_tables; /**< device bytes of the code tables in use now */
	uint64_t used_host;        /**< bytes of sealed blocks in host memory; used_sealed is 0 then */
	uint64_t used_index;       /**< device bytes of indexes and codebooks in use now */
} clkv_stats;

/** Fills stats. Never blocks: what kernels count is known one commit later. Errors: INVALID_ARGUMENT. Since 0.1. */
CLKV_API clkv_status clkv_cache_stats(const clkv_cache *cache, clkv_stats *stats,
                                      clkv_error *error);

/** Writes a figure that single methods count ("kvcomp.bound_k", "place.rows_found"): clkv_cache_list_figures names them.
 *  Never blocks: what kernels count is known one commit later. Any thread. Errors: INVALID_ARGUMENT (no such name),
 *  UNSUPPORTED (the cache's recipe has no such figure). Since 0.1. */
CLKV_API clkv_status clkv_cache_figure(const clkv_cache *cache, const char *name, double *value,
                                       clkv_error *error);

/** Calls fn for each figure that the cache has; cache NULL: for all that there are. unit: "bytes", "values", "rows", or ""
 *  where it is that of K or V. Since 0.1. */
typedef void (*clkv_figure_fn)(void *opaque, const char *name, const char *unit,
                               const char *meaning);
CLKV_API void clkv_cache_list_figures(const clkv_cache *cache, clkv_figure_fn fn, void *opaque);

CLKV_END_DECLS

#endif
