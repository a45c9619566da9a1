/* SPDX-License-Identifier: MIT */
/** \file read_placed.c \brief As many pages at a time as the landing zone takes go back to the device, and are read there. */
#include "cache/read_placed.h"

#include "attend/launch.h"
#include "base/error.h"
#include "place/place.h"

/* A range of positions: in half, or in entries [entry, entry + n) of which the landing zone takes all. */
struct piece {
	uint32_t end, entry, n;
};

static uint32_t entry_word(const clkv_seq *seq, int layer, uint32_t i, uint32_t word)
{
	const clkv_cache *cache = seq->cache;
	return clkv__tables_get(&cache->tables, clkv__seq_row(seq, layer, 0) + ABI_ROW_ENTRY(i) + word);
}

static struct piece piece_at(const clkv_seq *seq, int layer, uint32_t from, uint32_t end)
{
	const clkv_cache *cache = seq->cache;
	uint32_t sinks = clkv__sinks(cache, seq->length), tail = seq->tail > sinks ? seq->tail : sinks;
	if (clkv__layer_is_dense(&cache->plan, layer) || from >= tail)
		return (struct piece){end, 0, 0};
	if (from < sinks)
		return (struct piece){end < sinks ? end : sinks, 0, 0};
	struct piece p = {from, 0, 0};
	while (entry_word(seq, layer, p.entry, ABI_ENTRY_POS) +
	           entry_word(seq, layer, p.entry, ABI_ENTRY_COUNT) <=
	       from)
		p.entry++;
	end = end < tail ? end : tail;
	for (; p.n < cache->sizes.landing && p.end < end; p.n++)
		p.end = entry_word(seq, layer, p.entry + p.n, ABI_ENTRY_POS) +
		        entry_word(seq, layer, p.entry + p.n, ABI_ENTRY_COUNT);
	p.end = p.end < end ? p.end : end;
	return p;
}

/* The tensor's rows from number `first` on. */
static const clkv_tensor *rows_from(const clkv_tensor *t, uint32_t first, clkv_tensor *out)
{
	if (!t)
		return NULL;
	*out = *t;
	out->offset += first * t->token_stride;
	return out;
}

clkv_status clkv__place_read(clkv_seq *seq, struct clkv__chain *chain, int layer, uint32_t from,
                             uint32_t n, const clkv_tensor *k, const clkv_tensor *v,
                             clkv_error *error)
{
	struct piece p;
	CLKV_TRY(clkv__place_wait(seq->cache, error));
	for (uint32_t at = from; at < from + n; at = p.end) {
		clkv_tensor kt, vt;
		const clkv_tensor *ks = rows_from(k, at - from, &kt), *vs = rows_from(v, at - from, &vt);
		p = piece_at(seq, layer, at, from + n);
		CLKV_TRY(clkv__place_return(seq, chain, layer, p.entry, p.n, error));
		CLKV_TRY(
			clkv__launch_read_landed(seq, chain, layer, at, p.end - at, p.entry, ks, vs, error));
	}
	return CLKV_OK;
}
