/* SPDX-License-Identifier: MIT */
/** \file beside.c \brief A fork to be changed in its sequence's place. */
#include "cache/beside.h"

#include "base/error.h"

clkv_status clkv__seq_fork_beside(clkv_seq *seq, clkv_seq **out, clkv_error *error)
{
	clkv_cache *cache = seq->cache;
	pthread_mutex_lock(&cache->mutex);
	uint32_t n = cache->n_sequences, most = cache->sizes.max_sequences;
	pthread_mutex_unlock(&cache->mutex);
	if (n == most)
		CLKV_FAIL(error, CLKV_ERROR_POOL_FULL,
		          "%u sequences exist; allowed: one less than max_sequences (%u), as what comes of "
		          "this one is made in a sequence of its own",
		          n, most);
	return clkv_seq_fork(seq, out, error);
}

void clkv__seq_swap_all(clkv_seq *seq, clkv_seq *made)
{
	clkv_cache *cache = seq->cache;
	clkv__cache_lock(cache);
	for (; seq; seq = seq->next_band, made = made->next_band)
		clkv__seq_swap(seq, made);
	clkv__cache_unlock(cache);
}
