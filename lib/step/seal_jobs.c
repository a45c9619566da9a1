/* SPDX-License-Identifier: MIT */
/** \file seal_jobs.c \brief Blocks for seal jobs, taken and given back; launches over all that seal. */
#include "step/seal_jobs.h"

#include "base/error.h"

/* Takes a sealed slot for each (layer, stream) of a job. Begin has seen that there is room for them; where they differ
 * in size it may lie in pieces that are too small. Returns the layer that has no room, or -1. */
static int take_slots(clkv_cache *cache, uint32_t *dst)
{
	const struct clkv__shape *shape = &cache->shape;
	for (int l = 0; l < shape->layers; l++)
		for (int s = 0; s < shape->streams; s++, dst += ABI_DST_WORDS) {
			if (clkv__layer_is_dense(&cache->plan, l) || clkv__seal_absent(cache, dst))
				continue;
			dst[ABI_DST_ADDR] =
				clkv__sealed_take(&cache->pool, l, clkv__cache_head(cache, l, s)->layout.units);
			if (dst[ABI_DST_ADDR] == CLKV__NO_SLOT)
				return l;
		}
	return -1;
}

clkv_status clkv__seal_fail_full(const clkv_cache *cache, int layer, clkv_error *error)
{
	CLKV_FAIL(error, CLKV_ERROR_POOL_FULL,
	          "no room for a sealed block in layer %d (%u sequences): destroy or truncate "
	          "sequences and commit again, or abort the step",
	          clkv__shape_layer(&cache->shape, layer), cache->n_sequences);
}

void clkv__seal_release(clkv_cache *cache, const uint32_t *dst, uint32_t n_jobs)
{
	for (uint32_t i = 0; i < n_jobs; i++)
		for (int l = 0; l < cache->shape.layers; l++)
			for (int s = 0; s < cache->shape.streams; s++, dst += ABI_DST_WORDS)
				if (dst[ABI_DST_ADDR] != CLKV__NO_SLOT &&
				    clkv__sealed_release(&cache->pool, l, dst[ABI_DST_ADDR]))
					clkv__code_tables_drop(&cache->code_tables, dst[ABI_DST_FLAGS]);
}

clkv_status clkv__seal_take(clkv_cache *cache, uint32_t *dst, uint32_t n_jobs, clkv_error *error)
{
	for (uint32_t i = 0; i < n_jobs; i++, dst += clkv__seal_dst_words(cache)) {
		int full = take_slots(cache, dst);
		if (full >= 0)
			return clkv__seal_fail_full(cache, full, error);
	}
	return CLKV_OK;
}

struct job_launch {
	clkv__seal_launch launch;
	uint32_t n_jobs;
};

static clkv_status launch_jobs(clkv_cache *cache, struct clkv__chain *chain, const void *what,
                               const struct clkv__span *span, clkv_error *error)
{
	const struct job_launch *j = what;
	return j->launch(cache, chain, j->n_jobs, span, error);
}

clkv_status clkv__seal_layers(clkv_cache *cache, struct clkv__chain *chain,
                              clkv__seal_launch launch, uint32_t n_jobs, clkv_error *error)
{
	const struct job_launch jobs = {launch, n_jobs};
	return clkv__for_spans(cache, chain, launch_jobs, &jobs, error);
}

clkv_status clkv__seal_prepare(const struct clkv__seal_jobs *jobs, clkv_error *error)
{
	clkv_cache *cache = jobs->cache;
	if (jobs->leaving)
		CLKV_TRY(clkv__launch_gather(cache, jobs->chain, jobs->leaving, jobs->n, error));
	if (clkv__prunes(&cache->plan.sealing.prune))
		CLKV_TRY(clkv__seal_layers(cache, jobs->chain, clkv__launch_prune, jobs->n, error));
	return clkv__plan_judges(&cache->plan)
	           ? clkv__seal_layers(cache, jobs->chain, clkv__launch_judge, jobs->n, error)
	           : CLKV_OK;
}
