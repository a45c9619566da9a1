/* SPDX-License-Identifier: MIT */
/** \file index.c \brief Segments of sequences: taken, entered, shared, cut, dropped; host state only. */
#include "store/index.h"

#include "base/error.h"
#include "store/cache.h"

static uint32_t head_word(const clkv_seq *seq)
{
	return seq->slab + seq->cache->sizes.segs_word;
}

static uint32_t segment_word(const clkv_seq *seq, uint32_t i)
{
	return head_word(seq) + ABI_SEGS_HEAD + i * ABI_SEG_WORDS;
}

static uint32_t get(const clkv_seq *seq, uint32_t i, uint32_t word)
{
	return clkv__tables_get(&seq->cache->tables, segment_word(seq, i) + word);
}

uint32_t clkv__segments(const clkv_seq *seq)
{
	if (seq->cache->sizes.segs == 0)
		return 0;
	return clkv__tables_get(&seq->cache->tables, head_word(seq));
}

uint32_t clkv__segments_tokens(const clkv_seq *seq)
{
	uint32_t tokens = 0;
	for (uint32_t i = 0; i < clkv__segments(seq); i++)
		tokens += get(seq, i, ABI_SEG_KEPT);
	return tokens;
}

uint32_t clkv__segments_places(const clkv_seq *seq)
{
	uint32_t n = clkv__segments(seq);
	if (n == 0)
		return 0;
	return get(seq, n - 1, ABI_SEG_START) +
	       clkv__recall_places(&seq->cache->plan.recall, get(seq, n - 1, ABI_SEG_TOKENS));
}

uint64_t clkv__segments_bytes(const clkv_seq *seq)
{
	const struct clkv__sizes *s = &seq->cache->sizes;
	uint64_t units = seq->book != CLKV__NO_SLOT ? s->book_units : 0;
	for (uint32_t i = 0; i < clkv__segments(seq); i++)
		units += (uint64_t)get(seq, i, ABI_SEG_STRIDE) * s->index_heads;
	return units * ABI_UNIT + (s->segs > 0 ? 4 * clkv__segment_notes(clkv__segments(seq)) : 0);
}

uint64_t clkv__index_used(const struct clkv__index *index)
{
	uint64_t books = index->books ? clkv__slots_used(&index->book_slots) : 0;
	uint64_t units = index->mem ? clkv__pages_used(&index->pages) : 0;
	return (units + books * index->book_slots.slot_units) * ABI_UNIT;
}

/* CLKV__NO_SLOT: there is no room. */
static uint32_t take_room(clkv_cache *cache, uint32_t stride)
{
	uint64_t units = (uint64_t)stride * cache->sizes.index_heads;
	if (units == 0)
		return 0;
	return units > UINT32_MAX ? CLKV__NO_SLOT
	                          : clkv__pages_take(&cache->index.pages, (uint32_t)units);
}

clkv_status clkv__segment_take(clkv_cache *cache, uint32_t tokens, struct clkv__segment *out,
                               clkv_error *error)
{
	uint32_t stride = clkv__recall_index(&cache->plan.recall, &cache->shape, tokens);
	uint32_t address = take_room(cache, stride);
	if (address == CLKV__NO_SLOT)
		CLKV_FAIL(error, CLKV_ERROR_POOL_FULL,
		          "no room for the index of %u tokens (%u sequences): destroy or truncate "
		          "sequences and commit again, or abort the step",
		          tokens, cache->n_sequences);
	*out = (struct clkv__segment){address, stride, tokens};
	return CLKV_OK;
}

void clkv__segment_release(clkv_cache *cache, const struct clkv__segment *segment)
{
	if (segment->stride > 0)
		clkv__pages_release(&cache->index.pages, segment->address);
}

void clkv__segment_enter(clkv_seq *seq, const struct clkv__segment *segment, uint32_t first)
{
	struct clkv__tables *t = &seq->cache->tables;
	uint32_t n = clkv__segments(seq), word = segment_word(seq, n);
	uint32_t start = clkv__segments_places(seq);
	clkv__tables_set(t, word + ABI_SEG_ADDR, segment->address);
	clkv__tables_set(t, word + ABI_SEG_STRIDE, segment->stride);
	clkv__tables_set(t, word + ABI_SEG_FIRST, first);
	clkv__tables_set(t, word + ABI_SEG_TOKENS, segment->tokens);
	clkv__tables_set(t, word + ABI_SEG_KEPT, segment->tokens);
	clkv__tables_set(t, word + ABI_SEG_UNITS,
	                 clkv__recall_units(&seq->cache->plan.recall, segment->tokens));
	clkv__tables_set(t, word + ABI_SEG_START, start);
	clkv__tables_set(t, head_word(seq), n + 1);
}

clkv_status clkv__segment_restore(clkv_seq *seq, uint32_t stride, uint32_t tokens, uint32_t kept,
                                  uint32_t *address, clkv_error *error)
{
	clkv_cache *cache = seq->cache;
	const struct clkv__recall *r = &cache->plan.recall;
	uint32_t bt = (uint32_t)cache->plan.general.block, n = clkv__segments(seq), first = 0;
	uint32_t places = clkv__segments_places(seq) + clkv__recall_places(r, tokens);
	if (n >= cache->sizes.segs || places > cache->sizes.max_places)
		CLKV_FAIL(error, CLKV_ERROR_POOL_FULL,
		          "the snapshot has more segments, or units of them, than a sequence of this cache "
		          "(%u, %u): create it with more max_seq_tokens",
		          cache->sizes.segs, cache->sizes.max_places);
	CLKV_TRY(clkv__notes_reserve(cache, clkv__segment_notes(1), error));
	*address = take_room(cache, stride);
	if (*address == CLKV__NO_SLOT)
		CLKV_FAIL(error, CLKV_ERROR_POOL_FULL,
		          "no room for the index of %u tokens of the snapshot: destroy or truncate "
		          "sequences, or create the cache with more max_tokens",
		          tokens);
	if (n > 0)
		first = get(seq, n - 1, ABI_SEG_FIRST) + (get(seq, n - 1, ABI_SEG_KEPT) + bt - 1) / bt * bt;
	const struct clkv__segment segment = {*address, stride, tokens};
	clkv__segment_enter(seq, &segment, first);
	clkv__tables_set(&cache->tables, segment_word(seq, n) + ABI_SEG_KEPT, kept);
	return CLKV_OK;
}

void clkv__segments_share(clkv_seq *to, const clkv_seq *from)
{
	clkv_cache *cache = to->cache;
	struct clkv__tables *t = &cache->tables;
	if (cache->sizes.segs == 0)
		return;
	for (uint32_t i = 0; i < clkv__segments(from); i++) {
		for (uint32_t w = 0; w < ABI_SEG_WORDS; w++)
			clkv__tables_set(t, segment_word(to, i) + w, get(from, i, w));
		if (get(from, i, ABI_SEG_STRIDE) > 0)
			clkv__pages_ref(&cache->index.pages, get(from, i, ABI_SEG_ADDR));
	}
	clkv__tables_set(t, head_word(to), clkv__segments(from));
	if (to->book == from->book)
		return; /* that of all sequences */
	to->book = from->book;
	if (to->book != CLKV__NO_SLOT)
		clkv__slots_ref(&cache->index.book_slots, to->book);
}

static void release(clkv_seq *seq, uint32_t i)
{
	const struct clkv__segment s = {get(seq, i, ABI_SEG_ADDR), get(seq, i, ABI_SEG_STRIDE), 0};
	clkv__segment_release(seq->cache, &s);
}

/* The first n tokens of a segment stay. Where the tokens of units follow each other, it is then a shorter segment; lists of
 * members stay as they are. */
static void cut_segment(clkv_seq *seq, uint32_t i, uint32_t n)
{
	const struct clkv__recall *r = &seq->cache->plan.recall;
	struct clkv__tables *t = &seq->cache->tables;
	if (n >= get(seq, i, ABI_SEG_KEPT))
		return;
	clkv__tables_set(t, segment_word(seq, i) + ABI_SEG_KEPT, n);
	if (clkv__index_kind_of(r)->members)
		return;
	clkv__tables_set(t, segment_word(seq, i) + ABI_SEG_TOKENS, n);
	clkv__tables_set(t, segment_word(seq, i) + ABI_SEG_UNITS, clkv__recall_units(r, n));
}

/* Its codebook is this one from now on; one of its own goes with its last segment. */
static void take_book(clkv_seq *seq, uint32_t book)
{
	struct clkv__slots *slots = &seq->cache->index.book_slots;
	if (seq->book == book)
		return;
	if (seq->book != CLKV__NO_SLOT)
		clkv__slots_release(slots, seq->book);
	if (book != CLKV__NO_SLOT)
		clkv__slots_ref(slots, book);
	seq->book = book;
}

void clkv__segments_cut(clkv_seq *seq, uint32_t n)
{
	clkv_cache *cache = seq->cache;
	struct clkv__tables *t = &cache->tables;
	uint32_t segments = clkv__segments(seq), bt = (uint32_t)cache->plan.general.block;
	uint32_t row = clkv__seq_row(seq, cache->shape.layers - 1, 0);
	for (uint32_t i = segments; i-- > 0;) {
		uint32_t entry = row + ABI_ROW_ENTRY(get(seq, i, ABI_SEG_FIRST) / bt);
		uint32_t position = clkv__tables_get(t, entry + ABI_ENTRY_POS);
		if (position >= n) {
			release(seq, i);
			segments = i;
			continue;
		}
		cut_segment(seq, i, n - position);
		break;
	}
	if (segments != clkv__segments(seq))
		clkv__tables_set(t, head_word(seq), segments);
	if (segments == 0)
		take_book(seq, cache->index.given);
}

void clkv__segments_drop(clkv_seq *seq)
{
	for (uint32_t i = 0; i < clkv__segments(seq); i++)
		release(seq, i);
	if (seq->book != CLKV__NO_SLOT)
		clkv__slots_release(&seq->cache->index.book_slots, seq->book);
}
