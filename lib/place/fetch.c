/* SPDX-License-Identifier: MIT */
/** \file fetch.c \brief Lists of ordinals become lists of slots; what slots lack is gathered from pages. */
#include "place/fetch.h"

#include "base/error.h"
#include "place/place.h"
#include "store/sizes_place.h"

#include <string.h>

uint32_t *clkv__place_list(const clkv_cache *cache, uint32_t i, int stream)
{
	size_t streams = (size_t)cache->shape.streams;
	return cache->place->lists + (i * streams + (size_t)stream) * (1 + (size_t)cache->sizes.listed);
}

static size_t list_bytes(const clkv_cache *cache, const struct clkv__ask_list *list)
{
	return (size_t)list->n * (size_t)cache->shape.streams * (1 + (size_t)cache->sizes.listed) *
	       sizeof(uint32_t);
}

/* What the host will read by: nothing outside the sequence's entries. */
static clkv_status check_list(const clkv_seq *seq, int layer, int stream, const uint32_t *list,
                              clkv_error *error)
{
	const clkv_cache *cache = seq->cache;
	uint32_t row = clkv__seq_row(seq, layer, stream), most = cache->sizes.listed;
	uint32_t end = clkv__tables_get(&cache->tables, row + ABI_ROW_SEALED) *
	               (uint32_t)cache->plan.general.block;
	bool ok = list[0] <= most;
	for (uint32_t i = 1; ok && i <= list[0]; i++)
		ok = list[i] < end;
	if (!ok)
		CLKV_FAIL(error, CLKV_ERROR_INTERNAL,
		          "layer %d, KV head %d: a list of recalled tokens (%u of at most %u) names one "
		          "that isn't there",
		          layer, stream, list[0], most);
	return CLKV_OK;
}

clkv_status clkv__place_lists(clkv_cache *cache, struct clkv__chain *chain,
                              const struct clkv__ask_list *list, int layer, clkv_error *error)
{
	/* Blocks: behind it all that the chain had before is done, so that host buffers of earlier writes are free. */
	CLKV_TRY(clkv__chain_read_now(chain, cache->index.lists, 0, list_bytes(cache, list),
	                              cache->place->lists, error));
	for (uint32_t i = 0; i < list->n; i++)
		for (int s = 0; s < cache->shape.streams; s++)
			CLKV_TRY(check_list(list->asks[i].seq, layer, s, clkv__place_list(cache, i, s), error));
	return clkv__place_wait(cache, error);
}

/* A row of K and of V behind the number of their slot: cl/place/place_rows.cl reads it. */
static void gather(const clkv_seq *seq, int layer, int stream, uint32_t ordinal, uint32_t slot,
                   unsigned char *record)
{
	const clkv_cache *cache = seq->cache;
	size_t dk = 2 * (size_t)cache->shape.dk, dv = 2 * (size_t)cache->shape.dv;
	size_t bt = (size_t)cache->plan.general.block, t = ordinal % bt;
	const unsigned char *page = clkv__place_page(seq, layer, stream, ordinal / (uint32_t)bt);
	const uint32_t number = clkv__rows_slot(seq, stream, slot);
	memcpy(record, &number, sizeof number);
	memcpy(record + 16, page + t * dk, dk);
	memcpy(record + 16 + dk, page + bt * dk + t * dv, dv);
}

/* One head's list: first the tokens that it finds become the newest, then the others take the oldest slots, which none
 * of the list are, as there are as many slots as a list is long. */
static void fetch_head(const clkv_seq *seq, int layer, int stream, uint32_t *list,
                       uint32_t *n_records, struct clkv__moved *moved)
{
	clkv_cache *cache = seq->cache;
	struct clkv__row_cache *rows = &cache->rows;
	uint32_t head = clkv__rows_head(seq, layer, stream), n = list[0];
	size_t bytes = clkv__record_bytes(cache->shape.dk, cache->shape.dv);
	for (uint32_t i = 1; i <= n; i++)
		moved->found += clkv__row_cache_use(rows, head, list[i]) != UINT32_MAX;
	for (uint32_t i = 1; i <= n; i++) {
		uint32_t slot = clkv__row_cache_find(rows, head, list[i]);
		if (slot == UINT32_MAX) {
			slot = clkv__row_cache_take(rows, head, list[i]);
			gather(seq, layer, stream, list[i], slot, cache->place->records + *n_records * bytes);
			*n_records += 1;
		}
		list[i] = clkv__rows_slot(seq, stream, slot);
	}
	moved->asked += n;
}

clkv_status clkv__place_fetch(clkv_cache *cache, struct clkv__chain *chain,
                              const struct clkv__ask_list *list, int layer, uint32_t *n_records,
                              clkv_error *error)
{
	size_t bytes = clkv__record_bytes(cache->shape.dk, cache->shape.dv);
	struct clkv__moved moved = {0};
	*n_records = 0;
	for (uint32_t i = 0; i < list->n; i++)
		for (int s = 0; s < cache->shape.streams; s++)
			fetch_head(list->asks[i].seq, layer, s, clkv__place_list(cache, i, s), n_records,
			           &moved);
	if (*n_records > 0)
		CLKV_TRY(clkv__chain_write(chain, cache->place->arrived, 0, *n_records * bytes,
		                           cache->place->records, NULL, error));
	CLKV_TRY(clkv__chain_write(chain, cache->index.lists, 0, list_bytes(cache, list),
	                           cache->place->lists, NULL, error));
	moved.to_device = *n_records * (uint64_t)(bytes - 16);
	clkv__place_count(cache, &moved);
	return CLKV_OK;
}

void clkv__place_unfetch(clkv_cache *cache, const struct clkv__ask_list *list, int layer)
{
	for (uint32_t i = 0; i < list->n; i++)
		for (int s = 0; s < cache->shape.streams; s++)
			clkv__row_cache_forget(&cache->rows, clkv__rows_head(list->asks[i].seq, layer, s), 0);
}

void clkv__place_count(clkv_cache *cache, const struct clkv__moved *more)
{
	struct clkv__moved *all = &cache->place->moved;
	pthread_mutex_lock(&cache->mutex);
	all->to_host += more->to_host;
	all->to_device += more->to_device;
	all->asked += more->asked;
	all->found += more->found;
	pthread_mutex_unlock(&cache->mutex);
}
