/* SPDX-License-Identifier: MIT */
/** \file seal.h \brief Which tokens leave the tail at a commit, and their encoding. */
#ifndef CLKV__SEAL_H
#define CLKV__SEAL_H

#include "step/step.h"
#include "store/cache.h"

/** Blocks that commit seals for an item of which n_kept new rows are kept. */
uint32_t clkv__seal_count(const clkv_cache *cache, const struct clkv__step_item *item,
                          uint32_t n_kept);

/** Encodes what the step's items seal. On success the new entries are in the tables' mirror and the
 *  sequences' tails have moved; on failure nothing has changed. */
clkv_status clkv__seal(struct clkv_step *step, const uint32_t *n_kept, clkv_error *error);

/* ---- what seal.c and seal_sized.c share ---- */

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

/** One of the launches of seal jobs in attend/kernels.h. */
typedef clkv_status (*clkv__seal_launch)(clkv_cache *cache, struct clkv__chain *chain,
                                         cl_uint n_jobs, const struct clkv__span *span,
                                         clkv_error *error);

/** Launches it for all layers that seal: once for those that share a buffer. */
clkv_status clkv__seal_layers(clkv_cache *cache, clkv__seal_launch launch, uint32_t n_jobs,
                              clkv_error *error);

/** One launch for the heads of a span, and what the launches of all heads in layers that seal share: once for layers with
 *  one buffer, or where heads differ in what they keep, for those that are alike. */
typedef clkv_status (*clkv__span_launch)(clkv_cache *cache, const void *what,
                                         const struct clkv__span *span, clkv_error *error);
clkv_status clkv__for_spans(clkv_cache *cache, clkv__span_launch launch, const void *what,
                            clkv_error *error);

/** Finds places for the blocks of n_jobs jobs, whose destinations are filled in, and encodes them. staging holds the jobs
 *  in n_words words. Errors: POOL_FULL names the layer. */
clkv_status clkv__seal_encode(struct clkv_step *step, struct clkv__staging *staging,
                              uint32_t n_jobs, uint32_t n_words, clkv_error *error);

/** What comes before encoding: gathers selected tokens; chooses the channels that the jobs' blocks keep. */
clkv_status clkv__seal_prepare(clkv_cache *cache, uint32_t n_jobs, clkv_error *error);

/** The error of a commit that finds no room in a layer: POOL_FULL. */
clkv_status clkv__seal_fail_full(const clkv_cache *cache, int layer, clkv_error *error);

/** Frees the blocks of n_jobs jobs that have one. */
void clkv__seal_release(clkv_cache *cache, const uint32_t *dst, uint32_t n_jobs);

/** Takes a block for each (layer, KV head) of n_jobs jobs. Errors: POOL_FULL names the layer. */
clkv_status clkv__seal_take(clkv_cache *cache, uint32_t *dst, uint32_t n_jobs, clkv_error *error);

/** Encodes blocks that go on to host memory. words: the jobs, with destinations that are filled in. */
clkv_status clkv__seal_place(struct clkv_step *step, uint32_t *words, uint32_t n_jobs,
                             clkv_error *error);

/** Sizes the jobs' blocks on the device, waits, finds pages for them and encodes. staging holds the
 *  jobs in n_words words; their destinations are filled in. Errors: POOL_FULL names the layer. */
clkv_status clkv__seal_sized(struct clkv_step *step, struct clkv__staging *staging, uint32_t n_jobs,
                             uint32_t n_words, clkv_error *error);

#endif
