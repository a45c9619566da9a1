/* SPDX-License-Identifier: MIT */
/**
 * \file    snapshot_index.c
 * \brief   Indexes of a sequence: its segments, the codebook that they are by or its name, and what stands for units.
 */
#include "snapshot/snapshot_index.h"

#include "base/alloc.h"
#include "base/halves.h"
#include "cache/idle.h"

/* Bytes of the list: kind of the codebook, its number (8 bytes), segments; then of each its stride, its tokens when it was made,
 * and those that are still there. */
enum { LIST_BYTES = 16, SEGMENT_BYTES = 12 };

static bool is_asked(const struct clkv__plan *plan)
{
	return clkv__recalls(&plan->recall) && !plan->sealing.dense;
}

static bool is_taken(const clkv_cache *cache)
{
	return cache->sizes.segs > 0;
}

static bool has_index(const clkv_seq *seq)
{
	return is_taken(seq->cache);
}

static const clkv_allocator *allocator_of(const struct clkv__state_io *io)
{
	return &io->seq->cache->context->allocator;
}

static clkv_status allocate(const struct clkv__state_io *io, size_t bytes, void *out,
                            clkv_error *error)
{
	void *made = clkv__calloc(allocator_of(io), bytes > 0 ? bytes : 1, 1);
	if (!made)
		CLKV_FAIL(error, CLKV_ERROR_NO_HOST_MEMORY, "no host memory for an index of %zu bytes",
		          bytes);
	memcpy(out, &made, sizeof made);
	return CLKV_OK;
}

/* A layer's part of an index or of codebooks that begin at an address. */
static struct clkv__state_bytes layer_of(const struct clkv__state_io *io, cl_mem mem,
                                         uint32_t address, uint32_t stride, int layer, void *host)
{
	const struct clkv__shape *shape = &io->seq->cache->shape;
	size_t layer_bytes = (size_t)shape->streams * clkv__index_head_bytes(stride);
	int number = layer - io->plan->general.skip;
	return (struct clkv__state_bytes){
		mem, (size_t)address * ABI_UNIT + (size_t)number * layer_bytes, layer_bytes, host};
}

static struct clkv__record index_record(const struct clkv__state_io *io,
                                        const struct clkv__index_segment *s, int layer)
{
	return (struct clkv__record){
		.kind = CLKV__RECORD_INDEX,
		.layer = (uint32_t)layer,
		.pos = s->pos,
		.count = s->tokens,
		.bytes = io->head->kv_heads * (uint32_t)clkv__index_head_bytes(s->stride),
	};
}

static struct clkv__record book_record(const struct clkv__state_io *io, int layer, uint32_t units)
{
	return (struct clkv__record){
		.kind = CLKV__RECORD_BOOK,
		.layer = (uint32_t)layer,
		.bytes = io->head->kv_heads * (uint32_t)clkv__index_head_bytes(units),
	};
}

/* Units of a codebook of one head. */
static uint32_t book_units(const struct clkv__state_io *io)
{
	return clkv__recall_book(&io->plan->recall, &io->seq->cache->shape);
}

/* ---------------------------------------------------------------- out ---- */

static uint32_t word_of(const clkv_seq *seq, uint32_t i, uint32_t word)
{
	uint32_t at = seq->slab + seq->cache->sizes.segs_word + ABI_SEGS_HEAD + i * ABI_SEG_WORDS;
	return clkv__tables_get(&seq->cache->tables, at + word);
}

static struct clkv__index_segment segment_of(const clkv_seq *seq, uint32_t i)
{
	uint32_t n, first = word_of(seq, i, ABI_SEG_FIRST) / (uint32_t)seq->cache->plan.general.block;
	const uint32_t *entries = clkv__index_entries(seq, &n);
	return (struct clkv__index_segment){
		word_of(seq, i, ABI_SEG_STRIDE), word_of(seq, i, ABI_SEG_TOKENS),
		word_of(seq, i, ABI_SEG_KEPT), entries[first * ABI_ENTRY_WORDS + ABI_ENTRY_POS]};
}

static clkv_status put_list(struct clkv__state_io *io, uint32_t book, clkv_error *error)
{
	const clkv_seq *seq = io->seq;
	uint32_t n = clkv__segments(seq);
	unsigned char *bytes = NULL, *at;
	const struct clkv__record record = {.kind = CLKV__RECORD_SEGMENTS,
	                                    .bytes = LIST_BYTES + n * SEGMENT_BYTES};
	CLKV_TRY(allocate(io, record.bytes, &bytes, error));
	clkv__put32(bytes, book);
	clkv__put_le(bytes + 4, book == CLKV__BOOK_GIVEN ? seq->cache->index.number : 0, 8);
	clkv__put32(bytes + 12, n);
	at = bytes + LIST_BYTES;
	for (uint32_t i = 0; i < n; i++, at += SEGMENT_BYTES) {
		const struct clkv__index_segment s = segment_of(seq, i);
		clkv__put32(at, s.stride);
		clkv__put32(at + 4, s.tokens);
		clkv__put32(at + 8, s.kept);
	}
	clkv_status status = clkv__snapshot_put_record(io->out, &record, bytes, error);
	clkv__free(allocator_of(io), bytes);
	return status;
}

static clkv_status put_books(struct clkv__state_io *io, clkv_error *error)
{
	const clkv_cache *cache = io->seq->cache;
	uint32_t units = book_units(io);
	unsigned char *bytes = NULL;
	CLKV_TRY(
		allocate(io, (size_t)cache->shape.streams * clkv__index_head_bytes(units), &bytes, error));
	clkv_status status = CLKV_OK;
	for (int l = cache->plan.general.skip; l < cache->shape.layers && status == CLKV_OK; l++) {
		const struct clkv__record record = book_record(io, l, units);
		const struct clkv__state_bytes of =
			layer_of(io, cache->index.books, io->seq->book, units, l, bytes);
		status = clkv__state_fetch(io, &of, 1, error);
		if (status == CLKV_OK)
			status = clkv__snapshot_put_record(io->out, &record, bytes, error);
	}
	clkv__free(allocator_of(io), bytes);
	return status;
}

/* A segment's index in all layers. */
static clkv_status put_segment(struct clkv__state_io *io, uint32_t i, clkv_error *error)
{
	const clkv_cache *cache = io->seq->cache;
	const struct clkv__index_segment s = segment_of(io->seq, i);
	const struct clkv__index_lists lists = clkv__index_lists(io, &s);
	size_t streams = (size_t)cache->shape.streams, head = clkv__index_head_bytes(s.stride);
	unsigned char *bytes = NULL;
	CLKV_TRY(allocate(io, streams * head, &bytes, error));
	clkv_status status = CLKV_OK;
	for (int l = cache->plan.general.skip; l < cache->shape.layers && status == CLKV_OK; l++) {
		const struct clkv__record record = index_record(io, &s, l);
		const struct clkv__state_bytes of =
			layer_of(io, cache->index.mem, word_of(io->seq, i, ABI_SEG_ADDR), s.stride, l, bytes);
		status = clkv__state_fetch(io, &of, 1, error);
		for (size_t h = 0; h < streams && lists.end < head; h++)
			memset(bytes + h * head + lists.end, 0, head - lists.end);
		if (status == CLKV_OK)
			status = clkv__snapshot_put_record(io->out, &record, bytes, error);
	}
	clkv__free(allocator_of(io), bytes);
	return status;
}

static clkv_status put_index(struct clkv__state_io *io, clkv_error *error)
{
	const clkv_seq *seq = io->seq;
	uint32_t book = seq->book == CLKV__NO_SLOT             ? CLKV__BOOK_NONE
	                : seq->book == seq->cache->index.given ? CLKV__BOOK_GIVEN
	                                                       : CLKV__BOOK_OWN;
	CLKV_TRY(put_list(io, book, error));
	if (book == CLKV__BOOK_OWN)
		CLKV_TRY(put_books(io, error));
	for (uint32_t i = 0; i < clkv__segments(seq); i++)
		if (word_of(seq, i, ABI_SEG_STRIDE) > 0)
			CLKV_TRY(put_segment(io, i, error));
	return CLKV_OK;
}

/* ---------------------------------------------------------------- in ---- */

/* Makes room for the segments when it's known how many there may be. */
static clkv_status get_segments(struct clkv__state_io *io, struct clkv__index_list *list,
                                const struct clkv__record *record, clkv_error *error)
{
	unsigned char head[LIST_BYTES], at[SEGMENT_BYTES];
	CLKV_TRY(clkv__snapshot_get(io->in, head, sizeof head, error));
	list->book = clkv__get32(head);
	list->number = clkv__get_le(head + 4, 8);
	list->n = clkv__get32(head + 12);
	if (list->n > io->head->blocks || record->bytes != LIST_BYTES + list->n * SEGMENT_BYTES)
		return clkv__snapshot_damaged(io->in, error, "it has %u segments", list->n);
	CLKV_TRY(allocate(io, list->n * sizeof *list->segment, &list->segment, error));
	for (uint32_t i = 0; i < list->n; i++) {
		CLKV_TRY(clkv__snapshot_get(io->in, at, sizeof at, error));
		list->segment[i] = (struct clkv__index_segment){clkv__get32(at), clkv__get32(at + 4),
		                                                clkv__get32(at + 8), 0};
	}
	return clkv__snapshot_get_checksum(io->in, error);
}

static clkv_status get_list(struct clkv__state_io *io, struct clkv__index_list *list,
                            clkv_error *error)
{
	struct clkv__record record = {.kind = CLKV__RECORD_SEGMENTS};
	CLKV_TRY(clkv__snapshot_get_record(io->in, &record, error));
	if (record.bytes < LIST_BYTES || record.count || record.flags)
		return clkv__snapshot_damaged(io->in, error, "it has %u bytes", record.bytes);
	CLKV_TRY(get_segments(io, list, &record, error));
	const char *text = clkv__index_list_doubt(io, list);
	return text ? clkv__snapshot_damaged(io->in, error, "%s", text) : CLKV_OK;
}

/* The codebook is named: by another one codes mean other keys. */
static clkv_status check_book(const struct clkv__state_io *io, const struct clkv__index_list *list,
                              clkv_error *error)
{
	const struct clkv__index *own = &io->seq->cache->index;
	bool given = own->given != CLKV__NO_SLOT;
	if (list->book == CLKV__BOOK_GIVEN && !given)
		CLKV_FAIL(
			error, CLKV_ERROR_UNSUPPORTED,
			"the snapshot's tokens were indexed by the codebook file %016llx; allowed: a cache "
			"with that file",
			(unsigned long long)list->number);
	if (list->book == CLKV__BOOK_GIVEN && list->number != own->number)
		CLKV_FAIL(error, CLKV_ERROR_UNSUPPORTED,
		          "the snapshot's tokens were indexed by the codebook file %016llx; allowed: the "
		          "cache's, %016llx",
		          (unsigned long long)list->number, (unsigned long long)own->number);
	if (list->book != CLKV__BOOK_GIVEN && given)
		CLKV_FAIL(error, CLKV_ERROR_UNSUPPORTED,
		          "the snapshot's tokens were indexed by a codebook of their own; allowed: a cache "
		          "without a codebook file, this one has %016llx",
		          (unsigned long long)own->number);
	return CLKV_OK;
}

static int first_layer(const struct clkv__state_io *io)
{
	return io->plan->general.skip;
}

/* A segment's index in all layers, into room that it has taken. */
static clkv_status send_segment(struct clkv__state_io *io, const struct clkv__index_segment *s,
                                uint32_t address, unsigned char *bytes, unsigned char *seen,
                                clkv_error *error)
{
	for (int l = first_layer(io); l < (int)io->head->layers; l++) {
		const struct clkv__record want = index_record(io, s, l);
		CLKV_TRY(clkv__state_get_record(io, &want, bytes, error));
		const char *wrong = clkv__index_layer_doubt(io, s, bytes, seen);
		if (wrong)
			return clkv__snapshot_damaged(io->in, error, "%s", wrong);
		const struct clkv__state_bytes to =
			layer_of(io, io->seq->cache->index.mem, address, s->stride, l, bytes);
		CLKV_TRY(clkv__state_send(io, &to, 1, error));
	}
	return CLKV_OK;
}

/* Enters the segment, whose room dropping the sequence frees. */
static clkv_status enter_segment(struct clkv__state_io *io, const struct clkv__index_segment *s,
                                 uint32_t *address, clkv_error *error)
{
	clkv_cache *cache = io->seq->cache;
	CLKV_TRY(clkv__cache_lock_idle(cache, error));
	clkv_status status =
		clkv__segment_restore(io->seq, s->stride, s->tokens, s->kept, address, error);
	pthread_mutex_unlock(&cache->mutex);
	return status;
}

static clkv_status take_segment(struct clkv__state_io *io, const struct clkv__index_segment *s,
                                clkv_error *error)
{
	size_t all = (size_t)io->head->kv_heads * clkv__index_head_bytes(s->stride);
	unsigned char *bytes = NULL;
	uint32_t address;
	CLKV_TRY(enter_segment(io, s, &address, error));
	if (s->stride == 0)
		return CLKV_OK;
	CLKV_TRY(allocate(io, all + s->tokens, &bytes, error));
	clkv_status status = send_segment(io, s, address, bytes, bytes + all, error);
	clkv__free(allocator_of(io), bytes);
	return status;
}

static clkv_status pass_segment(struct clkv__state_io *io, const struct clkv__index_segment *s,
                                clkv_error *error)
{
	for (int l = first_layer(io); l < (int)io->head->layers && s->stride > 0; l++) {
		const struct clkv__record want = index_record(io, s, l);
		CLKV_TRY(clkv__state_get_record(io, &want, NULL, error));
	}
	return CLKV_OK;
}

/* A place for a codebook of the sequence's own, which goes with it. */
static clkv_status take_book(struct clkv__state_io *io, clkv_error *error)
{
	clkv_cache *cache = io->seq->cache;
	CLKV_TRY(clkv__cache_lock_idle(cache, error));
	io->seq->book = clkv__slots_take(&cache->index.book_slots);
	pthread_mutex_unlock(&cache->mutex);
	if (io->seq->book == CLKV__NO_SLOT)
		CLKV_FAIL(error, CLKV_ERROR_INTERNAL, "more sequences than places for their codebooks");
	return CLKV_OK;
}

static clkv_status send_books(struct clkv__state_io *io, uint32_t units, unsigned char *bytes,
                              clkv_error *error)
{
	for (int l = first_layer(io); l < (int)io->head->layers; l++) {
		const struct clkv__record want = book_record(io, l, units);
		CLKV_TRY(clkv__state_get_record(io, &want, bytes, error));
		if (!clkv__halves_finite(bytes, want.bytes / 2))
			return clkv__snapshot_damaged(io->in, error, "an entry isn't finite");
		const struct clkv__state_bytes to =
			layer_of(io, io->seq->cache->index.books, io->seq->book, units, l, bytes);
		CLKV_TRY(clkv__state_send(io, &to, 1, error));
	}
	return CLKV_OK;
}

static clkv_status get_books(struct clkv__state_io *io, bool taken, clkv_error *error)
{
	uint32_t units = book_units(io);
	unsigned char *bytes = NULL;
	for (int l = first_layer(io); l < (int)io->head->layers && !taken; l++) {
		const struct clkv__record want = book_record(io, l, units);
		CLKV_TRY(clkv__state_get_record(io, &want, NULL, error));
	}
	if (!taken)
		return CLKV_OK;
	CLKV_TRY(take_book(io, error));
	CLKV_TRY(
		allocate(io, (size_t)io->head->kv_heads * clkv__index_head_bytes(units), &bytes, error));
	clkv_status status = send_books(io, units, bytes, error);
	clkv__free(allocator_of(io), bytes);
	return status;
}

static clkv_status get_all(struct clkv__state_io *io, struct clkv__index_list *list, bool taken,
                           clkv_error *error)
{
	CLKV_TRY(get_list(io, list, error));
	if (taken)
		CLKV_TRY(check_book(io, list, error));
	if (list->book == CLKV__BOOK_OWN)
		CLKV_TRY(get_books(io, taken, error));
	for (uint32_t i = 0; i < list->n; i++) {
		const struct clkv__index_segment *s = &list->segment[i];
		CLKV_TRY(taken ? take_segment(io, s, error) : pass_segment(io, s, error));
	}
	return CLKV_OK;
}

static clkv_status get_index(struct clkv__state_io *io, bool taken, clkv_error *error)
{
	struct clkv__index_list list = {.segment = NULL};
	clkv_status status = get_all(io, &list, taken, error);
	clkv__free(allocator_of(io), list.segment);
	return status;
}

const struct clkv__state_part clkv__state_index = {
	.flag = CLKV__HEAD_INDEX,
	.asked = is_asked,
	.has = has_index,
	.taken = is_taken,
	.put = put_index,
	.get = get_index,
};
