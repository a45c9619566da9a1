/* SPDX-License-Identifier: MIT */
/**
 * \file    seal_sized.c
 * \brief   Sealing of blocks whose size only the device can know.
 *
 * The device sizes them, the host waits for the sizes, finds a page for each and sends its address, the
 * device encodes. Places follow from sizes and order alone, so the same tokens make the same bits. It makes
 * commit wait once in a block's tokens, and at a prompt's end, as selection does (seal_select.c).
 */
#include "base/alloc.h"
#include "base/error.h"
#include "step/seal_encode.h"

/* Blocks that code tables are made from, at most: more don't change them. */
enum { COUNTED_JOBS = 256 };

static clkv_status make_tables(const struct clkv__seal_jobs *jobs, clkv_error *error)
{
	clkv_cache *cache = jobs->cache;
	struct clkv__chain *chain = jobs->chain;
	size_t layers = (size_t)cache->shape.layers, skip = (size_t)cache->plan.general.skip;
	size_t words = layers * 2 * ABI_SYMBOLS;
	uint32_t *histograms = clkv__calloc(&cache->context->allocator, words, sizeof *histograms);
	if (!histograms)
		CLKV_FAIL(error, CLKV_ERROR_NO_HOST_MEMORY, "no host memory for %zu histograms",
		          2 * layers);
	uint32_t counted = jobs->n < COUNTED_JOBS ? jobs->n : COUNTED_JOBS;
	clkv_status status = clkv__chain_zero(chain, cache->histograms, 0, words * 4, error);
	if (status == CLKV_OK)
		status = clkv__seal_layers(cache, chain, clkv__launch_count, counted, error);
	if (status == CLKV_OK)
		status = clkv__chain_read_now(chain, cache->histograms, 0, words * 4, histograms, error);
	if (status == CLKV_OK)
		status = clkv__code_tables_build(&cache->code_tables, chain,
		                                 histograms + skip * 2 * ABI_SYMBOLS, layers - skip, error);
	clkv__free(&cache->context->allocator, histograms);
	return status;
}

/* Destinations become sizes; if they can't be read, no pages. */
static clkv_status read_sizes(const struct clkv__seal_jobs *jobs, clkv_error *error)
{
	uint32_t first = jobs->n * ABI_SEAL_WORDS, n = jobs->n_words - first;
	uint32_t *dst = jobs->staging->words + first;
	clkv_status status = clkv__chain_read_now(jobs->chain, jobs->cache->jobs_mem,
	                                          first * sizeof *dst, n * sizeof *dst, dst, error);
	for (uint32_t i = 0; status != CLKV_OK && i < n; i += ABI_DST_WORDS)
		dst[i + ABI_DST_ADDR] = CLKV__NO_SLOT;
	return status;
}

/* From the sizes that the device found for a block to its page; dst keeps no page if there is no room. */
static bool place(clkv_cache *cache, int layer, int stream, const uint32_t *job, uint32_t *dst)
{
	const struct clkv__codec_layout *layout = &clkv__cache_head(cache, layer, stream)->layout;
	uint32_t k = dst[0], v = dst[1];
	uint32_t exact = layout->exact_bytes > 0 && job[ABI_SEAL_FROM] == 0 ? ABI_FLAG_EXACT : 0;
	uint32_t bytes =
		layout->section + layout->payload + (exact ? layout->exact_bytes : 0) + ABI_SIZE_BYTES(k);
	if (ABI_SIZE_TABLE(v) == ABI_TABLE_HALF)
		bytes = clkv__align_up(bytes, 16);
	uint32_t all = clkv__plan_state(&cache->plan) + bytes + ABI_SIZE_BYTES(v);
	uint32_t units = clkv__align_up(all, ABI_UNIT) / ABI_UNIT;
	dst[ABI_DST_ADDR] = clkv__sealed_take(&cache->pool, layer, units);
	dst[ABI_DST_FLAGS] = ABI_FLAGS(ABI_SIZE_TABLE(k) | exact, ABI_SIZE_TABLE(v), units);
	if (dst[ABI_DST_ADDR] == CLKV__NO_SLOT)
		return false;
	clkv__code_tables_use(&cache->code_tables, dst[ABI_DST_FLAGS]);
	return true;
}

/* Pages for all blocks. Destinations behind the one that found no room are none. */
static clkv_status place_all(clkv_cache *cache, uint32_t *words, uint32_t n_jobs, clkv_error *error)
{
	int full = -1;
	uint32_t *dst = words + n_jobs * ABI_SEAL_WORDS;
	for (uint32_t i = 0; i < n_jobs; i++, words += ABI_SEAL_WORDS)
		for (int l = 0; l < cache->shape.layers; l++)
			for (int s = 0; s < cache->shape.streams; s++, dst += ABI_DST_WORDS) {
				if (full >= 0 || clkv__layer_is_dense(&cache->plan, l) ||
				    clkv__seal_absent(cache, dst))
					dst[ABI_DST_ADDR] = CLKV__NO_SLOT;
				else if (!place(cache, l, s, words, dst))
					full = l;
			}
	return full < 0 ? CLKV_OK : clkv__seal_fail_full(cache, full, error);
}

/* What the blocks' sizes say of the code tables. Before the sizes are overwritten. */
static void note_sizes(clkv_cache *cache, const uint32_t *dst, uint32_t n_jobs)
{
	uint64_t block = (uint64_t)cache->plan.general.block, bytes[2] = {0, 0}, n = 0, rows = 0;
	for (uint32_t i = 0; i < n_jobs; i++)
		for (int l = 0; l < cache->shape.layers; l++)
			for (int s = 0; s < cache->shape.streams; s++, dst += ABI_DST_WORDS)
				if (!clkv__layer_is_dense(&cache->plan, l) && !clkv__seal_absent(cache, dst)) {
					bytes[0] += ABI_SIZE_BYTES(dst[0]);
					bytes[1] += ABI_SIZE_BYTES(dst[1]);
					rows += (uint64_t)clkv__cache_head(cache, l, s)->layout.kept.k_rows;
					n++;
				}
	clkv__code_tables_note(&cache->code_tables, 0, bytes[0], block * rows);
	clkv__code_tables_note(&cache->code_tables, 1, bytes[1], n * block * (uint64_t)cache->shape.dv);
}

/* Blocks are there: their values will have been checked. */
static void count_checked(clkv_cache *cache, const uint32_t *words, uint32_t n_jobs)
{
	const uint32_t *dst = words + n_jobs * ABI_SEAL_WORDS;
	uint64_t values = (uint64_t)(cache->shape.dk + cache->shape.dv);
	for (uint32_t i = 0; i < n_jobs; i++, words += ABI_SEAL_WORDS)
		for (int l = 0; l < cache->shape.layers; l++)
			for (int s = 0; s < cache->shape.streams; s++, dst += ABI_DST_WORDS)
				if (dst[ABI_DST_ADDR] != CLKV__NO_SLOT)
					cache->values_checked += values * words[ABI_SEAL_COUNT];
}

static clkv_status write_blocks(const struct clkv__seal_jobs *jobs, clkv_error *error)
{
	clkv_cache *cache = jobs->cache;
	CLKV_TRY(clkv__seal_layers(cache, jobs->chain, clkv__launch_write, jobs->n, error));
	if (!cache->plan.sealing.layout.verify)
		return CLKV_OK;
	return clkv__seal_layers(cache, jobs->chain, clkv__launch_verify, jobs->n, error);
}

clkv_status clkv__seal_sized(const struct clkv__seal_jobs *jobs, clkv_error *error)
{
	clkv_cache *cache = jobs->cache;
	struct clkv__chain *chain = jobs->chain;
	uint32_t *words = jobs->staging->words;
	CLKV_TRY(clkv__chain_write_now(chain, cache->jobs_mem, 0, jobs->n_words * sizeof *words, words,
	                               error));
	CLKV_TRY(clkv__seal_prepare(jobs, error));
	if (clkv__code_tables_want(&cache->code_tables))
		CLKV_TRY(make_tables(jobs, error));
	CLKV_TRY(clkv__seal_layers(cache, chain, clkv__launch_size, jobs->n, error));
	CLKV_TRY(read_sizes(jobs, error));
	note_sizes(cache, words + jobs->n * ABI_SEAL_WORDS, jobs->n);
	CLKV_TRY(place_all(cache, words, jobs->n, error));
	CLKV_TRY(clkv__staging_write(jobs->staging, chain, cache->jobs_mem, jobs->n_words, error));
	CLKV_TRY(write_blocks(jobs, error));
	if (cache->plan.sealing.layout.verify)
		count_checked(cache, words, jobs->n);
	return CLKV_OK;
}
