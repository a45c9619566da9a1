/* SPDX-License-Identifier: MIT */
/** \file seal_place.c \brief Seals blocks that leave the device, as many jobs at a time as the landing zone takes. */
#include "base/error.h"
#include "place/place.h"
#include "step/seal_encode.h"

#include <string.h>

/* Jobs first .. first + n - 1 of all, as a list of their own whose blocks go to the landing zone. */
static uint32_t put_batch(const clkv_cache *cache, const uint32_t *all, uint32_t first, uint32_t n,
                          uint32_t *words)
{
	uint32_t n_dst = clkv__seal_dst_words(cache), *dst = words + n * ABI_SEAL_WORDS;
	memcpy(words, all + first * ABI_SEAL_WORDS, n * ABI_SEAL_WORDS * sizeof *words);
	for (uint32_t i = 0; i < n; i++) {
		words[i * ABI_SEAL_WORDS + ABI_SEAL_DST] = n * ABI_SEAL_WORDS + i * n_dst;
		for (int l = 0; l < cache->shape.layers; l++)
			for (int s = 0; s < cache->shape.streams; s++, dst += ABI_DST_WORDS) {
				bool dense = clkv__layer_is_dense(&cache->plan, l);
				dst[ABI_DST_ADDR] = dense ? CLKV__NO_SLOT : clkv__place_landing(cache, l, i, s);
				dst[ABI_DST_FLAGS] = 0;
			}
	}
	return n * (ABI_SEAL_WORDS + n_dst);
}

static clkv_status seal_batch(const struct clkv__seal_jobs *jobs, uint32_t first, uint32_t n,
                              clkv_error *error)
{
	clkv_cache *cache = jobs->cache;
	const uint32_t *all = jobs->staging->words;
	const uint32_t *dst = all + jobs->n * ABI_SEAL_WORDS + first * clkv__seal_dst_words(cache);
	struct clkv__staging *staging;
	CLKV_TRY(clkv__staging_next(&cache->staging, &staging, error));
	uint32_t n_words = put_batch(cache, all, first, n, staging->words);
	CLKV_TRY(clkv__place_reserve(cache, jobs->chain, error));
	CLKV_TRY(clkv__staging_write(staging, jobs->chain, cache->jobs_mem, n_words, error));
	CLKV_TRY(clkv__seal_layers(cache, jobs->chain, clkv__launch_seal, n, error));
	return clkv__place_leave(cache, jobs->chain, dst, n, error);
}

clkv_status clkv__seal_place(const struct clkv__seal_jobs *jobs, clkv_error *error)
{
	clkv_cache *cache = jobs->cache;
	uint32_t most = cache->sizes.landing, *dst = jobs->staging->words + jobs->n * ABI_SEAL_WORDS;
	CLKV_TRY(clkv__seal_take(cache, dst, jobs->n, error));
	for (uint32_t i = 0, n; i < jobs->n; i += n) {
		n = jobs->n - i < most ? jobs->n - i : most;
		CLKV_TRY(seal_batch(jobs, i, n, error));
	}
	cache->place->moved.to_host += (uint64_t)jobs->n * (uint64_t)cache->shape.streams *
	                               (uint64_t)(cache->shape.layers - cache->plan.general.skip) *
	                               cache->sizes.sealed_units * ABI_UNIT;
	return CLKV_OK;
}
