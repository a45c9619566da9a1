/* SPDX-License-Identifier: MIT */
/**
 * \file    snapshot_choice.c
 * \brief   Which tokens a sequence has kept, in numbers, and the states of their slots.
 *
 * What these numbers bound later, work buffers and entries of tables, a file can't say otherwise than a commit could have made it.
 */
#include "snapshot/snapshot_state.h"

#include "base/alloc.h"
#include "base/halves.h"
#include "cache/idle.h"
#include "store/sizes_select.h"

#include <math.h>

enum { SELECTED = 1, SHARED = 2 };

/* Words before those of heads, and of each head of a layer that seals. */
enum { FLAGS, COUNTED, MERGED, WORDS };
enum { ENTRIES, LIVE, SIMILAR, HEAD_WORDS };

static bool is_asked(const struct clkv__plan *plan)
{
	return clkv__selects(&plan->select) && !plan->sealing.dense;
}

static bool is_taken(const clkv_cache *cache)
{
	return clkv__selects(&cache->plan.select);
}

static bool has_choice(const clkv_seq *seq)
{
	return is_asked(&seq->cache->plan);
}

static size_t first_head(const clkv_cache *cache)
{
	return (size_t)(cache->plan.general.skip * cache->shape.streams);
}

static size_t n_heads(const clkv_cache *cache)
{
	return (size_t)(cache->shape.layers * cache->shape.streams);
}

static struct clkv__record record_of(const clkv_cache *cache)
{
	size_t words = WORDS + (n_heads(cache) - first_head(cache)) * HEAD_WORDS;
	return (struct clkv__record){.kind = CLKV__RECORD_CHOICE, .bytes = (uint32_t)(4 * words)};
}

static clkv_status allocate(const clkv_cache *cache, size_t bytes, unsigned char **out,
                            clkv_error *error)
{
	*out = clkv__calloc(&cache->context->allocator, bytes, 1);
	if (!*out)
		CLKV_FAIL(error, CLKV_ERROR_NO_HOST_MEMORY, "no host memory for the counts of %zu heads",
		          n_heads(cache));
	return CLKV_OK;
}

static void fill(const clkv_seq *seq, unsigned char *at)
{
	const clkv_cache *cache = seq->cache;
	const struct clkv__kept_counts *kept = &seq->kept;
	clkv__put32(at + 4 * FLAGS, (kept->selected ? SELECTED : 0u) | (kept->shared ? SHARED : 0u));
	clkv__put32(at + 4 * COUNTED, kept->counted);
	clkv__put32(at + 4 * MERGED, kept->merged_blocks);
	at += 4 * WORDS;
	for (size_t h = first_head(cache); h < n_heads(cache); h++, at += 4 * HEAD_WORDS) {
		uint32_t row = seq->slab + (uint32_t)h * cache->sizes.row_words;
		clkv__put32(at + 4 * ENTRIES, clkv__tables_get(&cache->tables, row + ABI_ROW_SEALED));
		clkv__put32(at + 4 * LIVE, kept->live[h]);
		clkv__put_floats(at + 4 * SIMILAR, &kept->similar[h], 1);
	}
}

static clkv_status put_choice(struct clkv__state_io *io, clkv_error *error)
{
	const clkv_cache *cache = io->seq->cache;
	const struct clkv__record record = record_of(cache);
	unsigned char *bytes = NULL;
	CLKV_TRY(allocate(cache, record.bytes, &bytes, error));
	fill(io->seq, bytes);
	clkv_status status = clkv__snapshot_put_record(io->out, &record, bytes, error);
	clkv__free(&cache->context->allocator, bytes);
	return status;
}

/* ---------------------------------------------------------------- in ---- */

static struct clkv__quota quota_of(const clkv_cache *cache, uint32_t counted)
{
	const struct clkv__general *g = &cache->plan.general;
	return clkv__select_quota(&cache->plan.select, (uint32_t)g->sinks, (uint32_t)g->window,
	                          counted);
}

/* What the numbers of the sequence can't be. */
static const char *doubt_all(const struct clkv__state_io *io, const unsigned char *at)
{
	const clkv_cache *cache = io->seq->cache;
	uint32_t flags = clkv__get32(at + 4 * FLAGS), counted = clkv__get32(at + 4 * COUNTED);
	uint32_t merged = clkv__get32(at + 4 * MERGED);
	bool selected = flags & SELECTED;
	if (flags & ~(uint32_t)(SELECTED | SHARED) || (flags & SHARED && !selected) ||
	    (flags & SHARED && !clkv__select_compares(&cache->plan.select)))
		return "its flags are wrong";
	if (selected != (io->head->tail > 0) || selected != (counted > 0) ||
	    (!selected && io->head->blocks > 0))
		return "it says of nothing chosen that something was, or the other way round";
	if (merged > cache->sizes.merged_blocks || (!selected && merged > 0))
		return "it has too many merged slots";
	return NULL;
}

/* What those of a head can't be: slots beyond its quota, or more entries than it takes. */
static const char *doubt_head(const struct clkv__state_io *io, const struct clkv__quota *quota,
                              uint32_t merged, const unsigned char *at)
{
	const clkv_cache *cache = io->seq->cache;
	uint32_t entries = clkv__get32(at + 4 * ENTRIES), live = clkv__get32(at + 4 * LIVE);
	uint32_t bt = (uint32_t)cache->plan.general.block;
	float similar = clkv__get_float(at + 4 * SIMILAR);
	if (entries < merged || entries > io->head->blocks || live > CLKV__MAX_TOKENS ||
	    entries - merged > clkv__kept_blocks(live, bt) || live > (entries - merged) * bt ||
	    entries > clkv__sizes_entries(&cache->shape, &cache->plan, &cache->sizes))
		return "a head has too few or too many pages";
	if (live > clkv__select_bound(&cache->plan.select, quota->kept, cache->shape.streams))
		return "a head has kept more tokens than its budget allows";
	if (!(similar >= -1 && similar <= 1))
		return "a head's least cosine is none";
	return NULL;
}

/* The sequence as these numbers say. The caller holds the mutex. */
static void take(struct clkv__state_io *io, const unsigned char *at)
{
	const clkv_cache *cache = io->seq->cache;
	struct clkv__kept_counts *kept = &io->seq->kept;
	kept->selected = clkv__get32(at + 4 * FLAGS) & SELECTED;
	kept->shared = clkv__get32(at + 4 * FLAGS) & SHARED;
	kept->counted = clkv__get32(at + 4 * COUNTED);
	kept->merged_blocks = clkv__get32(at + 4 * MERGED);
	kept->quota = kept->selected ? quota_of(cache, kept->counted) : (struct clkv__quota){0};
	kept->entries = io->head->blocks;
	at += 4 * WORDS;
	for (size_t h = first_head(cache); h < n_heads(cache); h++, at += 4 * HEAD_WORDS) {
		io->entries[h] = clkv__get32(at + 4 * ENTRIES);
		kept->live[h] = clkv__get32(at + 4 * LIVE);
		kept->similar[h] = clkv__get_float(at + 4 * SIMILAR);
	}
}

static clkv_status check(const struct clkv__state_io *io, const unsigned char *at,
                         clkv_error *error)
{
	const clkv_cache *cache = io->seq->cache;
	uint32_t counted = clkv__get32(at + 4 * COUNTED), merged = clkv__get32(at + 4 * MERGED);
	uint32_t most = 0;
	const char *text = doubt_all(io, at);
	if (!text && counted > cache->sizes.max_seq_tokens)
		CLKV_FAIL(error, CLKV_ERROR_POOL_FULL,
		          "the snapshot's slots are those of %u tokens; allowed: max_seq_tokens (%u)",
		          counted, cache->sizes.max_seq_tokens);
	const struct clkv__quota quota = quota_of(cache, counted);
	at += 4 * WORDS;
	for (size_t h = first_head(cache); h < n_heads(cache) && !text; h++, at += 4 * HEAD_WORDS) {
		uint32_t entries = clkv__get32(at + 4 * ENTRIES);
		text = doubt_head(io, &quota, merged, at);
		most = entries > most ? entries : most;
	}
	if (!text && most != io->head->blocks)
		text = "no head has as many pages as the header says";
	return text ? clkv__snapshot_damaged(io->in, error, "%s", text) : CLKV_OK;
}

static clkv_status get_choice(struct clkv__state_io *io, bool taken, clkv_error *error)
{
	clkv_cache *cache = io->seq->cache;
	const struct clkv__record want = record_of(cache);
	unsigned char *bytes = NULL;
	if (!taken) /* such files go into caches of their own recipe alone */
		return clkv__snapshot_damaged(io->in, error, "its cache selects no tokens");
	CLKV_TRY(allocate(cache, want.bytes, &bytes, error));
	clkv_status status = clkv__state_get_record(io, &want, bytes, error);
	if (status == CLKV_OK)
		status = check(io, bytes, error);
	if (status == CLKV_OK)
		status = clkv__cache_lock_idle(cache, error);
	if (status == CLKV_OK) {
		take(io, bytes);
		pthread_mutex_unlock(&cache->mutex);
	}
	clkv__free(&cache->context->allocator, bytes);
	return status;
}

const struct clkv__state_part clkv__state_choice = {
	.flag = CLKV__HEAD_CHOICE,
	.before = true,
	.asked = is_asked,
	.has = has_choice,
	.taken = is_taken,
	.put = put_choice,
	.get = get_choice,
};
