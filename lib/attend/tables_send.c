/* SPDX-License-Identifier: MIT */
/** \file tables_send.c \brief Sends noted words of the tables as pairs of address and value. */
#include "attend/tables_send.h"

#include "attend/launch.h"
#include "base/error.h"
#include "store/cache.h"

static clkv_status send_batch(clkv_cache *cache, struct clkv__chain *chain, size_t first, size_t n,
                              clkv_error *error)
{
	const struct clkv__tables *t = &cache->tables;
	struct clkv__staging *staging;
	CLKV_TRY(clkv__staging_next(&cache->staging, &staging, error));
	for (size_t i = 0; i < n; i++) {
		staging->words[2 * i] = t->pending[first + i];
		staging->words[2 * i + 1] = t->mirror[t->pending[first + i]];
	}
	CLKV_TRY(clkv__staging_write(staging, chain, cache->pairs_mem, 2 * n, error));
	return clkv__launch_table_update(cache, chain, (cl_uint)n, error);
}

clkv_status clkv__tables_send(clkv_cache *cache, struct clkv__chain *chain, clkv_error *error)
{
	struct clkv__tables *t = &cache->tables;
	size_t batch = cache->sizes.update_pairs;
	for (size_t i = 0; i < t->n_pending; i += batch) {
		size_t rest = t->n_pending - i;
		CLKV_TRY(send_batch(cache, chain, i, rest < batch ? rest : batch, error));
	}
	t->n_pending = 0;
	return CLKV_OK;
}
