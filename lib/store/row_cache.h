/* SPDX-License-Identifier: MIT */
/**
 * \file    row_cache.h
 * \brief   Which recalled tokens the device keeps, by head: slots of rows, given up by the longest unused first.
 *
 * A head here is one KV head of one layer of one sequence. Its slots are in a ring by their last use, exactly: hits of a
 * list count before its misses, each in the list's order. A slot that holds nothing is older than all that do.
 */
#ifndef CLKV__ROW_CACHE_H
#define CLKV__ROW_CACHE_H

#include <clkv.h>
#include <stdint.h>

struct clkv__row_slot {
	uint32_t ordinal;      /**< of the token; UINT32_MAX: none */
	uint32_t newer, older; /**< slots; a ring */
	uint32_t next;         /**< with the same bucket, or UINT32_MAX */
};

struct clkv__row_cache {
	uint32_t heads, slots, buckets; /**< slots and buckets of one head; buckets is a power of two */
	uint32_t *newest;               /**< [heads] */
	uint32_t *first;                /**< [heads][buckets] slots, or UINT32_MAX */
	struct clkv__row_slot *slot;    /**< [heads][slots] */
};

/** Host bytes of it, and the making of it: empty. Errors: NO_HOST_MEMORY. */
uint64_t clkv__row_cache_bytes(uint64_t heads, uint32_t slots);
clkv_status clkv__row_cache_init(struct clkv__row_cache *cache, const clkv_allocator *allocator,
                                 uint32_t heads, uint32_t slots, clkv_error *error);
void clkv__row_cache_free(struct clkv__row_cache *cache, const clkv_allocator *allocator);

/** The slot of a head that holds a token, or UINT32_MAX; use makes it the newest. */
uint32_t clkv__row_cache_find(const struct clkv__row_cache *cache, uint32_t head, uint32_t ordinal);
uint32_t clkv__row_cache_use(struct clkv__row_cache *cache, uint32_t head, uint32_t ordinal);

/** The slot unused for longest becomes a token's that has none, and the newest. */
uint32_t clkv__row_cache_take(struct clkv__row_cache *cache, uint32_t head, uint32_t ordinal);

/** Empties the slots of tokens with this ordinal or a larger one. */
void clkv__row_cache_forget(struct clkv__row_cache *cache, uint32_t head, uint32_t from);

/** The head of rows that a sequence's (layer, KV head) is, and a slot's number among those of the layer. */
uint32_t clkv__rows_head(const clkv_seq *seq, int layer, int stream);
uint32_t clkv__rows_slot(const clkv_seq *seq, int stream, uint32_t slot);

/** Slots of a sequence no longer hold tokens from this ordinal on. */
void clkv__rows_forget(clkv_seq *seq, uint32_t ordinal);

#endif
