/* SPDX-License-Identifier: MIT */
/**
 * \file    reorder.c
 * \brief   Sequences take each other's contents, all at once.
 *
 * Contents that are wanted move to one of those that want them, with their slab: a swap. Those that nobody wants are let
 * go, and their slabs take what others want as well.
 */
#include "base/alloc.h"
#include "base/error.h"
#include "store/cache.h"

/* Sequences and where each takes its contents from: in the cache of one band, and the same in all. */
struct order {
	clkv_cache *cache;
	clkv_seq *const *seqs; /* as the caller knows them */
	const size_t *from;
	size_t n;
	size_t *first; /* [n] the first that wants these contents, itself if it does, or n */
	size_t *at;    /* [n] where these contents are now */
	size_t *holds; /* [n] whose contents are here now */
};

/* In the order's cache. */
static clkv_seq *seq_of(const struct order *o, size_t i)
{
	return clkv__seq_in(o->seqs[i], o->cache);
}

static clkv_status check(clkv_seq *const *seqs, const size_t *from, size_t n, clkv_error *error)
{
	if (!seqs || !from || n == 0)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT, "%s",
		          n == 0 ? "n is 0; allowed: 1 and up" : "seqs or from is NULL");
	for (size_t i = 0; i < n; i++) {
		if (!seqs[i] || !seqs[0] || seqs[i]->cache != seqs[0]->cache)
			CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT, "seqs[%zu] is %s", i,
			          seqs[i] ? "of another cache" : "NULL");
		if (from[i] >= n)
			CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT, "from[%zu] is %zu; allowed: 0 to %zu", i,
			          from[i], n - 1);
		for (size_t j = 0; j < i; j++)
			if (seqs[j] == seqs[i])
				CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT, "seqs[%zu] is seqs[%zu]", i, j);
	}
	return CLKV_OK;
}

static void plan(struct order *o)
{
	for (size_t i = 0; i < o->n; i++)
		o->first[i] = o->from[i] == i ? i : o->n;
	for (size_t i = 0; i < o->n; i++) {
		size_t *first = &o->first[o->from[i]];
		*first = *first == o->n ? i : *first;
		o->at[i] = o->holds[i] = i;
	}
}

/* Room to note what sharing changes. */
static clkv_status reserve(const struct order *o, clkv_error *error)
{
	size_t notes = 0;
	for (size_t i = 0; i < o->n; i++) {
		if (o->seqs[i]->in_step)
			CLKV_FAIL(error, CLKV_ERROR_BUSY, "seqs[%zu] is in an open step", i);
		if (o->first[o->from[i]] != i)
			notes += clkv__seq_notes(seq_of(o, o->from[i]));
	}
	return clkv__notes_reserve(o->cache, notes, error);
}

/* Contents that are wanted go to the first that wants them. */
static void move(struct order *o, size_t contents)
{
	size_t here = o->at[contents], there = o->first[contents];
	if (here == there)
		return;
	clkv__seq_swap(seq_of(o, here), seq_of(o, there));
	o->at[contents] = there;
	o->at[o->holds[there]] = here;
	o->holds[here] = o->holds[there];
	o->holds[there] = contents;
}

/* Can't fail. */
static void reorder(struct order *o)
{
	plan(o);
	for (size_t i = 0; i < o->n; i++)
		if (o->first[i] == o->n)
			clkv__seq_let_go(seq_of(o, i));
	for (size_t i = 0; i < o->n; i++)
		if (o->first[i] < o->n)
			move(o, i);
	for (size_t i = 0; i < o->n; i++) {
		size_t first = o->first[o->from[i]];
		if (first == i)
			continue;
		clkv__seq_share(seq_of(o, i), seq_of(o, first));
		clkv__rows_forget(seq_of(o, i), 0); /* its slots of rows were another's */
	}
}

/* In all bands: nothing changes before all have room. */
static clkv_status reorder_all(struct order *o, clkv_error *error)
{
	clkv_cache *first = o->cache;
	plan(o);
	for (; o->cache; o->cache = o->cache->next_band)
		CLKV_TRY(reserve(o, error));
	for (o->cache = first; o->cache; o->cache = o->cache->next_band)
		reorder(o);
	return CLKV_OK;
}

clkv_status clkv_seq_reorder(clkv_seq *const *seqs, const size_t *from, size_t n, clkv_error *error)
{
	clkv__error_clear(error);
	CLKV_TRY(check(seqs, from, n, error));
	clkv_cache *cache = seqs[0]->cache;
	const clkv_allocator *allocator = &cache->context->allocator;
	struct order o = {.cache = cache, .seqs = seqs, .from = from, .n = n};
	o.first = clkv__calloc(allocator, n, 3 * sizeof *o.first);
	if (!o.first)
		CLKV_FAIL(error, CLKV_ERROR_NO_HOST_MEMORY, "no host memory to reorder %zu sequences", n);
	o.at = o.first + n;
	o.holds = o.at + n;
	clkv__cache_lock(cache);
	clkv_status status = reorder_all(&o, error);
	clkv__cache_unlock(cache);
	clkv__free(allocator, o.first);
	return status;
}
