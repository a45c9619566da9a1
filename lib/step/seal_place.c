/* SPDX-License-Identifier: MIT */
/** \file seal_place.c \brief Seals blocks that leave the device, as many jobs at a time as the landing zone takes. */
#include "base/error.h"
#include "place/fetch.h"
#include "place/place.h"
#include "step/seal.h"

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

static clkv_status seal_batch(struct clkv_step *step, const uint32_t *all, uint32_t n_jobs,
                              uint32_t first, uint32_t n, clkv_error *error)
{
	clkv_cache *cache = step->cache;
	const uint32_t *dst = all + n_jobs * ABI_SEAL_WORDS + first * clkv__seal_dst_words(cache);
	struct clkv__staging *staging;
	CLKV_TRY(clkv__staging_next(step, &staging, error));
	uint32_t n_words = put_batch(cache, all, first, n, staging->words);
	CLKV_TRY(clkv__place_reserve(cache, &step->chain, error));
	CLKV_TRY(clkv__staging_write(step, staging, cache->jobs_mem, n_words, error));
	CLKV_TRY(clkv__seal_layers(cache, clkv__launch_seal, n, error));
	return clkv__place_leave(cache, &step->chain, dst, n, error);
}

clkv_status clkv__seal_place(struct clkv_step *step, uint32_t *words, uint32_t n_jobs,
                             clkv_error *error)
{
	clkv_cache *cache = step->cache;
	uint32_t most = cache->sizes.landing, *dst = words + n_jobs * ABI_SEAL_WORDS;
	CLKV_TRY(clkv__seal_take(cache, dst, n_jobs, error));
	for (uint32_t i = 0, n; i < n_jobs; i += n) {
		n = n_jobs - i < most ? n_jobs - i : most;
		CLKV_TRY(seal_batch(step, words, n_jobs, i, n, error));
	}
	cache->place.moved.to_host += (uint64_t)n_jobs * (uint64_t)cache->shape.streams *
	                              (uint64_t)(cache->shape.layers - cache->plan.general.skip) *
	                              cache->sizes.sealed_units * ABI_UNIT;
	return CLKV_OK;
}
