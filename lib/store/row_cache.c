/* SPDX-License-Identifier: MIT */
/** \file row_cache.c \brief Slots by ordinal in hashed chains, by last use in a ring. */
#include "store/row_cache.h"

#include "base/alloc.h"
#include "base/error.h"
#include "store/cache.h"

#include <string.h>

enum { NONE_BYTE = 0xff };
#define NONE UINT32_MAX

/* Chains of one slot on average, or fewer: ordinals that follow each other meet in no bucket. */
static uint32_t buckets_of(uint32_t slots)
{
	uint32_t n = 1;
	while (n < slots)
		n *= 2;
	return n;
}

uint64_t clkv__row_cache_bytes(uint64_t heads, uint32_t slots)
{
	return heads * (sizeof(uint32_t) * (1 + (uint64_t)buckets_of(slots)) +
	                sizeof(struct clkv__row_slot) * slots);
}

static void empty(struct clkv__row_cache *c, uint32_t head)
{
	struct clkv__row_slot *slot = c->slot + (size_t)head * c->slots;
	for (uint32_t i = 0; i < c->slots; i++)
		slot[i] = (struct clkv__row_slot){
			.ordinal = NONE,
			.newer = i + 1 < c->slots ? i + 1 : 0,
			.older = i > 0 ? i - 1 : c->slots - 1,
			.next = NONE,
		};
	memset(c->first + (size_t)head * c->buckets, NONE_BYTE, c->buckets * sizeof *c->first);
	c->newest[head] = c->slots - 1; /* slot 0 is the oldest: slots are taken in their order */
}

clkv_status clkv__row_cache_init(struct clkv__row_cache *cache, const clkv_allocator *allocator,
                                 uint32_t heads, uint32_t slots, clkv_error *error)
{
	*cache = (struct clkv__row_cache){.heads = heads, .slots = slots, .buckets = buckets_of(slots)};
	cache->newest = clkv__calloc(allocator, heads, sizeof *cache->newest);
	cache->first = clkv__calloc(allocator, heads, cache->buckets * sizeof *cache->first);
	cache->slot = clkv__calloc(allocator, heads, slots * sizeof *cache->slot);
	if (!cache->newest || !cache->first || !cache->slot) {
		clkv__row_cache_free(cache, allocator);
		CLKV_FAIL(error, CLKV_ERROR_NO_HOST_MEMORY,
		          "no host memory for the %llu bytes that say which rows the device keeps",
		          (unsigned long long)clkv__row_cache_bytes(heads, slots));
	}
	for (uint32_t i = 0; i < heads; i++)
		empty(cache, i);
	return CLKV_OK;
}

void clkv__row_cache_free(struct clkv__row_cache *cache, const clkv_allocator *allocator)
{
	clkv__free(allocator, cache->newest);
	clkv__free(allocator, cache->first);
	clkv__free(allocator, cache->slot);
	*cache = (struct clkv__row_cache){0};
}

static struct clkv__row_slot *slots_of(const struct clkv__row_cache *c, uint32_t head)
{
	return c->slot + (size_t)head * c->slots;
}

static uint32_t *bucket_of(const struct clkv__row_cache *c, uint32_t head, uint32_t ordinal)
{
	return &c->first[(size_t)head * c->buckets + (ordinal & (c->buckets - 1))];
}

uint32_t clkv__row_cache_find(const struct clkv__row_cache *cache, uint32_t head, uint32_t ordinal)
{
	const struct clkv__row_slot *slot = slots_of(cache, head);
	uint32_t i = *bucket_of(cache, head, ordinal);
	while (i != NONE && slot[i].ordinal != ordinal)
		i = slot[i].next;
	return i;
}

/* Takes a slot out of the ring, of which it isn't the newest. */
static void take_out(struct clkv__row_slot *slot, uint32_t i)
{
	slot[slot[i].newer].older = slot[i].older;
	slot[slot[i].older].newer = slot[i].newer;
}

/* Puts it between the newest and the oldest: it is the oldest then, or the newest as soon as it is called so. */
static void put_in(struct clkv__row_slot *slot, uint32_t i, uint32_t newest)
{
	uint32_t oldest = slot[newest].newer;
	slot[i].older = newest;
	slot[i].newer = oldest;
	slot[newest].newer = i;
	slot[oldest].older = i;
}

static void make_newest(struct clkv__row_cache *c, uint32_t head, uint32_t i)
{
	struct clkv__row_slot *slot = slots_of(c, head);
	if (i != c->newest[head]) {
		take_out(slot, i);
		put_in(slot, i, c->newest[head]);
		c->newest[head] = i;
	}
}

uint32_t clkv__row_cache_use(struct clkv__row_cache *cache, uint32_t head, uint32_t ordinal)
{
	uint32_t i = clkv__row_cache_find(cache, head, ordinal);
	if (i != NONE)
		make_newest(cache, head, i);
	return i;
}

/* The slot holds nothing any longer. */
static void drop(struct clkv__row_cache *c, uint32_t head, uint32_t i)
{
	struct clkv__row_slot *slot = slots_of(c, head);
	uint32_t *at = bucket_of(c, head, slot[i].ordinal);
	while (*at != i)
		at = &slot[*at].next;
	*at = slot[i].next;
	slot[i].next = NONE;
	slot[i].ordinal = NONE;
}

uint32_t clkv__row_cache_take(struct clkv__row_cache *cache, uint32_t head, uint32_t ordinal)
{
	struct clkv__row_slot *slot = slots_of(cache, head);
	uint32_t i = slot[cache->newest[head]].newer, *bucket = bucket_of(cache, head, ordinal);
	if (slot[i].ordinal != NONE)
		drop(cache, head, i);
	slot[i].ordinal = ordinal;
	slot[i].next = *bucket;
	*bucket = i;
	cache->newest[head] = i; /* the ring's oldest, by turning it */
	return i;
}

void clkv__row_cache_forget(struct clkv__row_cache *cache, uint32_t head, uint32_t from)
{
	struct clkv__row_slot *slot = slots_of(cache, head);
	if (from == 0) {
		empty(cache, head);
		return;
	}
	for (uint32_t i = 0; i < cache->slots; i++) {
		if (slot[i].ordinal == NONE || slot[i].ordinal < from)
			continue;
		drop(cache, head, i);
		if (i == cache->newest[head]) {
			cache->newest[head] = slot[i].older; /* the ring turns back: it is the oldest */
			continue;
		}
		take_out(slot, i);
		put_in(slot, i, cache->newest[head]);
	}
}

/* A sequence's number: that of its slab. */
static uint32_t number_of(const clkv_seq *seq)
{
	return seq->slab / seq->cache->sizes.slab_words;
}

uint32_t clkv__rows_head(const clkv_seq *seq, int layer, int stream)
{
	const clkv_cache *cache = seq->cache;
	uint32_t skip = (uint32_t)cache->plan.general.skip, layers = (uint32_t)cache->shape.layers;
	return (number_of(seq) * (layers - skip) + (uint32_t)layer - skip) *
	           (uint32_t)cache->shape.streams +
	       (uint32_t)stream;
}

uint32_t clkv__rows_slot(const clkv_seq *seq, int stream, uint32_t slot)
{
	const clkv_cache *cache = seq->cache;
	return (number_of(seq) * (uint32_t)cache->shape.streams + (uint32_t)stream) *
	           cache->sizes.row_slots +
	       slot;
}

void clkv__rows_forget(clkv_seq *seq, uint32_t ordinal)
{
	clkv_cache *cache = seq->cache;
	for (int l = cache->plan.general.skip; cache->rows.slots > 0 && l < cache->shape.layers; l++)
		for (int s = 0; s < cache->shape.streams; s++)
			clkv__row_cache_forget(&cache->rows, clkv__rows_head(seq, l, s), ordinal);
}
