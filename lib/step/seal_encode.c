/* SPDX-License-Identifier: MIT */
/** \file seal_encode.c \brief Encodes blocks of one size, and leaves others to those who can. */
#include "step/seal_encode.h"

#include "base/error.h"

/* Blocks of one size: their places are known before anything is encoded. */
static clkv_status encode(const struct clkv__seal_jobs *jobs, clkv_error *error)
{
	clkv_cache *cache = jobs->cache;
	uint32_t *dst = jobs->staging->words + jobs->n * ABI_SEAL_WORDS;
	CLKV_TRY(clkv__seal_take(cache, dst, jobs->n, error));
	CLKV_TRY(
		clkv__staging_write(jobs->staging, jobs->chain, cache->jobs_mem, jobs->n_words, error));
	CLKV_TRY(clkv__seal_prepare(jobs, error));
	return clkv__seal_layers(cache, jobs->chain, clkv__launch_seal, jobs->n, error);
}

clkv_status clkv__seal_encode(const struct clkv__seal_jobs *jobs, clkv_error *error)
{
	const struct clkv__sizes *s = &jobs->cache->sizes;
	if (s->moves)
		return clkv__seal_place(jobs, error);
	return s->sized ? clkv__seal_sized(jobs, error) : encode(jobs, error);
}
