/* SPDX-License-Identifier: MIT */
/** \file seq_info.c \brief What a sequence holds and takes. */
#include "base/error.h"
#include "base/struct_io.h"
#include "store/cache.h"
#include "store/leaving.h"

/* What a row takes on the device and, of sealed blocks that lie there, on the host. */
static uint64_t row_bytes(const clkv_seq *seq, int layer, int stream, uint64_t *host)
{
	const clkv_cache *cache = seq->cache;
	const struct clkv__tables *t = &cache->tables;
	uint32_t row = clkv__seq_row(seq, layer, stream);
	uint64_t sealed = clkv__tables_get(t, row + ABI_ROW_SEALED), half = 0, units = 0;
	for (uint32_t i = 0; i < sealed; i++) {
		uint32_t entry = row + ABI_ROW_ENTRY(i);
		if (clkv__tables_get(t, entry + ABI_ENTRY_FLAGS) & ABI_FLAG_OPEN)
			units += cache->sizes.half_units;
		else
			units += clkv__sealed_units(&cache->pool, layer,
			                            clkv__tables_get(t, entry + ABI_ENTRY_ADDR));
	}
	for (uint32_t j = 0; j < clkv__blocks_of(cache, seq->length); j++)
		half += clkv__tables_get(t, row + ABI_ROW_HALF(t->cap, j)) != CLKV__NO_SLOT;
	if (cache->pool.host) {
		*host += units * ABI_UNIT;
		units = 0;
	}
	return units * ABI_UNIT + sealed * 4 * ABI_ENTRY_WORDS +
	       half * ((uint64_t)cache->sizes.half_units * ABI_UNIT + 4) + 4 * ABI_ROW_HEAD;
}

/* What one band adds. Of bands that seal, the one that does so next speaks for all. */
static void add_band(const clkv_seq *seq, clkv_seq_info *i)
{
	const clkv_cache *cache = seq->cache;
	const struct clkv__filling filling = clkv__filling_of(seq);
	uint32_t seals_at, sealed = clkv__seq_sealed(seq);
	clkv_waits waits = clkv__leaving_waits(&cache->plan, &cache->sizes, &filling, &seals_at);
	if (i->waits == CLKV_WAITS_NEVER ||
	    (seals_at > 0 && (i->seals_at == 0 || seals_at < i->seals_at))) {
		i->waits = waits;
		i->seals_at = seals_at;
	}
	i->sealed = sealed > i->sealed ? sealed : i->sealed;
	i->bytes += clkv__segments_bytes(seq);
	for (int l = 0; l < cache->shape.layers; l++)
		for (int s = 0; s < cache->shape.streams; s++)
			i->bytes += row_bytes(seq, l, s, &i->host_bytes);
}

clkv_status clkv_seq_get_info(const clkv_seq *seq, clkv_seq_info *info, clkv_error *error)
{
	clkv__error_clear(error);
	if (!seq)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT, "seq is NULL");
	clkv_cache *cache = seq->cache;
	clkv_seq_info i = {.struct_size = sizeof i, .waits = CLKV_WAITS_NEVER};
	clkv__cache_lock(cache);
	i.length = seq->length;
	i.min_length = clkv__seq_least(seq);
	for (; seq; seq = seq->next_band)
		add_band(seq, &i);
	clkv__cache_unlock(cache);
	return clkv__struct_write(info, &i, sizeof i, "clkv_seq_info", error);
}
