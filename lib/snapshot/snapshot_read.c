/* SPDX-License-Identifier: MIT */
/**
 * \file    snapshot_read.c
 * \brief   Pages from a stream into a new sequence.
 *
 * What record comes next follows from the header and the recipe, so a file can only fill in counts, flags
 * and bytes, each checked before it is used. Until all is there the sequence is known to the host alone: on
 * failure it is dropped like any other.
 */
#include "base/alloc.h"
#include "base/halves.h"
#include "cache/idle.h"
#include "place/place.h"
#include "snapshot/snapshot.h"
#include "snapshot/snapshot_codec.h"
#include "snapshot/snapshot_half.h"
#include "snapshot/snapshot_state.h"
#include "step/seal_select.h"

#include <string.h>

/* A page on its way to the device. */
struct arriving {
	struct clkv__record record;
	uint32_t row, j; /* first word of its row in the tables; number of a half block */
	uint32_t bytes;  /* on the device */
	size_t at;       /* in the buffer */
};

struct reader {
	clkv_cache *cache;
	clkv_seq *seq;
	cl_command_queue queue;
	struct clkv__snapshot_in *in;
	struct clkv__snapshot_head head;
	const struct clkv__plan *plan;
	struct clkv__codec_section section;
	uint32_t *counts;  /* [head.blocks] tokens of the sealed pages: the same for all rows */
	bool counted;      /* they are known: a row has been read */
	uint32_t *entries; /* of selected tokens: [layers][streams] pages, merged slots among them */
	unsigned char *buffer, *packed;
	size_t room, used, n;
	struct arriving *pages; /* [CLKV__BATCH_PAGES] */
};

static clkv_status fail_room(const struct clkv__shape *shape, int layer, const char *kind,
                             clkv_error *error)
{
	CLKV_FAIL(error, CLKV_ERROR_POOL_FULL,
	          "no %s block is left in layer %d for the snapshot: destroy or truncate sequences, or "
	          "create the cache with more max_tokens",
	          kind, clkv__shape_layer(shape, layer));
}

/* Takes room for a page and enters it into the mirror of the tables, where dropping the sequence finds
 * it. The caller holds the mutex. */
static clkv_status enter(struct reader *r, const struct arriving *p, uint32_t *address,
                         clkv_error *error)
{
	struct clkv__tables *t = &r->cache->tables;
	int layer = (int)p->record.layer;
	uint32_t n = clkv__tables_get(t, p->row + ABI_ROW_SEALED);
	uint32_t *entry = &t->mirror[p->row + ABI_ROW_ENTRY(n)];
	if (p->record.kind == CLKV__RECORD_HALF) {
		uint32_t *word = &t->mirror[p->row + ABI_ROW_HALF(t->cap, p->j)];
		*address = clkv__slots_take(&r->cache->pool.layers[layer].open);
		if (*address == CLKV__NO_SLOT)
			return fail_room(&r->cache->shape, layer, "half", error);
		/* what stood in the block was read before, and may be another sequence's too */
		if (*word != CLKV__NO_SLOT)
			clkv__slots_release(&r->cache->pool.layers[layer].open, *word);
		*word = *address;
		return CLKV_OK;
	}
	if (p->record.kind == CLKV__RECORD_MERGED)
		*address = clkv__slots_take(&r->cache->pool.layers[layer].open);
	else
		*address = clkv__page_take(r->cache, &p->record);
	if (*address == CLKV__NO_SLOT)
		return fail_room(&r->cache->shape, layer, "sealed", error);
	entry[ABI_ENTRY_ADDR] = *address;
	entry[ABI_ENTRY_POS] = p->record.pos;
	entry[ABI_ENTRY_COUNT] = p->record.count;
	entry[ABI_ENTRY_FLAGS] =
		p->record.kind == CLKV__RECORD_MERGED ? ABI_FLAG_OPEN : p->record.flags;
	t->mirror[p->row + ABI_ROW_SEALED] = n + 1;
	return CLKV_OK;
}

/* Puts a page where it belongs: in host memory, if sealed blocks leave the device. */
static clkv_status send(struct reader *r, struct clkv__chain *chain, const struct arriving *p,
                        uint32_t address, clkv_error *error)
{
	clkv_cache *cache = r->cache;
	const struct clkv__layer_pool *pool = &cache->pool.layers[p->record.layer];
	size_t at = (size_t)address * ABI_UNIT;
	if (!cache->sizes.moves || p->record.kind != CLKV__RECORD_SEALED)
		return clkv__chain_write(chain, pool->mem, at, p->bytes, r->buffer + p->at, NULL, error);
	CLKV_TRY(clkv__place_wait(cache, error));
	memcpy(pool->pages_at + at, r->buffer + p->at, p->bytes);
	return CLKV_OK;
}

static clkv_status flush(struct reader *r, clkv_error *error)
{
	clkv_cache *cache = r->cache;
	struct clkv__chain chain = {0};
	CLKV_TRY(clkv__cache_lock_idle(cache, error));
	clkv_status status = clkv__cache_join(cache, &chain, r->queue, error);
	bool joined = status == CLKV_OK;
	if (joined)
		status = clkv__select_settle(cache, &chain, error);
	for (size_t i = 0; i < r->n && status == CLKV_OK; i++) {
		const struct arriving *p = &r->pages[i];
		uint32_t address;
		status = enter(r, p, &address, error);
		if (status == CLKV_OK)
			status = send(r, &chain, p, address, error);
	}
	r->n = 0;
	r->used = 0;
	return clkv__cache_finish(cache, &chain, joined, status, error);
}

/* Room in the buffer for a page of so many bytes. */
static clkv_status make_room(struct reader *r, uint32_t bytes, struct arriving **out,
                             clkv_error *error)
{
	if (r->n == CLKV__BATCH_PAGES || bytes > r->room - r->used)
		CLKV_TRY(flush(r, error));
	*out = &r->pages[r->n];
	**out = (struct arriving){.at = r->used, .bytes = bytes};
	return CLKV_OK;
}

static void accept(struct reader *r, const struct arriving *page)
{
	r->used += page->bytes;
	r->n++;
}

/* Sealed page i of a row, from position pos on. */
static clkv_status read_sealed(struct reader *r, int layer, int stream, uint32_t i, uint32_t pos,
                               clkv_error *error)
{
	uint32_t bt = (uint32_t)r->plan->general.block;
	struct arriving *page;
	struct clkv__record record = {CLKV__RECORD_SEALED,
	                              (uint32_t)layer,
	                              (uint32_t)stream,
	                              pos,
	                              r->counted ? r->counts[i] : 0,
	                              0,
	                              0};
	CLKV_TRY(clkv__snapshot_get_record(r->in, &record, error));
	if (record.count == 0 || record.count > bt || record.count > r->head.tail - pos)
		return clkv__snapshot_damaged(r->in, error, "it has %u tokens", record.count);
	if (record.bytes == 0 || record.bytes != clkv__page_bytes(r->cache, &record))
		return clkv__snapshot_damaged(r->in, error, "it has %u bytes (flags %08x)", record.bytes,
		                              record.flags);
	CLKV_TRY(make_room(r, record.bytes, &page, error));
	CLKV_TRY(clkv__snapshot_get(r->in, r->buffer + page->at, record.bytes, error));
	CLKV_TRY(clkv__snapshot_get_checksum(r->in, error));
	CLKV_TRY(clkv__page_check(&r->section, r->in, r->buffer + page->at, &record, error));
	page->record = record;
	page->row = clkv__seq_row(r->seq, layer, stream);
	r->counts[i] = record.count;
	accept(r, page);
	return CLKV_OK;
}

/* What a half block holds by now, for a range to be merged into: zeros, unless the sequence has some of its tokens. */
static clkv_status read_present(struct reader *r, int layer, int stream, uint32_t j,
                                unsigned char *whole, clkv_error *error)
{
	clkv_cache *cache = r->cache;
	struct clkv__chain chain = {0};
	size_t bytes = (size_t)cache->sizes.half_units * ABI_UNIT;
	uint32_t address = clkv__tables_get(&cache->tables, clkv__seq_row(r->seq, layer, stream) +
	                                                        ABI_ROW_HALF(cache->tables.cap, j));
	memset(whole, 0, bytes);
	if (address == CLKV__NO_SLOT)
		return CLKV_OK;
	CLKV_TRY(clkv__cache_lock_idle(cache, error));
	clkv_status status = clkv__cache_join(cache, &chain, r->queue, error);
	bool joined = status == CLKV_OK;
	if (joined)
		status = clkv__chain_read(&chain, cache->pool.layers[layer].mem, (size_t)address * ABI_UNIT,
		                          bytes, whole, NULL, error);
	return clkv__cache_finish(cache, &chain, joined, status, error);
}

/* Rows of an open block and, where tokens are selected, their states. */
static const char *check_half(const struct reader *r, const struct clkv__record *record)
{
	size_t values = record->count * ((size_t)r->head.dk + r->head.dv) * 2;
	if (!clkv__halves_finite(r->packed, values / 2))
		return "a value isn't finite";
	if (record->bytes == values)
		return NULL;
	clkv__open_states_tidy(r->plan, record->count, r->packed + values);
	return clkv__open_states_check(r->plan, record->count, r->packed + values);
}

static clkv_status read_half(struct reader *r, int layer, int stream, uint32_t j, clkv_error *error)
{
	struct clkv__live live;
	struct arriving *page;
	const struct clkv__shape *shape = &r->cache->shape;
	int block = r->plan->general.block;
	clkv__half_live(&r->head, r->plan, layer, j, &live);
	if (live.n == 0)
		return CLKV_OK;
	const struct clkv__record want = clkv__half_record(&r->head, r->plan, layer, stream, j, &live);
	struct clkv__record record = want;
	CLKV_TRY(clkv__snapshot_get_record(r->in, &record, error));
	if (record.bytes != want.bytes || record.flags != 0)
		return clkv__snapshot_damaged(r->in, error, "it has %u bytes (flags %08x)", record.bytes,
		                              record.flags);
	CLKV_TRY(make_room(r, r->cache->sizes.half_units * ABI_UNIT, &page, error));
	CLKV_TRY(clkv__snapshot_get(r->in, r->packed, record.bytes, error));
	CLKV_TRY(clkv__snapshot_get_checksum(r->in, error));
	const char *wrong = check_half(r, &record);
	if (wrong)
		return clkv__snapshot_damaged(r->in, error, "%s", wrong);
	unsigned char *whole = r->buffer + page->at;
	size_t values = live.n * (size_t)(shape->dk + shape->dv) * 2;
	CLKV_TRY(read_present(r, layer, stream, j, whole, error));
	clkv__half_unpack(shape, block, &live, r->packed, whole + clkv__plan_state(r->plan));
	if (record.bytes > values)
		clkv__half_unpack_state(block, &live, r->packed + values, whole);
	page->record = record;
	page->row = clkv__seq_row(r->seq, layer, stream);
	page->j = j;
	accept(r, page);
	return CLKV_OK;
}

/* ---- of selected tokens ---- */

/* What a record of slots `slots` and on brings: merged ones in half, or a sealed page. */
static clkv_status read_slots(struct reader *r, struct clkv__record *record, uint32_t *live,
                              clkv_error *error)
{
	uint32_t bt = (uint32_t)r->plan->general.block, row = record->layer;
	bool merged = record->kind == CLKV__RECORD_MERGED;
	struct arriving *page;
	const char *wrong = NULL;
	CLKV_TRY(clkv__snapshot_get_record(r->in, record, error));
	uint32_t want =
		merged ? r->cache->sizes.half_units * ABI_UNIT : clkv__page_bytes(r->cache, record);
	if (record->count == 0 || record->count > bt || want == 0 || record->bytes != want ||
	    (merged && record->flags != 0))
		return clkv__snapshot_damaged(r->in, error, "it has %u slots in %u bytes (flags %08x)",
		                              record->count, record->bytes, record->flags);
	CLKV_TRY(make_room(r, record->bytes, &page, error));
	unsigned char *bytes = r->buffer + page->at;
	CLKV_TRY(clkv__snapshot_get(r->in, bytes, record->bytes, error));
	CLKV_TRY(clkv__snapshot_get_checksum(r->in, error));
	/* all of a merged block counts when tokens join it */
	wrong = clkv__slots_check(r->plan, merged ? bt : record->count, r->head.length, bytes, live);
	if (!wrong && merged &&
	    !clkv__halves_finite(bytes + clkv__plan_state(r->plan),
	                         clkv__half_block_bytes(&r->cache->shape, (int)bt) / 2))
		wrong = "a value isn't finite";
	if (wrong)
		return clkv__snapshot_damaged(r->in, error, "%s", wrong);
	if (!merged)
		CLKV_TRY(clkv__page_check(&r->section, r->in, bytes, record, error));
	clkv__slots_tidy(r->plan, merged ? bt : record->count, bytes);
	page->record = *record;
	page->row = clkv__seq_row(r->seq, (int)row, (int)record->head);
	accept(r, page);
	return CLKV_OK;
}

/* The slots of a head, of which as many must stand for tokens as it says. */
static clkv_status read_kept(struct reader *r, int layer, int stream, clkv_error *error)
{
	const struct clkv__kept_counts *kept = &r->seq->kept;
	uint32_t head = (uint32_t)(layer * r->cache->shape.streams + stream), slots = 0, all = 0, live;
	for (uint32_t i = 0; i < r->entries[head]; i++) {
		bool merged = i < kept->merged_blocks;
		struct clkv__record record = {
			.kind = merged ? CLKV__RECORD_MERGED : CLKV__RECORD_SEALED,
			.layer = (uint32_t)layer,
			.head = (uint32_t)stream,
			.pos = slots,
		};
		CLKV_TRY(read_slots(r, &record, &live, error));
		if (!merged && live == 0)
			return clkv__snapshot_damaged(r->in, error, "none of its slots stands for a token");
		slots += record.count;
		all += merged ? 0 : live;
	}
	if (all != kept->live[head])
		return clkv__snapshot_damaged(r->in, error, "the head has kept %u tokens instead of %u",
		                              all, kept->live[head]);
	return CLKV_OK;
}

/* ---- rows ---- */

/* Pages that cover the tokens from the sinks to the tail. */
static clkv_status read_pages(struct reader *r, int layer, int stream, clkv_error *error)
{
	uint32_t pos = clkv__plan_sinks(r->plan, r->head.length);
	pos = r->head.from > pos ? r->head.from : pos;
	for (uint32_t i = 0; i < r->head.blocks; i++) {
		CLKV_TRY(read_sealed(r, layer, stream, i, pos, error));
		pos += r->counts[i];
	}
	if (r->head.blocks > 0 && pos != r->head.tail)
		return clkv__snapshot_damaged(r->in, error, "the pages end at token %u instead of %u", pos,
		                              r->head.tail);
	r->counted = true;
	return CLKV_OK;
}

static clkv_status read_row(struct reader *r, int layer, int stream, clkv_error *error)
{
	uint32_t bt = (uint32_t)r->plan->general.block;
	if (!clkv__layer_is_dense(r->plan, layer)) {
		bool selects = r->head.parts & CLKV__HEAD_CHOICE;
		CLKV_TRY((selects ? read_kept : read_pages)(r, layer, stream, error));
	}
	for (uint32_t j = r->head.from / bt; j < clkv__blocks_of(r->cache, r->head.length); j++)
		CLKV_TRY(read_half(r, layer, stream, j, error));
	return CLKV_OK;
}

static clkv_status read_end(struct reader *r, clkv_error *error)
{
	struct clkv__record end = {.kind = CLKV__RECORD_END};
	CLKV_TRY(clkv__snapshot_get_record(r->in, &end, error));
	if (end.count || end.flags || end.bytes)
		return clkv__snapshot_damaged(r->in, error, "it isn't empty");
	return clkv__snapshot_get_checksum(r->in, error);
}

/* Notes all words of a row that the device must learn. */
static void note_row(struct reader *r, uint32_t row)
{
	struct clkv__tables *t = &r->cache->tables;
	uint32_t sealed = clkv__tables_get(t, row + ABI_ROW_SEALED);
	clkv__tables_set(t, row + ABI_ROW_SEALED, sealed);
	for (uint32_t w = ABI_ROW_ENTRY(0); w < ABI_ROW_ENTRY(sealed); w++)
		clkv__tables_set(t, row + w, clkv__tables_get(t, row + w));
	for (uint32_t j = 0; j < clkv__blocks_of(r->cache, r->head.length); j++) {
		uint32_t word = row + ABI_ROW_HALF(t->cap, j);
		if (clkv__tables_get(t, word) != CLKV__NO_SLOT)
			clkv__tables_set(t, word, clkv__tables_get(t, word));
	}
}

/* Sealed pages of a row of the sequence; without a choice of tokens all rows that seal have as many. */
static size_t sealed_of(const struct reader *r, int layer, int stream)
{
	uint32_t row = clkv__seq_row(r->seq, layer, stream);
	return clkv__tables_get(&r->cache->tables, row + ABI_ROW_SEALED);
}

static size_t words_of(const struct reader *r)
{
	const struct clkv__shape *shape = &r->cache->shape;
	size_t words = 0;
	for (int l = 0; l < shape->layers; l++)
		for (int s = 0; s < shape->streams; s++)
			words += 1 + sealed_of(r, l, s) * ABI_ENTRY_WORDS +
			         clkv__blocks_of(r->cache, r->head.length);
	return words;
}

/* The last thing that can fail: from here on the device learns of the sequence. */
static clkv_status publish(struct reader *r, clkv_error *error)
{
	clkv_cache *cache = r->cache;
	CLKV_TRY(clkv__cache_lock_idle(cache, error));
	clkv_status status = clkv__tables_reserve(&cache->tables, words_of(r), error);
	if (status == CLKV_OK)
		clkv__section_account(&r->section);
	for (int l = 0; status == CLKV_OK && l < cache->shape.layers; l++)
		for (int s = 0; s < cache->shape.streams; s++)
			note_row(r, clkv__seq_row(r->seq, l, s));
	pthread_mutex_unlock(&cache->mutex);
	return status;
}

static clkv_status read_all(struct reader *r, clkv_error *error)
{
	struct clkv__state_io io = {.seq = r->seq,
	                            .queue = r->queue,
	                            .head = &r->head,
	                            .plan = r->plan,
	                            .in = r->in,
	                            .entries = r->entries};
	CLKV_TRY(flush(r, error)); /* of nothing: a queue that can't be used is found first */
	CLKV_TRY(clkv__section_get(&r->section, r->cache, r->in, r->queue, error));
	CLKV_TRY(clkv__state_get(&io, true, error));
	for (int l = 0; l < r->cache->shape.layers; l++)
		for (int s = 0; s < r->cache->shape.streams; s++)
			CLKV_TRY(read_row(r, l, s, error));
	CLKV_TRY(flush(r, error));
	CLKV_TRY(clkv__state_get(&io, false, error));
	CLKV_TRY(read_end(r, error));
	return publish(r, error);
}

/* A sequence that is in the cache's list, so that its room counts as taken. */
static clkv_status create(clkv_cache *cache, clkv_seq **out, clkv_error *error)
{
	CLKV_TRY(clkv__cache_lock_idle(cache, error));
	clkv_status status = clkv__seq_new(cache, 0, out, error);
	pthread_mutex_unlock(&cache->mutex);
	return status;
}

/* The sequence is as long as it will be: what it takes is given back with it. */
static clkv_status lengthen(struct reader *r, clkv_error *error)
{
	CLKV_TRY(clkv__cache_lock_idle(r->cache, error));
	r->seq->length = r->head.length;
	r->seq->tail = r->head.tail;
	r->seq->left_partial |= r->head.left_partial;
	pthread_mutex_unlock(&r->cache->mutex);
	return CLKV_OK;
}

static clkv_status get_memory(struct reader *r, clkv_error *error)
{
	const clkv_allocator *a = &r->cache->context->allocator;
	size_t half = (size_t)r->cache->sizes.half_units * ABI_UNIT;
	size_t sealed = clkv__page_room(r->cache);
	r->room = CLKV__BATCH_BYTES;
	r->room = half > r->room ? half : r->room;
	r->room = sealed > r->room ? sealed : r->room;
	r->buffer = clkv__calloc(a, r->room, 1);
	r->packed = clkv__calloc(a, half, 1);
	r->pages = clkv__calloc(a, CLKV__BATCH_PAGES, sizeof *r->pages);
	r->counts = clkv__calloc(a, r->head.blocks, sizeof *r->counts);
	r->entries = clkv__calloc(a, (size_t)r->cache->shape.layers * (size_t)r->cache->shape.streams,
	                          sizeof *r->entries);
	if (!r->buffer || !r->packed || !r->pages || !r->counts || !r->entries)
		CLKV_FAIL(error, CLKV_ERROR_NO_HOST_MEMORY,
		          "no host memory for pages on their way (%zu bytes)", r->room);
	return CLKV_OK;
}

static void free_memory(struct reader *r)
{
	const clkv_allocator *a = &r->cache->context->allocator;
	clkv__free(a, r->buffer);
	clkv__free(a, r->packed);
	clkv__free(a, r->pages);
	clkv__free(a, r->counts);
	clkv__free(a, r->entries);
}

static clkv_status check_room(const struct reader *r, clkv_error *error)
{
	size_t blocks = sealed_of(r, r->cache->shape.layers - 1, 0) + r->head.blocks;
	if (blocks > r->cache->sizes.cap)
		CLKV_FAIL(
			error, CLKV_ERROR_POOL_FULL,
			"the snapshot makes it %zu sealed pages in a row, some of them partial; this cache "
			"has room for %u: create it with more max_seq_tokens",
			blocks, r->cache->sizes.cap);
	return CLKV_OK;
}

clkv_status clkv__snapshot_read_into(clkv_seq *seq, const struct clkv__snapshot_head *head,
                                     const struct clkv__plan *plan, struct clkv__snapshot_in *in,
                                     cl_command_queue queue, clkv_error *error)
{
	struct reader r = {
		.cache = seq->cache, .seq = seq, .queue = queue, .in = in, .head = *head, .plan = plan};
	CLKV_TRY(check_room(&r, error));
	clkv_status status = get_memory(&r, error);
	if (status == CLKV_OK)
		status = lengthen(&r, error);
	if (status == CLKV_OK)
		status = read_all(&r, error);
	clkv__section_end(&r.section);
	free_memory(&r);
	return status;
}

clkv_status clkv__snapshot_read(clkv_cache *cache, const struct clkv__snapshot_head *head,
                                const struct clkv__plan *plan, struct clkv__snapshot_in *in,
                                cl_command_queue queue, clkv_seq **out, clkv_error *error)
{
	clkv_seq *seq = NULL;
	CLKV_TRY(create(cache, &seq, error));
	clkv_status status = clkv__snapshot_read_into(seq, head, plan, in, queue, error);
	if (status == CLKV_OK)
		*out = seq;
	else
		clkv_seq_destroy(seq);
	return status;
}
