/* SPDX-License-Identifier: MIT */
/**
 * \file    seal.c
 * \brief   Passes the oldest part of the tails through the codec, all layers at once.
 *
 * A block is sealed when at least `window` tokens stay behind it. A prompt's end seals down to exactly
 * `window` tokens, with a last block that may be partial, once in the life of a sequence: partial
 * blocks of later prompts would pile up.
 */
#include "step/seal.h"

#include "base/alloc.h"
#include "base/error.h"
#include "step/seal_encode.h"
#include "step/seal_index.h"
#include "store/cache.h"
#include "store/leaving.h"

#include <string.h>

/* Tokens [from, to) of an item that are sealed when it keeps n_kept new rows. */
static void seal_range(const clkv_cache *cache, const struct clkv__step_item *item, uint32_t n_kept,
                       uint32_t *from, uint32_t *to)
{
	const struct clkv__filling f = clkv__filling_of(item->seq);
	*from = clkv__leaving_first(&cache->plan, &f, f.length + n_kept);
	*to = *from + clkv__leaving_count(&cache->plan, &cache->sizes, &f, item->phase, n_kept);
}

uint32_t clkv__seal_count(const clkv_cache *cache, const struct clkv__step_item *item,
                          uint32_t n_kept)
{
	uint32_t from, to;
	seal_range(cache, item, n_kept, &from, &to);
	return clkv__blocks_of(cache, to - from);
}

/* ABI_SEAL_MASK of the first of n jobs of a sequence. */
static uint32_t new_masks(const clkv_seq *seq, uint32_t n)
{
	const clkv_cache *cache = seq->cache;
	uint32_t row = clkv__seq_row(seq, cache->shape.layers - 1, 0);
	uint32_t sealed = clkv__tables_get(&cache->tables, row + ABI_ROW_SEALED);
	uint32_t refresh = (uint32_t)cache->plan.sealing.prune.refresh;
	return sealed == 0 || (refresh > 0 && sealed % refresh == 0) ? n : ABI_MASK_OLD;
}

/* The jobs of all items: records first, then a list of destinations for each, which are none yet. */
static uint32_t put_jobs(const struct clkv_step *step, const uint32_t *n_kept, uint32_t n_jobs,
                         uint32_t *words)
{
	clkv_cache *cache = step->cache;
	uint32_t bt = (uint32_t)cache->plan.general.block, dst = n_jobs * ABI_SEAL_WORDS;
	uint32_t n_dst = clkv__seal_dst_words(cache), *all = words;
	for (size_t i = 0; i < step->n_items; i++) {
		uint32_t from, to;
		seal_range(cache, &step->items[i], n_kept[i], &from, &to);
		uint32_t n = clkv__blocks_of(cache, to - from), mask = new_masks(step->items[i].seq, n);
		for (; from < to; from += bt, words += ABI_SEAL_WORDS, dst += n_dst) {
			words[ABI_SEAL_SLAB] = step->items[i].seq->slab;
			words[ABI_SEAL_CAP] = cache->sizes.cap;
			words[ABI_SEAL_FROM] = from;
			words[ABI_SEAL_COUNT] = to - from < bt ? to - from : bt;
			words[ABI_SEAL_DST] = dst;
			words[ABI_SEAL_SEEN] = step->items[i].seq->seen;
			words[ABI_SEAL_END] = step->items[i].seq->length + n_kept[i];
			words[ABI_SEAL_MASK] = mask;
			words[ABI_SEAL_AT] = 0; /* of selection only */
			mask = mask == ABI_MASK_OLD ? mask : 0;
			for (uint32_t j = 0; j < n_dst; j += ABI_DST_WORDS) {
				memset(&all[dst + j], 0, ABI_DST_WORDS * sizeof *all);
				all[dst + j + ABI_DST_ADDR] = CLKV__NO_SLOT;
			}
		}
	}
	return dst;
}

static void add_entry(clkv_cache *cache, uint32_t row, const uint32_t *job, const uint32_t *dst)
{
	struct clkv__tables *t = &cache->tables;
	uint32_t n = clkv__tables_get(t, row + ABI_ROW_SEALED), entry = row + ABI_ROW_ENTRY(n);
	clkv__tables_set(t, entry + ABI_ENTRY_ADDR, dst[ABI_DST_ADDR]);
	clkv__tables_set(t, entry + ABI_ENTRY_POS, job[ABI_SEAL_FROM]);
	clkv__tables_set(t, entry + ABI_ENTRY_COUNT, job[ABI_SEAL_COUNT]);
	clkv__tables_set(t, entry + ABI_ENTRY_FLAGS, dst[ABI_DST_FLAGS]);
	clkv__tables_set(t, row + ABI_ROW_SEALED, n + 1);
}

/* Enters a job's blocks into its sequence's tables and moves the tail. */
static void enter(clkv_seq *seq, const uint32_t *job, const uint32_t *dst)
{
	clkv_cache *cache = seq->cache;
	for (int l = 0; l < cache->shape.layers; l++)
		for (int s = 0; s < cache->shape.streams; s++, dst += ABI_DST_WORDS)
			if (dst[ABI_DST_ADDR] != CLKV__NO_SLOT)
				add_entry(cache, clkv__seq_row(seq, l, s), job, dst);
	seq->tail = job[ABI_SEAL_FROM] + job[ABI_SEAL_COUNT];
	if (job[ABI_SEAL_COUNT] < (uint32_t)cache->plan.general.block)
		seq->left_partial = true;
}

static void enter_all(struct clkv_step *step, const uint32_t *n_kept, const uint32_t *words,
                      struct clkv__indexed *indexed)
{
	const uint32_t *job = words;
	for (size_t i = 0; i < step->n_items; i++) {
		uint32_t n = clkv__seal_count(step->cache, &step->items[i], n_kept[i]);
		if (indexed)
			clkv__index_enter(step->items[i].seq, &indexed[i]);
		for (; n > 0; n--, job += ABI_SEAL_WORDS)
			enter(step->items[i].seq, job, words + job[ABI_SEAL_DST]);
	}
}

static void release_indexes(struct clkv_step *step, struct clkv__indexed *indexed)
{
	for (size_t i = 0; indexed && i < step->n_items; i++)
		clkv__index_release(step->items[i].seq, &indexed[i]);
	clkv__free(&step->cache->context->allocator, indexed);
}

/* The indexes of what all items seal: *out stays NULL if the recipe has none. */
static clkv_status make_indexes(struct clkv_step *step, const uint32_t *n_kept,
                                struct clkv__indexed **out, clkv_error *error)
{
	clkv_cache *cache = step->cache;
	clkv_status status = CLKV_OK;
	if (cache->sizes.segs == 0)
		return CLKV_OK;
	struct clkv__indexed *indexed =
		clkv__calloc(&cache->context->allocator, step->n_items, sizeof *indexed);
	if (!indexed)
		CLKV_FAIL(error, CLKV_ERROR_NO_HOST_MEMORY, "no host memory for %zu items", step->n_items);
	for (size_t i = 0; i < step->n_items && status == CLKV_OK; i++) {
		uint32_t from, to;
		seal_range(cache, &step->items[i], n_kept[i], &from, &to);
		indexed[i].book = step->items[i].seq->book;
		if (to > from)
			status = clkv__index_make(step->items[i].seq, &step->chain, from, to - from,
			                          step->items[i].seq->length + n_kept[i], &indexed[i], error);
	}
	if (status == CLKV_OK)
		*out = indexed;
	else
		release_indexes(step, indexed);
	return status;
}

/* Notes for the table words of n_jobs jobs and of the indexes. */
static clkv_status reserve_entries(struct clkv_step *step, uint32_t n_jobs,
                                   const struct clkv__indexed *indexed, clkv_error *error)
{
	const struct clkv__shape *shape = &step->cache->shape;
	size_t notes =
		(size_t)n_jobs * (size_t)(shape->layers * shape->streams) * (ABI_ENTRY_WORDS + 1);
	for (size_t i = 0; indexed && i < step->n_items; i++)
		notes += clkv__segment_notes(indexed[i].n_parts);
	return clkv__tables_reserve(&step->cache->tables, notes, error);
}

/* Jobs that go to the device in batches stay here, the others in staging. */
static clkv_status jobs_room(struct clkv_step *step, struct clkv__staging **staging,
                             struct clkv__staging *own, clkv_error *error)
{
	clkv_cache *cache = step->cache;
	if (!cache->sizes.moves)
		return clkv__staging_next(&cache->staging, staging, error);
	own->words =
		clkv__calloc(&cache->context->allocator, cache->sizes.jobs_words, sizeof *own->words);
	if (!own->words)
		CLKV_FAIL(error, CLKV_ERROR_NO_HOST_MEMORY, "no host memory for %u words of jobs",
		          cache->sizes.jobs_words);
	*staging = own;
	return CLKV_OK;
}

/* Ends what was sealed; what wasn't entered of it must have been given back. */
static void end(struct clkv_step *step)
{
	release_indexes(step, step->sealing.indexed);
	clkv__free(&step->cache->context->allocator, step->sealing.own.words);
	step->sealing = (struct clkv__sealing){0};
}

void clkv__seal_undo(struct clkv_step *step)
{
	struct clkv__sealing *s = &step->sealing;
	if (s->staging)
		clkv__seal_release(step->cache, s->staging->words + s->n_jobs * ABI_SEAL_WORDS, s->n_jobs);
	end(step);
}

void clkv__seal_enter(struct clkv_step *step, const uint32_t *n_kept)
{
	struct clkv__sealing *s = &step->sealing;
	if (s->n_jobs > 0)
		enter_all(step, n_kept, s->staging->words, s->indexed);
	end(step);
}

clkv_status clkv__seal(struct clkv_step *step, const uint32_t *n_kept, clkv_error *error)
{
	clkv_cache *cache = step->cache;
	struct clkv__sealing *s = &step->sealing;
	*s = (struct clkv__sealing){0};
	for (size_t i = 0; i < step->n_items; i++)
		s->n_jobs += clkv__seal_count(cache, &step->items[i], n_kept[i]);
	if (s->n_jobs == 0)
		return CLKV_OK;
	clkv_status status = make_indexes(step, n_kept, &s->indexed, error);
	if (status == CLKV_OK)
		status = reserve_entries(step, s->n_jobs, s->indexed, error);
	if (status == CLKV_OK)
		status = jobs_room(step, &s->staging, &s->own, error);
	if (status == CLKV_OK) {
		uint32_t n_words = put_jobs(step, n_kept, s->n_jobs, s->staging->words);
		const struct clkv__seal_jobs jobs = {cache,     &step->chain, s->staging,
		                                     s->n_jobs, n_words,      NULL};
		status = clkv__seal_encode(&jobs, error);
	}
	if (status != CLKV_OK)
		clkv__seal_undo(step);
	return status;
}
