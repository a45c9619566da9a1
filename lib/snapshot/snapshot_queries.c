/* SPDX-License-Identifier: MIT */
/** \file snapshot_queries.c \brief The newest queries of a sequence, where stages judge by them: a record for each layer that
 *  seals. */
#include "snapshot/snapshot_state.h"

#include "base/alloc.h"
#include "base/halves.h"
#include "cache/idle.h"

#include <math.h>

/* As clkv_geometry has them. */
enum { MOST_HEADS = 65536 };

/* A layer's queries: tags uint [rows], halves [rows][heads][dk], log-sum-exps float [rows][heads] (cl/base/abi.clh). */
struct ring {
	size_t rows, heads, dk, layers;
};

static struct ring ring_of(const struct clkv__plan *plan, size_t heads,
                           const struct clkv__snapshot_head *head)
{
	return (struct ring){(size_t)clkv__plan_observe(plan), heads, head->dk, head->layers};
}

static size_t tag_bytes(const struct ring *r)
{
	return r->rows * 4;
}

static size_t query_bytes(const struct ring *r)
{
	return r->rows * r->heads * r->dk * 2;
}

static size_t lse_bytes(const struct ring *r)
{
	return r->rows * r->heads * 4;
}

static size_t all_bytes(const struct ring *r)
{
	return tag_bytes(r) + query_bytes(r) + lse_bytes(r);
}

static bool is_asked(const struct clkv__plan *plan)
{
	return clkv__plan_observe(plan) > 0;
}

static bool is_taken(const clkv_cache *cache)
{
	return cache->sizes.seen_units > 0 && cache->use == CLKV__CACHE_ATTENDS;
}

static bool has_queries(const clkv_seq *seq)
{
	return is_taken(seq->cache) && seq->seen != CLKV__NO_SLOT && seq->length > 0;
}

/* Where a layer's lie on the device, and in a record. */
static void places_of(const clkv_seq *seq, const struct ring *r, size_t layer, unsigned char *at,
                      struct clkv__state_bytes bytes[3])
{
	const cl_mem mem = seq->cache->seen.mem;
	size_t place = (size_t)seq->seen * ABI_UNIT, tags = tag_bytes(r), queries = query_bytes(r);
	bytes[0] = (struct clkv__state_bytes){mem, place + layer * tags, tags, at};
	bytes[1] = (struct clkv__state_bytes){mem, place + r->layers * tags + layer * queries, queries,
	                                      at + tags};
	bytes[2] = (struct clkv__state_bytes){
		mem, place + ABI_SEEN_LSE(r->layers, r->rows, r->heads, r->dk) + layer * lse_bytes(r),
		lse_bytes(r), at + tags + queries};
}

/* Rows of no token of the sequence become zeros: what lies there is nobody's. */
static void tidy(const struct ring *r, uint32_t length, unsigned char *at)
{
	unsigned char *queries = at + tag_bytes(r), *lse = queries + query_bytes(r);
	size_t query = r->heads * r->dk * 2, sums = r->heads * 4;
	for (size_t i = 0; i < r->rows; i++) {
		uint32_t tag = clkv__get32(at + 4 * i);
		if (tag > 0 && tag <= length)
			continue;
		clkv__put32(at + 4 * i, 0);
		memset(queries + i * query, 0, query);
		memset(lse + i * sums, 0, sums);
	}
}

static const char *check(const struct ring *r, uint32_t length, const unsigned char *at)
{
	const unsigned char *queries = at + tag_bytes(r), *lse = queries + query_bytes(r);
	for (size_t i = 0; i < r->rows; i++) {
		uint32_t tag = clkv__get32(at + 4 * i);
		if (tag > length || (tag > 0 && (tag - 1) % r->rows != i))
			return "a query is of no token that could lie there";
	}
	if (!clkv__halves_finite(queries, query_bytes(r) / 2))
		return "a query isn't finite";
	for (size_t i = 0; i < r->rows * r->heads; i++)
		if (!isfinite(clkv__get_float(lse + 4 * i)))
			return "a log-sum-exp isn't finite";
	return NULL;
}

static clkv_status get_memory(const struct clkv__state_io *io, const struct ring *r,
                              unsigned char **bytes, clkv_error *error)
{
	*bytes = clkv__calloc(&io->seq->cache->context->allocator, all_bytes(r), 1);
	if (!*bytes)
		CLKV_FAIL(error, CLKV_ERROR_NO_HOST_MEMORY, "no host memory for queries of %zu bytes",
		          all_bytes(r));
	return CLKV_OK;
}

static struct clkv__record record_of(const struct ring *r, int layer)
{
	return (struct clkv__record){.kind = CLKV__RECORD_QUERIES,
	                             .layer = (uint32_t)layer,
	                             .count = (uint32_t)r->heads,
	                             .bytes = (uint32_t)all_bytes(r)};
}

static clkv_status put_layer(struct clkv__state_io *io, const struct ring *r, int layer,
                             unsigned char *at, clkv_error *error)
{
	const struct clkv__record record = record_of(r, layer);
	struct clkv__state_bytes bytes[3];
	places_of(io->seq, r, (size_t)layer, at, bytes);
	CLKV_TRY(clkv__state_fetch(io, bytes, 3, error));
	tidy(r, io->head->length, at);
	return clkv__snapshot_put_record(io->out, &record, at, error);
}

static clkv_status put_queries(struct clkv__state_io *io, clkv_error *error)
{
	const clkv_cache *cache = io->seq->cache;
	const struct ring r = ring_of(&cache->plan, (size_t)cache->shape.q_heads, io->head);
	unsigned char *at = NULL;
	CLKV_TRY(get_memory(io, &r, &at, error));
	clkv_status status = CLKV_OK;
	for (int l = cache->plan.general.skip; l < cache->shape.layers && status == CLKV_OK; l++)
		status = put_layer(io, &r, l, at, error);
	clkv__free(&cache->context->allocator, at);
	return status;
}

/* ---------------------------------------------------------------- in ---- */

/* A place of the sequence's own, with queries of no token. */
static clkv_status take_place(const struct clkv__state_io *io, clkv_error *error)
{
	clkv_cache *cache = io->seq->cache;
	struct clkv__chain chain = {0};
	CLKV_TRY(clkv__cache_lock_idle(cache, error));
	clkv_status status = clkv__cache_join(cache, &chain, io->queue, error);
	bool joined = status == CLKV_OK;
	if (joined)
		status = clkv__seen_own(&cache->seen, &chain, &io->seq->seen, error);
	return clkv__cache_finish(cache, &chain, joined, status, error);
}

/* A record's words: how many heads ask it says itself. */
static clkv_status get_words(struct clkv__state_io *io, int layer, struct ring *r,
                             clkv_error *error)
{
	struct clkv__record record = {.kind = CLKV__RECORD_QUERIES, .layer = (uint32_t)layer};
	CLKV_TRY(clkv__snapshot_get_record(io->in, &record, error));
	*r = ring_of(io->plan, record.count, io->head);
	if (record.count == 0 || record.count > MOST_HEADS || record.flags != 0 ||
	    record.bytes != all_bytes(r))
		return clkv__snapshot_damaged(io->in, error, "it has %u bytes, of %u heads", record.bytes,
		                              record.count);
	return CLKV_OK;
}

static clkv_status pass_layer(struct clkv__state_io *io, int layer, clkv_error *error)
{
	struct ring r;
	CLKV_TRY(get_words(io, layer, &r, error));
	CLKV_TRY(clkv__snapshot_pass(io->in, all_bytes(&r), error));
	return clkv__snapshot_get_checksum(io->in, error);
}

/* at: room for a layer of the cache's. */
static clkv_status get_layer(struct clkv__state_io *io, int layer, unsigned char *at,
                             clkv_error *error)
{
	struct ring r;
	struct clkv__state_bytes bytes[3];
	CLKV_TRY(get_words(io, layer, &r, error));
	if (r.heads != (size_t)io->seq->cache->shape.q_heads)
		CLKV_FAIL(
			error, CLKV_ERROR_UNSUPPORTED,
			"the snapshot's newest queries are of %zu heads; allowed: as many as the cache has, "
			"%d",
			r.heads, io->seq->cache->shape.q_heads);
	CLKV_TRY(clkv__snapshot_get(io->in, at, all_bytes(&r), error));
	CLKV_TRY(clkv__snapshot_get_checksum(io->in, error));
	const char *wrong = check(&r, io->head->length, at);
	if (wrong)
		return clkv__snapshot_damaged(io->in, error, "%s", wrong);
	tidy(&r, io->head->length, at);
	places_of(io->seq, &r, (size_t)layer, at, bytes);
	return clkv__state_send(io, bytes, 3, error);
}

static clkv_status get_queries(struct clkv__state_io *io, bool taken, clkv_error *error)
{
	const clkv_cache *cache = io->seq->cache;
	const struct ring r = ring_of(&cache->plan, (size_t)cache->shape.q_heads, io->head);
	int first = io->plan->general.skip, layers = cache->shape.layers;
	unsigned char *at = NULL;
	if (!taken) {
		for (int l = first; l < layers; l++)
			CLKV_TRY(pass_layer(io, l, error));
		return CLKV_OK;
	}
	CLKV_TRY(get_memory(io, &r, &at, error));
	clkv_status status = take_place(io, error);
	for (int l = first; l < layers && status == CLKV_OK; l++)
		status = get_layer(io, l, at, error);
	clkv__free(&cache->context->allocator, at);
	if (status == CLKV_OK)
		io->seq->attended = io->head->attended ? io->head->length : 0;
	return status;
}

const struct clkv__state_part clkv__state_queries = {
	.flag = CLKV__HEAD_QUERIES,
	.asked = is_asked,
	.has = has_queries,
	.taken = is_taken,
	.put = put_queries,
	.get = get_queries,
};
