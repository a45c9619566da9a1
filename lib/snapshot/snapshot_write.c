/* SPDX-License-Identifier: MIT */
/** \file snapshot_write.c \brief A sequence as it is stored: header, sealed pages, open tokens, end. */
#include "base/alloc.h"
#include "cache/idle.h"
#include "place/place.h"
#include "snapshot/snapshot.h"
#include "snapshot/snapshot_codec.h"
#include "snapshot/snapshot_half.h"
#include "snapshot/snapshot_state.h"
#include "step/seal_select.h"

#include <string.h>

/* A page on its way from the device. */
struct leaving {
	struct clkv__record record;
	uint32_t address, bytes; /* on the device */
	size_t at;               /* in the buffer */
	struct clkv__live live;  /* of open tokens */
};

struct writer {
	clkv_seq *seq;
	cl_command_queue queue;
	struct clkv__snapshot_out *out;
	struct clkv__range range;
	uint32_t first_page;
	bool first; /* of all bands: headers of all come before its pages */
	struct clkv__snapshot_head head;
	struct clkv__codec_section section;
	unsigned char *buffer, *packed;
	size_t room, used, n;
	struct leaving *pages; /* [CLKV__BATCH_PAGES] */
};

static clkv_status fetch_page(struct writer *w, struct clkv__chain *chain, const struct leaving *p,
                              clkv_error *error)
{
	clkv_cache *cache = w->seq->cache;
	const struct clkv__layer_pool *pool = &cache->pool.layers[p->record.layer];
	size_t from = (size_t)p->address * ABI_UNIT;
	if (!cache->sizes.moves || p->record.kind != CLKV__RECORD_SEALED)
		return clkv__chain_read(chain, pool->mem, from, p->bytes, w->buffer + p->at, NULL, error);
	CLKV_TRY(clkv__place_wait(cache, error));
	memcpy(w->buffer + p->at, pool->pages_at + from, p->bytes);
	return CLKV_OK;
}

/* All pages of the batch into the buffer. */
static clkv_status fetch(struct writer *w, clkv_error *error)
{
	clkv_cache *cache = w->seq->cache;
	struct clkv__chain chain = {0};
	CLKV_TRY(clkv__cache_lock_idle(cache, error));
	clkv_status status = clkv__cache_join(cache, &chain, w->queue, error);
	bool joined = status == CLKV_OK;
	if (joined)
		status = clkv__select_settle(cache, &chain, error);
	for (size_t i = 0; i < w->n && status == CLKV_OK; i++)
		status = fetch_page(w, &chain, &w->pages[i], error);
	return clkv__cache_finish(cache, &chain, joined, status, error);
}

/* Open tokens without the rows that are nobody's. */
static clkv_status put_half(struct writer *w, const struct leaving *p, clkv_error *error)
{
	const clkv_cache *cache = w->seq->cache;
	const struct clkv__shape *shape = &cache->shape;
	const unsigned char *bytes = w->buffer + p->at;
	int block = cache->plan.general.block;
	uint32_t state = clkv__plan_state(&cache->plan);
	size_t values = (size_t)p->live.n * (size_t)(shape->dk + shape->dv) * 2;
	clkv__half_pack(shape, block, &p->live, bytes + state, w->packed);
	if (p->record.bytes > values) {
		clkv__half_pack_state(block, &p->live, bytes, w->packed + values);
		clkv__open_states_tidy(&cache->plan, p->live.n, w->packed + values);
	}
	return clkv__snapshot_put_record(w->out, &p->record, w->packed, error);
}

static clkv_status put_page(struct writer *w, const struct leaving *p, clkv_error *error)
{
	unsigned char *bytes = w->buffer + p->at;
	struct clkv__record record = p->record;
	if (p->record.kind == CLKV__RECORD_HALF)
		return put_half(w, p, error);
	if (p->record.kind == CLKV__RECORD_SEALED) {
		clkv__page_tidy(w->seq->cache, &record, bytes);
		record.flags = clkv__section_flags(&w->section, record.flags);
	} else {
		clkv__slots_tidy(&w->seq->cache->plan, (uint32_t)w->seq->cache->plan.general.block, bytes);
	}
	return clkv__snapshot_put_record(w->out, &record, bytes, error);
}

static clkv_status flush(struct writer *w, clkv_error *error)
{
	CLKV_TRY(fetch(w, error));
	for (size_t i = 0; i < w->n; i++)
		CLKV_TRY(put_page(w, &w->pages[i], error));
	w->n = 0;
	w->used = 0;
	return CLKV_OK;
}

static clkv_status add(struct writer *w, struct leaving *page, clkv_error *error)
{
	if (w->n == CLKV__BATCH_PAGES || page->bytes > w->room - w->used)
		CLKV_TRY(flush(w, error));
	page->at = w->used;
	w->used += page->bytes;
	w->pages[w->n++] = *page;
	return CLKV_OK;
}

/* Tokens of a page that belong to the range: the end may cut it. Of slots all do. */
static uint32_t tokens_of(const struct writer *w, const uint32_t *entry)
{
	if (w->head.parts & CLKV__HEAD_CHOICE)
		return entry[ABI_ENTRY_COUNT];
	uint32_t left = w->head.length - entry[ABI_ENTRY_POS];
	return entry[ABI_ENTRY_COUNT] < left ? entry[ABI_ENTRY_COUNT] : left;
}

static clkv_status add_sealed(struct writer *w, int layer, int stream, uint32_t i,
                              clkv_error *error)
{
	const clkv_cache *cache = w->seq->cache;
	uint32_t entry = clkv__seq_row(w->seq, layer, stream) + ABI_ROW_ENTRY(i);
	const uint32_t *word = &cache->tables.mirror[entry];
	struct leaving page = {
		.record = {.kind = CLKV__RECORD_SEALED,
	               .layer = (uint32_t)layer,
	               .head = (uint32_t)stream,
	               .pos = word[ABI_ENTRY_POS],
	               .count = tokens_of(w, word),
	               .flags = word[ABI_ENTRY_FLAGS]},
		.address = word[ABI_ENTRY_ADDR],
	};
	page.bytes = clkv__page_bytes(cache, &page.record);
	if (page.record.flags & ABI_FLAG_OPEN) {
		page.record.kind = CLKV__RECORD_MERGED;
		page.record.flags = 0;
		page.bytes = cache->sizes.half_units * ABI_UNIT;
	}
	page.record.bytes = page.bytes;
	return add(w, &page, error);
}

static clkv_status add_half(struct writer *w, int layer, int stream, uint32_t j, clkv_error *error)
{
	const clkv_cache *cache = w->seq->cache;
	struct leaving page = {.bytes = cache->sizes.half_units * ABI_UNIT};
	clkv__half_live(&w->head, &cache->plan, layer, j, &page.live);
	if (page.live.n == 0)
		return CLKV_OK;
	page.record = clkv__half_record(&w->head, &cache->plan, layer, stream, j, &page.live);
	page.address = clkv__tables_get(&cache->tables, clkv__seq_row(w->seq, layer, stream) +
	                                                    ABI_ROW_HALF(cache->sizes.cap, j));
	return add(w, &page, error);
}

static clkv_status write_row(struct writer *w, int layer, int stream, clkv_error *error)
{
	const clkv_cache *cache = w->seq->cache;
	uint32_t sealed = w->head.blocks;
	if (w->head.parts & CLKV__HEAD_CHOICE)
		sealed =
			clkv__tables_get(&cache->tables, clkv__seq_row(w->seq, layer, stream) + ABI_ROW_SEALED);
	if (!clkv__layer_is_dense(&cache->plan, layer))
		for (uint32_t i = 0; i < sealed; i++)
			CLKV_TRY(add_sealed(w, layer, stream, w->first_page + i, error));
	uint32_t bt = (uint32_t)cache->plan.general.block;
	for (uint32_t j = w->head.from / bt; j < clkv__blocks_of(cache, w->head.length); j++)
		CLKV_TRY(add_half(w, layer, stream, j, error));
	return CLKV_OK;
}

/* The headers of all bands, behind one of all if there are several. */
static clkv_status put_heads(const clkv_seq *seq, const struct clkv__range *range,
                             struct clkv__snapshot_out *out, clkv_error *error)
{
	struct clkv__snapshot_head head;
	if (seq->cache->whole) {
		clkv__head_of_all(seq, range, &head);
		CLKV_TRY(clkv__head_put(out, &head, error));
	}
	for (; seq; seq = seq->next_band) {
		clkv__head_of(seq, range, &head);
		CLKV_TRY(clkv__head_put(out, &head, error));
	}
	return CLKV_OK;
}

static clkv_status write_all(struct writer *w, clkv_error *error)
{
	const struct clkv__record end = {.kind = CLKV__RECORD_END};
	const struct clkv__shape *shape = &w->seq->cache->shape;
	struct clkv__state_io io = {.seq = w->seq,
	                            .queue = w->queue,
	                            .head = &w->head,
	                            .plan = &w->seq->cache->plan,
	                            .out = w->out};
	CLKV_TRY(flush(w, error)); /* of nothing: a queue that can't be used is found first */
	if (w->first)
		CLKV_TRY(put_heads(w->seq, &w->range, w->out, error));
	CLKV_TRY(clkv__section_put(&w->section, w->out, error));
	CLKV_TRY(clkv__state_put(&io, true, error));
	for (int l = 0; l < shape->layers; l++)
		for (int s = 0; s < shape->streams; s++)
			CLKV_TRY(write_row(w, l, s, error));
	CLKV_TRY(flush(w, error));
	CLKV_TRY(clkv__state_put(&io, false, error));
	return clkv__snapshot_put_record(w->out, &end, NULL, error);
}

static clkv_status write_band(clkv_seq *seq, const struct clkv__range *range, bool first,
                              cl_command_queue queue, struct clkv__snapshot_out *out,
                              clkv_error *error)
{
	const clkv_cache *cache = seq->cache;
	const clkv_allocator *a = &cache->context->allocator;
	size_t half = (size_t)cache->sizes.half_units * ABI_UNIT, sealed = clkv__page_room(cache);
	struct writer w = {.seq = seq,
	                   .queue = queue,
	                   .out = out,
	                   .range = *range,
	                   .first = first,
	                   .room = CLKV__BATCH_BYTES};
	w.room = half > w.room ? half : w.room;
	w.room = sealed > w.room ? sealed : w.room;
	w.first_page = clkv__head_of(seq, range, &w.head);
	clkv__section_of(&w.section, seq, w.first_page, w.head.blocks);
	w.buffer = clkv__calloc(a, w.room, 1);
	w.packed = clkv__calloc(a, half, 1);
	w.pages = clkv__calloc(a, CLKV__BATCH_PAGES, sizeof *w.pages);
	clkv_status status =
		w.buffer && w.packed && w.pages
			? write_all(&w, error)
			: clkv__error_set(error, CLKV_ERROR_NO_HOST_MEMORY,
	                          "no host memory for pages on their way (%zu bytes)", w.room);
	clkv__free(a, w.buffer);
	clkv__free(a, w.packed);
	clkv__free(a, w.pages);
	return status;
}

clkv_status clkv__snapshot_write_range(clkv_seq *seq, const struct clkv__range *range,
                                       cl_command_queue queue, struct clkv__snapshot_out *out,
                                       clkv_error *error)
{
	CLKV_TRY(write_band(seq, range, true, queue, out, error));
	while ((seq = seq->next_band))
		CLKV_TRY(write_band(seq, range, false, queue, out, error));
	return CLKV_OK;
}

clkv_status clkv__snapshot_write(clkv_seq *seq, cl_command_queue queue,
                                 struct clkv__snapshot_out *out, clkv_error *error)
{
	const struct clkv__range all = {0, seq->length, true};
	return clkv__snapshot_write_range(seq, &all, queue, out, error);
}
