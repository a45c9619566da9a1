/* SPDX-License-Identifier: MIT */
/** \file select_gather.c \brief New blocks of a selection: planned from what was found, gathered and sealed. */
#include "step/select_work.h"

#include "base/alloc.h"
#include "base/error.h"
#include "step/seal_encode.h"
#include "store/sizes_select.h"

/* From which entry on a head's kept tokens are gathered anew: the last that leaves not too many blocks. */
static void plan_head(const struct clkv__work *w, int layer, int stream)
{
	const clkv_cache *cache = w->cache;
	uint32_t bt = (uint32_t)cache->plan.general.block,
			 h = (uint32_t)(layer * cache->shape.streams + stream);
	const uint32_t *found = w->found + h * clkv__found_words(cache), *of = found + 2;
	uint32_t row = clkv__seq_row(w->seq, layer, stream), open = w->seq->kept.merged_blocks;
	uint32_t n = clkv__tables_get(&cache->tables, row + ABI_ROW_SEALED), alive = 0, before = 0;
	struct clkv__head_change *c = &w->changes[h];
	*c = (struct clkv__head_change){.kept = found[1]};
	uint32_t most = clkv__kept_blocks(c->kept, bt);
	for (uint32_t e = open; e < n; e++) {
		alive += of[e] > 0;
		before += of[e];
	}
	for (c->stays = n; c->stays > open && alive + (c->kept - before + bt - 1) / bt > most;
	     c->stays--) {
		alive -= of[c->stays - 1] > 0;
		before -= of[c->stays - 1];
	}
	c->first = before;
	c->blocks = (c->kept - before + bt - 1) / bt;
}

static clkv_status check_cap(const struct clkv__work *w, clkv_error *error)
{
	const clkv_cache *cache = w->cache;
	uint32_t open = w->quota.merged > 0 ? cache->sizes.merged_blocks : 0;
	for (uint32_t h = 0; h < w->n_heads; h++)
		if (open + w->changes[h].stays + w->changes[h].blocks > cache->sizes.cap)
			CLKV_FAIL(error, CLKV_ERROR_INTERNAL, "more entries than a table holds");
	return CLKV_OK;
}

clkv_status clkv__select_plan(struct clkv__work *w, clkv_error *error)
{
	const clkv_cache *cache = w->cache;
	w->most_blocks = 0;
	for (int l = cache->plan.general.skip; l < cache->shape.layers; l++)
		for (int s = 0; s < cache->shape.streams; s++) {
			plan_head(w, l, s);
			uint32_t blocks = w->changes[l * cache->shape.streams + s].blocks;
			w->most_blocks = blocks > w->most_blocks ? blocks : w->most_blocks;
		}
	return check_cap(w, error);
}

/* Some head dropped a token, and there are slots for it. */
static bool merges(const struct clkv__work *w)
{
	const clkv_cache *cache = w->cache;
	uint32_t skip = (uint32_t)(cache->plan.general.skip * cache->shape.streams);
	for (uint32_t h = skip; h < w->n_heads && w->quota.merged > 0; h++)
		if (w->found[h * clkv__found_words(cache)] > w->changes[h].kept)
			return true;
	return false;
}

/* New half blocks for merged slots; those of before stay as they are until all is done. */
static clkv_status take_spots(struct clkv__work *w, clkv_error *error)
{
	clkv_cache *cache = w->cache;
	uint32_t bt = (uint32_t)cache->plan.general.block, streams = (uint32_t)cache->shape.streams;
	uint32_t wanted = (w->quota.merged + bt - 1) / bt;
	w->merged_blocks = w->seq->kept.merged_blocks;
	if (!merges(w))
		return CLKV_OK;
	if (w->merged_blocks < wanted)
		w->merged_blocks = wanted;
	w->spots = clkv__calloc(&cache->context->allocator, (size_t)w->n_heads * w->merged_blocks,
	                        sizeof *w->spots);
	if (!w->spots)
		CLKV_FAIL(error, CLKV_ERROR_NO_HOST_MEMORY, "no host memory for %u merged blocks",
		          w->merged_blocks);
	uint32_t n = w->n_heads * w->merged_blocks,
			 skip = (uint32_t)cache->plan.general.skip * streams * w->merged_blocks;
	for (uint32_t i = 0; i < n; i++)
		w->spots[i] = CLKV__NO_SLOT;
	for (uint32_t i = skip; i < n; i++) {
		int layer = (int)(i / w->merged_blocks / streams);
		w->spots[i] = clkv__slots_take(&cache->pool.layers[layer].open);
		if (w->spots[i] == CLKV__NO_SLOT)
			return clkv__seal_fail_full(cache, layer, error);
	}
	CLKV_TRY(clkv__chain_write_now(w->chain, cache->selection.spots, 0, n * sizeof *w->spots,
	                               w->spots, error));
	return clkv__launch_merge(cache, w->chain, &w->leaving, w->quota.merged, w->merged_blocks,
	                          error);
}

/* Jobs number first and on: records, then destinations, of heads that have such a block. */
static uint32_t put_jobs(const struct clkv__work *w, uint32_t first, uint32_t n, uint32_t *words)
{
	const clkv_cache *cache = w->cache;
	uint32_t bt = (uint32_t)cache->plan.general.block, streams = (uint32_t)cache->shape.streams;
	uint32_t *dst = words + n * ABI_SEAL_WORDS;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t *job = words + i * ABI_SEAL_WORDS;
		job[ABI_SEAL_SLAB] = w->seq->slab;
		job[ABI_SEAL_CAP] = cache->sizes.cap;
		job[ABI_SEAL_FROM] =
			1; /* what codecs do with a sequence's first tokens is not for what is chosen */
		job[ABI_SEAL_COUNT] = bt;
		job[ABI_SEAL_DST] = (uint32_t)(dst - words);
		job[ABI_SEAL_SEEN] = w->seq->seen;
		job[ABI_SEAL_END] = w->leaving.end;
		job[ABI_SEAL_MASK] = i == 0 ? n : 0;
		job[ABI_SEAL_AT] = i * ABI_SEAL_WORDS;
		for (uint32_t h = 0; h < w->n_heads; h++, dst += ABI_DST_WORDS) {
			const struct clkv__head_change *c = &w->changes[h];
			const struct clkv__layer_pool *pool = &cache->pool.layers[h / streams];
			uint32_t at = (first + i) * bt, left = c->kept - c->first;
			dst[ABI_DST_ADDR] = CLKV__NO_SLOT;
			dst[ABI_DST_FLAGS] = 0;
			dst[ABI_DST_SOURCE] =
				pool->staged + (i * streams + h % streams) * cache->sizes.half_units;
			dst[ABI_DST_COUNT] = first + i >= c->blocks ? 0 : left - at < bt ? left - at : bt;
			dst[ABI_DST_FIRST] = c->first + at;
		}
	}
	return (uint32_t)(dst - words);
}

/* What became of the jobs: address and flags of each head's block. */
static void note_blocks(struct clkv__work *w, uint32_t first, uint32_t n, const uint32_t *words)
{
	const uint32_t *dst = words + n * ABI_SEAL_WORDS;
	for (uint32_t i = 0; i < n; i++)
		for (uint32_t h = 0; h < w->n_heads; h++, dst += ABI_DST_WORDS) {
			uint32_t *to = w->addresses + ((size_t)(first + i) * w->n_heads + h) * 2;
			to[0] = dst[ABI_DST_ADDR];
			to[1] = dst[ABI_DST_FLAGS];
		}
}

/* Gathers and seals all new blocks, some jobs at a time. */
static clkv_status seal_all(struct clkv__work *w, clkv_error *error)
{
	clkv_cache *cache = w->cache;
	uint32_t batch =
		cache->sizes.max_jobs < CLKV__STAGED_JOBS ? cache->sizes.max_jobs : CLKV__STAGED_JOBS;
	for (uint32_t first = 0, n; first < w->most_blocks; first += n) {
		struct clkv__staging *staging;
		n = w->most_blocks - first < batch ? w->most_blocks - first : batch;
		CLKV_TRY(clkv__staging_next(&cache->staging, &staging, error));
		const struct clkv__seal_jobs jobs = {
			cache, w->chain, staging, n, put_jobs(w, first, n, staging->words), &w->leaving};
		clkv_status status = clkv__seal_encode(&jobs, error);
		note_blocks(w, first, n, staging->words);
		CLKV_TRY(status);
		CLKV_TRY(clkv__launch_states(cache, w->chain, &w->leaving, n, error));
	}
	return CLKV_OK;
}

clkv_status clkv__select_gather(struct clkv__work *w, clkv_error *error)
{
	clkv_cache *cache = w->cache;
	const clkv_allocator *a = &cache->context->allocator;
	size_t blocks = (size_t)w->most_blocks * w->n_heads;
	w->addresses = clkv__calloc(a, 2 * blocks + 3 * (size_t)cache->sizes.cap, sizeof *w->addresses);
	if (!w->addresses)
		CLKV_FAIL(error, CLKV_ERROR_NO_HOST_MEMORY, "no host memory for %zu blocks", blocks);
	for (size_t i = 0; i < blocks; i++)
		w->addresses[2 * i] = CLKV__NO_SLOT;
	CLKV_TRY(take_spots(w, error));
	return seal_all(w, error);
}

void clkv__select_release(struct clkv__work *w)
{
	clkv_cache *cache = w->cache;
	uint32_t streams = (uint32_t)cache->shape.streams;
	for (uint32_t i = 0; w->spots && i < w->n_heads * w->merged_blocks; i++)
		if (w->spots[i] != CLKV__NO_SLOT)
			clkv__slots_release(&cache->pool.layers[i / w->merged_blocks / streams].open,
			                    w->spots[i]);
	for (size_t i = 0; w->addresses && i < (size_t)w->most_blocks * w->n_heads; i++)
		if (w->addresses[2 * i] != CLKV__NO_SLOT &&
		    clkv__sealed_release(&cache->pool, (int)(i % w->n_heads / streams),
		                         w->addresses[2 * i]))
			clkv__code_tables_drop(&cache->code_tables, w->addresses[2 * i + 1]);
}
