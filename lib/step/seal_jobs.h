/* SPDX-License-Identifier: MIT */
/** \file seal_jobs.h \brief Seal jobs: what they are, places for their blocks, their launches. */
#ifndef CLKV__SEAL_JOBS_H
#define CLKV__SEAL_JOBS_H

#include "attend/launch.h"
#include "attend/launch_select.h"
#include "store/cache.h"

/** Jobs that are encoded together. */
struct clkv__seal_jobs {
	clkv_cache *cache;
	struct clkv__chain *chain;
	struct clkv__staging *staging; /**< holds them: n records, then each one's destinations */
	uint32_t n, n_words;
	const struct clkv__leaving *leaving; /**< whose tokens, where they were selected; else NULL */
};

/** Words of one job's destinations: address and flags of each (layer, stream). */
static inline uint32_t clkv__seal_dst_words(const clkv_cache *cache)
{
	return (uint32_t)(cache->shape.layers * cache->shape.streams) * ABI_DST_WORDS;
}

/** Whether a head gets no block of a job: where tokens are selected, some keep fewer than others. */
static inline bool clkv__seal_absent(const clkv_cache *cache, const uint32_t *dst)
{
	return clkv__selects(&cache->plan.select) && dst[ABI_DST_COUNT] == 0;
}

/** The error of a commit that finds no room in a layer: POOL_FULL. */
clkv_status clkv__seal_fail_full(const clkv_cache *cache, int layer, clkv_error *error);

/** Takes a block for each (layer, KV head) of n_jobs jobs. Errors: POOL_FULL names the layer. */
clkv_status clkv__seal_take(clkv_cache *cache, uint32_t *dst, uint32_t n_jobs, clkv_error *error);

/** Frees the blocks of n_jobs jobs that have one. */
void clkv__seal_release(clkv_cache *cache, const uint32_t *dst, uint32_t n_jobs);

/** One of the launches of seal jobs in attend/launch.h. */
typedef clkv_status (*clkv__seal_launch)(clkv_cache *cache, struct clkv__chain *chain,
                                         cl_uint n_jobs, const struct clkv__span *span,
                                         clkv_error *error);

/** Launches it for the first n_jobs jobs on the device, in all layers that seal: once for those that share a buffer. */
clkv_status clkv__seal_layers(clkv_cache *cache, struct clkv__chain *chain,
                              clkv__seal_launch launch, uint32_t n_jobs, clkv_error *error);

/** What comes before encoding: gathers selected tokens; chooses the channels that the jobs' blocks keep. */
clkv_status clkv__seal_prepare(const struct clkv__seal_jobs *jobs, clkv_error *error);

#endif
