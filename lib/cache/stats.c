/* SPDX-License-Identifier: MIT */
/** \file stats.c \brief Figures of a cache. */
#include "base/error.h"
#include "base/struct_io.h"
#include "cache/demand.h"
#include "place/place.h"
#include "store/cache.h"

static uint64_t table_bytes(const clkv_cache *cache)
{
	return (uint64_t)cache->n_sequences * cache->sizes.slab_words * sizeof(uint32_t);
}

static void add_band(clkv_stats *s, clkv_cache *c)
{
	clkv__bytes_add(&s->allocated, &c->sizes.bytes);
	*(c->pool.host ? &s->used_host : &s->used_sealed) += clkv__pool_used_sealed(&c->pool);
	s->used_open += clkv__pool_used_open(&c->pool);
	s->used_tables += table_bytes(c);
	s->launches += c->meter.launches;
	s->host_ns += c->meter.host_ns;
	clkv__counters_poll(&c->counters);
	s->not_finite += c->counters.not_finite;
	s->used_index += clkv__index_used(&c->index);
	s->used_code_tables += clkv__code_tables_used(&c->code_tables);
}

clkv_status clkv_cache_stats(const clkv_cache *cache, clkv_stats *stats, clkv_error *error)
{
	clkv__error_clear(error);
	if (!cache)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT, "cache is NULL");
	clkv_cache *c = (clkv_cache *)cache; /* for the mutex alone */
	clkv_stats s = {.struct_size = sizeof s, .allocated = {.struct_size = sizeof s.allocated}};
	clkv__cache_lock(c);
	s.sequences = c->n_sequences;
	for (const clkv_seq *seq = c->sequences; seq; seq = seq->next)
		s.tokens += seq->length;
	s.steps = c->steps;
	for (clkv_cache *band = c; band; band = band->next_band)
		add_band(&s, band);
	clkv__cache_unlock(c);
	return clkv__struct_write(stats, &s, sizeof s, "clkv_stats", error);
}
