/* SPDX-License-Identifier: MIT */
/** \file seal_index.c \brief Cuts what a sequence seals into segments and has the device index them. */
#include "step/seal_index.h"

#include "attend/launch_index.h"
#include "base/alloc.h"
#include "base/error.h"

/* A codebook of the sequence's own, from as many of its n tokens as one segment may have, evenly drawn. */
static clkv_status train(clkv_seq *seq, struct clkv__chain *chain, uint32_t from, uint32_t n,
                         struct clkv__indexed *out, clkv_error *error)
{
	clkv_cache *cache = seq->cache;
	uint32_t most = (uint32_t)cache->plan.recall.most, step = (n + most - 1) / most;
	uint32_t book = clkv__slots_take(&cache->index.book_slots);
	if (book == CLKV__NO_SLOT)
		CLKV_FAIL(error, CLKV_ERROR_INTERNAL, "more sequences than places for their codebooks");
	out->book = book;
	const struct clkv__index_job job = {
		.seq = seq,
		.from = from,
		.n = n / step,
		.step = step,
		.end = out->end,
		.book = book,
		.trains = true,
	};
	return clkv__launch_index(cache, chain, &job, error);
}

static clkv_status make_part(clkv_seq *seq, struct clkv__chain *chain, uint32_t from, uint32_t n,
                             struct clkv__indexed *out, clkv_error *error)
{
	clkv_cache *cache = seq->cache;
	struct clkv__segment *segment = &out->parts[out->n_parts];
	CLKV_TRY(clkv__segment_take(cache, n, segment, error));
	out->n_parts++;
	const struct clkv__index_job job = {
		.seq = seq,
		.from = from,
		.n = n,
		.step = 1,
		.end = out->end,
		.segment = segment,
		.book = out->book,
		.trains = !clkv__index_kind_of(&cache->plan.recall)->book,
	};
	return clkv__launch_index(cache, chain, &job, error);
}

clkv_status clkv__index_make(clkv_seq *seq, struct clkv__chain *chain, uint32_t from, uint32_t n,
                             uint32_t end, struct clkv__indexed *out, clkv_error *error)
{
	clkv_cache *cache = seq->cache;
	uint32_t bt = (uint32_t)cache->plan.general.block;
	uint32_t parts = clkv__recall_parts(&cache->plan.recall, n);
	*out = (struct clkv__indexed){.end = end, .book = seq->book};
	out->parts = clkv__calloc(&cache->context->allocator, parts, sizeof *out->parts);
	if (!out->parts)
		CLKV_FAIL(error, CLKV_ERROR_NO_HOST_MEMORY, "no host memory for %u segments", parts);
	clkv_status status = CLKV_OK;
	if (cache->sizes.book_units > 0 && seq->book == CLKV__NO_SLOT)
		status = train(seq, chain, from, n, out, error);
	for (uint32_t i = 0, at = 0; i < parts && status == CLKV_OK; i++) {
		uint32_t tokens = clkv__recall_part(n, bt, parts, i);
		status = make_part(seq, chain, from + at, tokens, out, error);
		at += tokens;
	}
	if (status != CLKV_OK)
		clkv__index_release(seq, out);
	return status;
}

void clkv__index_enter(clkv_seq *seq, struct clkv__indexed *indexed)
{
	const clkv_cache *cache = seq->cache;
	uint32_t row = clkv__seq_row(seq, cache->shape.layers - 1, 0);
	uint32_t sealed = clkv__tables_get(&cache->tables, row + ABI_ROW_SEALED);
	uint32_t first = sealed * (uint32_t)cache->plan.general.block;
	for (uint32_t i = 0; i < indexed->n_parts; i++) {
		clkv__segment_enter(seq, &indexed->parts[i], first);
		first += indexed->parts[i].tokens;
	}
	seq->book = indexed->book;
	clkv__free(&cache->context->allocator, indexed->parts);
	*indexed = (struct clkv__indexed){0};
}

void clkv__index_release(clkv_seq *seq, struct clkv__indexed *indexed)
{
	clkv_cache *cache = seq->cache;
	for (uint32_t i = 0; i < indexed->n_parts; i++)
		clkv__segment_release(cache, &indexed->parts[i]);
	if (indexed->parts && indexed->book != seq->book)
		clkv__slots_release(&cache->index.book_slots, indexed->book);
	clkv__free(&cache->context->allocator, indexed->parts);
	*indexed = (struct clkv__indexed){0};
}
