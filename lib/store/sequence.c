/* SPDX-License-Identifier: MIT */
/** \file sequence.c \brief Sequences: made, forked, cut, destroyed; host state only. */
#include "base/alloc.h"
#include "base/error.h"
#include "store/cache.h"

#include <string.h>

static uint32_t n_rows(const clkv_cache *cache)
{
	return (uint32_t)(cache->shape.layers * cache->shape.streams);
}

uint32_t clkv__seq_sealed(const clkv_seq *seq)
{
	if (seq->cache->plan.sealing.dense)
		return 0;
	uint32_t sinks = clkv__sinks(seq->cache, seq->length);
	return seq->tail > sinks ? seq->tail - sinks : 0;
}

static clkv_seq *link_seq(clkv_cache *cache, clkv_seq *seq)
{
	seq->cache = cache;
	seq->next = cache->sequences;
	if (seq->next)
		seq->next->previous = seq;
	cache->sequences = seq;
	cache->n_sequences++;
	return seq;
}

clkv_status clkv__notes_reserve(clkv_cache *cache, size_t n, clkv_error *error)
{
	return clkv__tables_reserve(&cache->tables, n + cache->tables.n_changes, error);
}

clkv_status clkv__seq_new(clkv_cache *cache, size_t notes, clkv_seq **out, clkv_error *error)
{
	if (cache->n_sequences == cache->sizes.max_sequences)
		CLKV_FAIL(error, CLKV_ERROR_POOL_FULL, "%u sequences exist; allowed: max_sequences (%u)",
		          cache->n_sequences, cache->sizes.max_sequences);
	CLKV_TRY(clkv__notes_reserve(cache, notes, error));
	clkv_seq *seq = clkv__calloc(&cache->context->allocator, 1, sizeof *seq);
	if (!seq)
		CLKV_FAIL(error, CLKV_ERROR_NO_HOST_MEMORY, "no host memory for a sequence");
	if (clkv__selects(&cache->plan.select)) {
		seq->kept.live = clkv__calloc(&cache->context->allocator, n_rows(cache),
		                              sizeof *seq->kept.live + sizeof *seq->kept.similar);
		if (!seq->kept.live) {
			clkv__free(&cache->context->allocator, seq);
			CLKV_FAIL(error, CLKV_ERROR_NO_HOST_MEMORY, "no host memory for a sequence");
		}
		seq->kept.similar = (float *)(void *)(seq->kept.live + n_rows(cache));
	}
	seq->slab = clkv__tables_take(&cache->tables);
	seq->seen = CLKV__NO_SLOT;
	seq->book = cache->index.given;
	if (seq->book != CLKV__NO_SLOT)
		clkv__slots_ref(&cache->index.book_slots, seq->book);
	*out = link_seq(cache, seq);
	clkv__rows_forget(seq, 0); /* the slots of rows were another sequence's */
	return CLKV_OK;
}

/* An empty sequence in the cache of one band. */
static clkv_status create_one(clkv_cache *cache, const clkv_seq *none, clkv_seq **out,
                              clkv_error *error)
{
	(void)none;
	CLKV_TRY(clkv__seq_new(cache, n_rows(cache) + 1, out, error));
	/* The slab may have belonged to another sequence: the device must learn it's empty. */
	for (uint32_t i = 0; i < n_rows(cache); i++)
		clkv__tables_set(&cache->tables, (*out)->slab + i * cache->sizes.row_words + ABI_ROW_SEALED,
		                 0);
	if (cache->sizes.segs > 0)
		clkv__tables_set(&cache->tables, (*out)->slab + cache->sizes.segs_word, 0);
	return CLKV_OK;
}

typedef clkv_status (*make_seq)(clkv_cache *cache, const clkv_seq *like, clkv_seq **out,
                                clkv_error *error);

/* A sequence in the caches of all bands, or in none. */
static clkv_status make_all(clkv_cache *cache, const clkv_seq *like, make_seq make, clkv_seq **out,
                            clkv_error *error)
{
	clkv_seq *first = NULL, **last = &first;
	clkv_status status = CLKV_OK;
	clkv__cache_lock(cache);
	for (clkv_cache *c = cache; c && status == CLKV_OK; c = c->next_band) {
		status = make(c, like, last, error);
		if (status == CLKV_OK)
			last = &(*last)->next_band;
		like = like ? like->next_band : NULL;
	}
	for (clkv_seq *seq = first, *next; status != CLKV_OK && seq; seq = next) {
		next = seq->next_band;
		clkv__seq_drop(seq);
	}
	clkv__cache_unlock(cache);
	if (status == CLKV_OK)
		*out = first;
	return status;
}

clkv_status clkv_seq_create(clkv_cache *cache, clkv_seq **out, clkv_error *error)
{
	clkv__error_clear(error);
	if (!cache || !out)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT, "%s is NULL", cache ? "out" : "cache");
	return make_all(cache, NULL, create_one, out, error);
}

/* Shares the blocks of one row of from with to. */
static void share_row(clkv_seq *to, const clkv_seq *from, int layer, int stream)
{
	clkv_cache *cache = to->cache;
	struct clkv__tables *t = &cache->tables;
	struct clkv__slots *open = &cache->pool.layers[layer].open;
	uint32_t src = clkv__seq_row(from, layer, stream), dst = clkv__seq_row(to, layer, stream);
	uint32_t sealed = clkv__tables_get(t, src + ABI_ROW_SEALED);
	clkv__tables_set(t, dst + ABI_ROW_SEALED, sealed);
	for (uint32_t i = 0; i < sealed; i++) {
		for (uint32_t w = 0; w < ABI_ENTRY_WORDS; w++)
			clkv__tables_set(t, dst + ABI_ROW_ENTRY(i) + w,
			                 clkv__tables_get(t, src + ABI_ROW_ENTRY(i) + w));
		uint32_t address = clkv__tables_get(t, src + ABI_ROW_ENTRY(i) + ABI_ENTRY_ADDR);
		if (clkv__tables_get(t, src + ABI_ROW_ENTRY(i) + ABI_ENTRY_FLAGS) & ABI_FLAG_OPEN)
			clkv__slots_ref(open, address);
		else
			clkv__sealed_ref(&cache->pool, layer, address);
	}
	for (uint32_t j = 0; j < clkv__blocks_of(cache, from->length); j++) {
		uint32_t address = clkv__tables_get(t, src + ABI_ROW_HALF(t->cap, j));
		if (address == CLKV__NO_SLOT)
			continue;
		clkv__slots_ref(open, address);
		clkv__tables_set(t, dst + ABI_ROW_HALF(t->cap, j), address);
	}
}

static void share_counts(struct clkv__kept_counts *to, const struct clkv__kept_counts *from,
                         size_t n)
{
	uint32_t *live = to->live;
	float *similar = to->similar;
	*to = *from;
	to->live = live;
	to->similar = similar;
	if (live)
		memcpy(live, from->live, n * (sizeof *live + sizeof *similar));
}

size_t clkv__seq_notes(const clkv_seq *seq)
{
	const clkv_cache *cache = seq->cache;
	size_t notes = (size_t)n_rows(cache) *
	                   (1 + (size_t)clkv__blocks_of(cache, seq->length) * (ABI_ENTRY_WORDS + 1) +
	                    2 * ABI_ENTRY_WORDS) +
	               clkv__segment_notes(clkv__segments(seq));
	for (int l = 0; l < cache->shape.layers; l++)
		for (int s = 0; s < cache->shape.streams; s++)
			notes += ABI_ENTRY_WORDS *
			         clkv__tables_get(&cache->tables, clkv__seq_row(seq, l, s) + ABI_ROW_SEALED);
	return notes;
}

void clkv__seq_share(clkv_seq *to, const clkv_seq *from)
{
	clkv_cache *cache = to->cache;
	to->length = from->length;
	to->tail = from->tail;
	to->left_partial = from->left_partial;
	to->attended = from->attended;
	to->reread = from->reread;
	share_counts(&to->kept, &from->kept, n_rows(cache));
	to->seen = from->seen;
	clkv__seen_share(&cache->seen, to->seen);
	clkv__segments_share(to, from);
	for (int l = 0; l < cache->shape.layers; l++)
		for (int s = 0; s < cache->shape.streams; s++)
			share_row(to, from, l, s);
}

/* A fork in the cache of one band. */
static clkv_status fork_one(clkv_cache *cache, const clkv_seq *seq, clkv_seq **out,
                            clkv_error *error)
{
	clkv_seq *copy = NULL;
	if (seq->in_step)
		CLKV_FAIL(error, CLKV_ERROR_BUSY, "the sequence is in an open step");
	CLKV_TRY(clkv__seq_new(cache, clkv__seq_notes(seq), &copy, error));
	clkv__seq_share(copy, seq);
	*out = copy;
	return CLKV_OK;
}

clkv_status clkv_seq_fork(clkv_seq *seq, clkv_seq **out, clkv_error *error)
{
	clkv__error_clear(error);
	if (!seq || !out)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT, "%s is NULL", seq ? "out" : "seq");
	return make_all(seq->cache, seq, fork_one, out, error);
}

static void release_half_row(clkv_seq *seq, int layer, uint32_t row, uint32_t from, uint32_t to)
{
	struct clkv__tables *t = &seq->cache->tables;
	for (uint32_t j = from; j < to; j++) {
		uint32_t *address = &t->mirror[row + ABI_ROW_HALF(t->cap, j)];
		if (*address != CLKV__NO_SLOT)
			clkv__slots_release(&seq->cache->pool.layers[layer].open, *address);
		/* The device keeps the old word: nothing reads it before it is set anew. */
		*address = CLKV__NO_SLOT;
	}
}

void clkv__seq_release_half(clkv_seq *seq, uint32_t from, uint32_t to, bool sealing_only)
{
	const clkv_cache *cache = seq->cache;
	for (int l = 0; l < cache->shape.layers; l++) {
		if (sealing_only && clkv__layer_is_dense(&cache->plan, l))
			continue;
		for (int s = 0; s < cache->shape.streams; s++)
			release_half_row(seq, l, clkv__seq_row(seq, l, s), from, to);
	}
}

void clkv__seq_release_entry(clkv_cache *cache, int layer, uint32_t entry)
{
	const struct clkv__tables *t = &cache->tables;
	if (clkv__tables_get(t, entry + ABI_ENTRY_FLAGS) & ABI_FLAG_OPEN)
		clkv__slots_release(&cache->pool.layers[layer].open,
		                    clkv__tables_get(t, entry + ABI_ENTRY_ADDR));
	else if (clkv__sealed_release(&cache->pool, layer, clkv__tables_get(t, entry + ABI_ENTRY_ADDR)))
		clkv__code_tables_drop(&cache->code_tables, clkv__tables_get(t, entry + ABI_ENTRY_FLAGS));
}

/* Drops the sealed tokens at and behind position n of one row. */
static void cut_sealed_row(clkv_seq *seq, int layer, uint32_t row, uint32_t n)
{
	struct clkv__tables *t = &seq->cache->tables;
	uint32_t sealed = clkv__tables_get(t, row + ABI_ROW_SEALED), kept = sealed;
	while (kept > 0) {
		uint32_t entry = row + ABI_ROW_ENTRY(kept - 1);
		uint32_t pos = clkv__tables_get(t, entry + ABI_ENTRY_POS);
		if (pos < n) {
			if (pos + clkv__tables_get(t, entry + ABI_ENTRY_COUNT) > n)
				clkv__tables_set(t, entry + ABI_ENTRY_COUNT, n - pos);
			break;
		}
		clkv__seq_release_entry(seq->cache, layer, entry);
		kept--;
	}
	if (kept != sealed)
		clkv__tables_set(t, row + ABI_ROW_SEALED, kept);
}

/* Nothing is left, so what was selected doesn't matter any more. */
static void clear_kept(clkv_seq *seq)
{
	struct clkv__kept_counts *kept = &seq->kept;
	uint32_t *live = kept->live;
	float *similar = kept->similar;
	memset(live, 0, n_rows(seq->cache) * (sizeof *live + sizeof *similar));
	*kept = (struct clkv__kept_counts){.live = live, .similar = similar};
}

/* Whether a sealed block isn't full: a prompt's end left it, or a cut did. */
static bool has_partial(const clkv_seq *seq)
{
	const clkv_cache *cache = seq->cache;
	const struct clkv__tables *t = &cache->tables;
	uint32_t row = clkv__seq_row(seq, cache->shape.layers - 1, 0);
	for (uint32_t i = 0; i < clkv__tables_get(t, row + ABI_ROW_SEALED); i++)
		if (clkv__tables_get(t, row + ABI_ROW_ENTRY(i) + ABI_ENTRY_COUNT) <
		    (uint32_t)cache->plan.general.block)
			return true;
	return false;
}

/* Forgets the newest queries of a sequence that was emptied: what it holds next is nothing that they asked for. */
static void clear_seen(clkv_seq *seq)
{
	clkv__seen_drop(&seq->cache->seen, seq->seen);
	seq->seen = CLKV__NO_SLOT;
}

static void cut(clkv_seq *seq, uint32_t n)
{
	clkv_cache *cache = seq->cache;
	if (seq->kept.selected && n == 0)
		clear_kept(seq);
	clkv__seq_release_half(seq, clkv__blocks_of(cache, n), clkv__blocks_of(cache, seq->length),
	                       false);
	if (n < seq->tail) {
		clkv__segments_cut(seq, n);
		for (int l = 0; l < cache->shape.layers; l++)
			for (int s = 0; s < cache->shape.streams; s++)
				cut_sealed_row(seq, l, clkv__seq_row(seq, l, s), n);
		/* Ordinals behind the last entry will be other tokens'. */
		uint32_t last = clkv__seq_row(seq, cache->shape.layers - 1, 0);
		clkv__rows_forget(seq, clkv__tables_get(&cache->tables, last + ABI_ROW_SEALED) *
		                           (uint32_t)cache->plan.general.block);
		seq->tail = n;
		seq->left_partial = has_partial(seq);
	}
	if (n == 0)
		clear_seen(seq);
	seq->reread = seq->reread < n ? seq->reread : n;
	seq->length = n;
}

uint32_t clkv__seq_least(const clkv_seq *seq)
{
	uint32_t least = 0;
	for (; seq; seq = seq->next_band) {
		/* a window must be whole behind the cut */
		uint32_t slides = seq->cache->plan.slides;
		bool lacks = seq->kept.selected || (slides > 0 && seq->tail > 0);
		if (lacks && seq->tail + slides > least)
			least = seq->tail + slides;
	}
	return least;
}

/* Whether a sequence can be cut, in all bands; then nothing of it can fail. */
static clkv_status check_cut(const clkv_seq *seq, size_t n, clkv_error *error)
{
	uint32_t least = clkv__seq_least(seq);
	if (seq->in_step)
		CLKV_FAIL(error, CLKV_ERROR_BUSY, "the sequence is in an open step");
	if (n > 0 && n < least)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT,
		          "n_tokens is %zu: of the tokens before %u not all that rows behind them see were "
		          "kept; allowed: 0, or %u to %u",
		          n, least, least, seq->length);
	for (; seq; seq = seq->next_band)
		CLKV_TRY(clkv__notes_reserve(seq->cache, 2 * (size_t)n_rows(seq->cache) + CLKV__CUT_NOTES,
		                             error));
	return CLKV_OK;
}

clkv_status clkv_seq_truncate(clkv_seq *seq, size_t n_tokens, clkv_error *error)
{
	clkv__error_clear(error);
	if (!seq || n_tokens > seq->length)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT, "n_tokens is %zu; allowed: 0 to %u", n_tokens,
		          seq ? seq->length : 0);
	clkv_cache *cache = seq->cache;
	clkv__cache_lock(cache);
	clkv_status status = check_cut(seq, n_tokens, error);
	for (; status == CLKV_OK && seq; seq = seq->next_band)
		cut(seq, (uint32_t)n_tokens);
	clkv__cache_unlock(cache);
	return status;
}

static void unlink_seq(clkv_seq *seq)
{
	clkv_cache *cache = seq->cache;
	if (seq->next)
		seq->next->previous = seq->previous;
	if (seq->previous)
		seq->previous->next = seq->next;
	else
		cache->sequences = seq->next;
	cache->n_sequences--;
}

static void release_sealed_row(clkv_seq *seq, int layer, uint32_t row)
{
	const struct clkv__tables *t = &seq->cache->tables;
	for (uint32_t i = 0; i < clkv__tables_get(t, row + ABI_ROW_SEALED); i++)
		clkv__seq_release_entry(seq->cache, layer, row + ABI_ROW_ENTRY(i));
}

void clkv__seq_let_go(clkv_seq *seq)
{
	clkv_cache *cache = seq->cache;
	clkv__seq_release_half(seq, 0, clkv__blocks_of(cache, seq->length), false);
	for (int l = 0; l < cache->shape.layers; l++)
		for (int s = 0; s < cache->shape.streams; s++)
			release_sealed_row(seq, l, clkv__seq_row(seq, l, s));
	clkv__seen_drop(&cache->seen, seq->seen);
	clkv__segments_drop(seq);
	seq->book = CLKV__NO_SLOT;
}

void clkv__seq_swap(clkv_seq *a, clkv_seq *b)
{
	const clkv_seq was = *a;
	*a = *b;
	a->next = was.next;
	a->previous = was.previous;
	a->next_band = was.next_band;
	b->slab = was.slab;
	b->length = was.length;
	b->tail = was.tail;
	b->seen = was.seen;
	b->book = was.book;
	b->kept = was.kept;
	b->left_partial = was.left_partial;
	b->attended = was.attended;
	b->reread = was.reread;
}

void clkv__seq_drop(clkv_seq *seq)
{
	clkv_cache *cache = seq->cache;
	clkv__seq_let_go(seq);
	clkv__tables_release(&cache->tables, seq->slab);
	unlink_seq(seq);
	clkv__free(&cache->context->allocator, seq->kept.live);
	clkv__free(&cache->context->allocator, seq);
}

void clkv_seq_destroy(clkv_seq *seq)
{
	for (clkv_seq *next; seq; seq = next) {
		clkv_cache *cache = seq->cache;
		pthread_mutex_lock(&cache->mutex);
		next = seq->next_band;
		if (seq->in_step)
			seq->goes = true;
		else
			clkv__seq_drop(seq);
		pthread_mutex_unlock(&cache->mutex);
	}
}

void clkv__seq_drop_gone(clkv_cache *cache)
{
	for (clkv_seq *seq = cache->sequences, *next; seq; seq = next) {
		next = seq->next;
		if (seq->goes && !seq->in_step)
			clkv__seq_drop(seq);
	}
}
