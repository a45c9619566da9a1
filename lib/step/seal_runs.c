/* SPDX-License-Identifier: MIT */
/**
 * \file    seal_runs.c
 * \brief   How alike neighbours must be to become one slot: each head's least cosine.
 *
 * Source: KVMerger, arXiv 2407.08454. A prompt's end finds it by the budget; tokens that follow become runs by the same one,
 * in slots beside those of the prompt. Until a prompt has needed one, each commit finds its own.
 */
#include "step/seal_runs.h"

#include "attend/launch_choice.h"
#include "base/alloc.h"
#include "base/error.h"
#include "select/budget.h"

#include <string.h>

/* What runs of a commit are made from. */
struct runs {
	const struct clkv__leaving *leaving;
	const struct clkv__quota *quota;
	const uint32_t *quotas; /* [layers][streams] what each head keeps of a prompt */
	bool prompt;            /* ends, and nothing was kept before: what is found stays */
};

static struct runs runs_of(const struct clkv__work *w)
{
	return (struct runs){&w->leaving, &w->quota, w->quotas, w->first && w->ends};
}

static uint32_t bits_of(float x)
{
	uint32_t bits;
	memcpy(&bits, &x, sizeof bits);
	return bits;
}

static float float_of(uint32_t bits)
{
	float x;
	memcpy(&x, &bits, sizeof x);
	return x;
}

/* Counts the slots for the tokens that leave the window. A prompt's end has shared them out. Later it is the larger of two
 * numbers: as large a part of these tokens as the budget is of all tokens, or what the head hasn't used of its budget. */
static uint32_t slots_of(const struct runs *r, uint32_t head)
{
	const struct clkv__leaving *l = r->leaving;
	uint32_t behind = l->end - r->quota->window - l->sinks, live = l->seq->kept.live[head];
	uint32_t part = (uint32_t)((uint64_t)l->n * r->quota->kept / behind);
	uint32_t left = r->quota->kept > live ? r->quota->kept - live : 0;
	uint32_t slots = r->prompt ? r->quotas[head] : part > left ? part : left;
	return slots < l->n ? slots : l->n;
}

/* The least cosine that is known, or 0. */
static float known(const clkv_cache *cache, const struct runs *r, uint32_t head)
{
	float given = cache->plan.select.similar;
	return given > 0 ? given : r->prompt ? 0 : r->leaving->seq->kept.similar[head];
}

static uint32_t first_head(const clkv_cache *cache)
{
	return (uint32_t)(cache->plan.general.skip * cache->shape.streams);
}

static uint32_t n_heads(const clkv_cache *cache)
{
	return (uint32_t)(cache->shape.layers * cache->shape.streams);
}

static clkv_status write_bounds(const clkv_cache *cache, struct clkv__chain *chain,
                                const uint32_t *bounds, clkv_error *error)
{
	return clkv__chain_write_now(chain, cache->selection.quotas, 0,
	                             2 * n_heads(cache) * sizeof *bounds, bounds, error);
}

/* Room for a head's cosines, and behind them which tokens are alone. */
static clkv_status find_bound(const clkv_cache *cache, struct clkv__chain *chain,
                              const struct runs *r, uint32_t head, float *cosines, uint32_t *bound,
                              clkv_error *error)
{
	size_t n = r->leaving->n, places = cache->sizes.places;
	unsigned char *alone = (unsigned char *)(cosines + n);
	float similar;
	CLKV_TRY(clkv__chain_read_now(chain, cache->selection.work, 2 * head * places * sizeof *cosines,
	                              n * sizeof *cosines, cosines, error));
	CLKV_TRY(clkv__chain_read_now(chain, cache->selection.keep, head * places, n, alone, error));
	for (size_t i = 0; i < n; i++)
		alone[i] = alone[i] == ABI_SLOT_KEPT;
	CLKV_TRY(clkv__budget_similar(&cache->context->allocator, cosines, alone, n, slots_of(r, head),
	                              &similar, error));
	*bound = bits_of(similar);
	return CLKV_OK;
}

/* By the budget, of heads that have none yet. */
static clkv_status find_bounds(const clkv_cache *cache, struct clkv__chain *chain,
                               const struct runs *r, uint32_t *bounds, clkv_error *error)
{
	const clkv_allocator *a = &cache->context->allocator;
	clkv_status status = CLKV_OK;
	float *cosines = clkv__calloc(a, r->leaving->n, sizeof *cosines + 1);
	if (!cosines)
		CLKV_FAIL(error, CLKV_ERROR_NO_HOST_MEMORY, "no host memory for %u cosines", r->leaving->n);
	for (uint32_t h = first_head(cache); h < n_heads(cache) && status == CLKV_OK; h++)
		if (!(float_of(bounds[2 * h + 1]) > 0))
			status = find_bound(cache, chain, r, h, cosines, &bounds[2 * h + 1], error);
	clkv__free(a, cosines);
	return status == CLKV_OK ? write_bounds(cache, chain, bounds, error) : status;
}

/* Bounds by what is known, and else by the budget; cosines are in the work buffer then. */
static clkv_status make_bounds(struct clkv__work *w, const struct runs *runs, clkv_error *error)
{
	const clkv_cache *cache = w->cache;
	const struct clkv__select *s = &cache->plan.select;
	uint32_t *bounds = w->bounds;
	bool all_known = true;
	for (uint32_t h = 0; h < n_heads(cache); h++) {
		float similar = known(cache, runs, h);
		uint32_t slots = s->similar > 0 ? runs->leaving->n : slots_of(runs, h);
		bounds[2 * h] = clkv__select_part(s->heavy, slots);
		bounds[2 * h + 1] = bits_of(similar);
		all_known = all_known && (similar > 0 || h < first_head(cache));
	}
	CLKV_TRY(write_bounds(cache, w->chain, bounds, error));
	CLKV_TRY(clkv__launch_alone(w->cache, w->chain, runs->leaving, error));
	return all_known ? CLKV_OK : find_bounds(cache, w->chain, runs, bounds, error);
}

clkv_status clkv__seal_runs(struct clkv__work *w, bool again, clkv_error *error)
{
	const struct runs runs = runs_of(w);
	if (again) {
		CLKV_TRY(write_bounds(w->cache, w->chain, w->bounds, error));
		CLKV_TRY(clkv__launch_alone(w->cache, w->chain, &w->leaving, error));
	} else {
		CLKV_TRY(make_bounds(w, &runs, error));
	}
	return clkv__launch_runs(w->cache, w->chain, &w->leaving, error);
}

void clkv__seal_runs_note(const struct clkv__work *w)
{
	const clkv_cache *cache = w->cache;
	float *similar = w->seq->kept.similar;
	for (uint32_t h = first_head(cache); h < n_heads(cache) && runs_of(w).prompt; h++) {
		float x = float_of(w->bounds[2 * h + 1]);
		similar[h] = x <= 1 ? x : 0; /* above 1: all fitted */
	}
}
