/* SPDX-License-Identifier: MIT */
/** \file snapshot_state.c \brief The kinds of what a sequence has beside its rows; a new one is a row here. */
#include "snapshot/snapshot_state.h"

#include "base/alloc.h"
#include "cache/idle.h"
#include "step/seal_select.h"

static const struct clkv__state_part *const parts[] = {
	&clkv__state_choice,
	&clkv__state_index,
	&clkv__state_queries,
};
enum { PARTS = sizeof parts / sizeof parts[0] };

uint32_t clkv__state_of(const clkv_seq *seq)
{
	uint32_t flags = 0;
	for (size_t i = 0; i < PARTS; i++)
		flags |= parts[i]->has(seq) ? parts[i]->flag : 0;
	return flags;
}

const char *clkv__state_doubt(uint32_t flags, const struct clkv__plan *plan)
{
	bool selects = clkv__selects(&plan->select) && !plan->sealing.dense;
	if (selects != ((flags & CLKV__HEAD_CHOICE) != 0))
		return "its recipe and its flags differ on selected tokens";
	for (size_t i = 0; i < PARTS; i++)
		if (flags & parts[i]->flag && !parts[i]->asked(plan))
			return "its recipe has no use for what its flags say";
	return NULL;
}

clkv_status clkv__state_put(struct clkv__state_io *io, bool before, clkv_error *error)
{
	for (size_t i = 0; i < PARTS; i++)
		if (io->head->parts & parts[i]->flag && parts[i]->before == before)
			CLKV_TRY(parts[i]->put(io, error));
	return CLKV_OK;
}

clkv_status clkv__state_get(struct clkv__state_io *io, bool before, clkv_error *error)
{
	for (size_t i = 0; i < PARTS; i++)
		if (io->head->parts & parts[i]->flag && parts[i]->before == before)
			CLKV_TRY(parts[i]->get(io, parts[i]->taken(io->seq->cache), error));
	return CLKV_OK;
}

typedef clkv_status (*move_bytes)(struct clkv__chain *chain, const struct clkv__state_bytes *bytes,
                                  clkv_error *error);

static clkv_status read_bytes(struct clkv__chain *chain, const struct clkv__state_bytes *b,
                              clkv_error *error)
{
	return clkv__chain_read(chain, b->mem, b->at, b->n, b->host, NULL, error);
}

static clkv_status write_bytes(struct clkv__chain *chain, const struct clkv__state_bytes *b,
                               clkv_error *error)
{
	return clkv__chain_write(chain, b->mem, b->at, b->n, b->host, NULL, error);
}

static clkv_status move_all(const struct clkv__state_io *io, const struct clkv__state_bytes *bytes,
                            size_t n, move_bytes move, clkv_error *error)
{
	clkv_cache *cache = io->seq->cache;
	struct clkv__chain chain = {0};
	CLKV_TRY(clkv__cache_lock_idle(cache, error));
	clkv_status status = clkv__cache_join(cache, &chain, io->queue, error);
	bool joined = status == CLKV_OK;
	if (joined)
		status = clkv__select_settle(cache, &chain, error);
	for (size_t i = 0; i < n && status == CLKV_OK; i++)
		status = move(&chain, &bytes[i], error);
	return clkv__cache_finish(cache, &chain, joined, status, error);
}

clkv_status clkv__state_fetch(const struct clkv__state_io *io,
                              const struct clkv__state_bytes *bytes, size_t n, clkv_error *error)
{
	return move_all(io, bytes, n, read_bytes, error);
}

clkv_status clkv__state_send(const struct clkv__state_io *io, const struct clkv__state_bytes *bytes,
                             size_t n, clkv_error *error)
{
	return move_all(io, bytes, n, write_bytes, error);
}

clkv_status clkv__state_get_record(const struct clkv__state_io *io, const struct clkv__record *want,
                                   void *to, clkv_error *error)
{
	struct clkv__record record = *want;
	CLKV_TRY(clkv__snapshot_get_record(io->in, &record, error));
	if (record.bytes != want->bytes || record.count != want->count || record.flags != 0)
		return clkv__snapshot_damaged(io->in, error, "it has %u bytes, %u (flags %08x)",
		                              record.bytes, record.count, record.flags);
	if (to)
		CLKV_TRY(clkv__snapshot_get(io->in, to, want->bytes, error));
	else
		CLKV_TRY(clkv__snapshot_pass(io->in, want->bytes, error));
	return clkv__snapshot_get_checksum(io->in, error);
}
