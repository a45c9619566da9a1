/* SPDX-License-Identifier: MIT */
/** \file select_share.c \brief How many tokens each head keeps: budgets that look at more than one head. */
#include "step/select_work.h"

#include "base/alloc.h"
#include "base/error.h"
#include "select/budget.h"

static clkv_status read_floats(const struct clkv__work *w, cl_mem mem, size_t head, size_t n,
                               float *to, clkv_error *error)
{
	size_t at = head * w->cache->sizes.places * sizeof *to;
	return clkv__chain_read_now(w->chain, mem, at, n * sizeof *to, to, error);
}

/* Scores of one head, at most. */
static size_t room_of(const struct clkv__work *w)
{
	return (w->leaving.blocks + 1) * (size_t)w->cache->plan.general.block;
}

/* A layer's slots to the heads with the best scores. */
static clkv_status share_heads(struct clkv__work *w, float *scores, int layer, clkv_error *error)
{
	clkv_cache *cache = w->cache;
	size_t streams = (size_t)cache->shape.streams, n = w->leaving.n, kept[CLKV__MAX_LIST];
	size_t first = (size_t)layer * streams;
	for (size_t i = 0; i < streams; i++)
		CLKV_TRY(read_floats(w, cache->selection.ranks, first + i, n, scores + i * n, error));
	CLKV_TRY(clkv__budget_heads(&cache->context->allocator, scores, streams, n, w->quota.kept,
	                            cache->plan.select.least, kept, error));
	for (size_t i = 0; i < streams; i++)
		w->quotas[first + i] = (uint32_t)kept[i];
	return CLKV_OK;
}

/* Candidates of a head, as they were counted. */
static clkv_status count_candidates(const struct clkv__work *w, size_t head, uint32_t *n,
                                    clkv_error *error)
{
	size_t at = head * clkv__found_words(w->cache) * sizeof *n; /* the first word: candidates.clh */
	return clkv__chain_read_now(w->chain, w->cache->selection.found, at, sizeof *n, n, error);
}

/* The slots of all layers to the heads with the best scores. A prompt that was read again has other candidates in each head: those
 * that it hasn't are below any score. */
static clkv_status share_all(struct clkv__work *w, float *scores, int layer, clkv_error *error)
{
	clkv_cache *cache = w->cache;
	size_t streams = (size_t)cache->shape.streams, first = (size_t)layer * streams;
	size_t heads = w->n_heads - first, n = w->leaving.n, *kept;
	for (size_t h = first; h < w->n_heads; h++)
		n = w->seq->kept.live[h] + w->leaving.n > n ? w->seq->kept.live[h] + w->leaving.n : n;
	kept = (size_t *)(void *)(scores + w->n_heads * room_of(w));
	for (size_t h = 0; h < heads; h++) {
		uint32_t own;
		CLKV_TRY(count_candidates(w, first + h, &own, error));
		own = own < n ? own : (uint32_t)n;
		CLKV_TRY(read_floats(w, cache->selection.ranks, first + h, own, scores + h * n, error));
		for (size_t i = own; i < n; i++)
			scores[h * n + i] = -1;
	}
	CLKV_TRY(clkv__budget_heads(&cache->context->allocator, scores, heads, n, w->quota.kept, 0,
	                            kept, error));
	for (size_t h = 0; h < heads; h++)
		w->quotas[first + h] = (uint32_t)kept[h];
	return CLKV_OK;
}

/* The newest tokens of a layer that leave its attention almost as it was. */
static clkv_status share_energy(struct clkv__work *w, float *scores, int layer, clkv_error *error)
{
	clkv_cache *cache = w->cache;
	const struct clkv__leaving *l = &w->leaving;
	uint32_t bt = (uint32_t)cache->plan.general.block, sinks = l->sinks;
	size_t streams = (size_t)cache->shape.streams, places = l->blocks * bt, newest;
	size_t at = (clkv__blocks_of(cache, sinks) - l->tail / bt) * (size_t)bt;
	for (size_t i = 0; i < streams; i++) { /* from places to tokens in the order of time */
		float *mine = scores + i * l->end, *all = scores + streams * l->end;
		CLKV_TRY(read_floats(w, cache->selection.scores, (size_t)layer * streams + i, places, all,
		                     error));
		for (uint32_t p = 0; p < l->end; p++)
			mine[p] = all[p < sinks ? p : at + p];
	}
	CLKV_TRY(clkv__budget_energy(&cache->context->allocator, scores, streams, l->end, sinks,
	                             cache->plan.select.tau, &newest, error));
	for (size_t i = 0; i < streams; i++)
		w->quotas[(size_t)layer * streams + i] =
			newest > w->quota.window ? (uint32_t)newest - w->quota.window : 0;
	return CLKV_OK;
}

/* All layers' slots so that each keeps the same share of its scores. */
static clkv_status share_curve(struct clkv__work *w, float *scores, int layer, clkv_error *error)
{
	clkv_cache *cache = w->cache;
	size_t skip = (size_t)layer, n = w->leaving.n, all = (size_t)cache->shape.layers;
	size_t layers = all - skip, streams = (size_t)cache->shape.streams;
	/* the counts behind the scores: a multiple of 64 floats in front keeps them aligned */
	size_t *kept = (size_t *)(void *)(scores + all * room_of(w));
	for (size_t l = 0; l < layers; l++) /* all heads' are their mean */
		CLKV_TRY(
			read_floats(w, cache->selection.ranks, (skip + l) * streams, n, scores + l * n, error));
	CLKV_TRY(clkv__budget_curve(&cache->context->allocator, scores, layers, n,
	                            layers * w->quota.kept, kept, error));
	for (size_t i = 0; i < layers * streams; i++)
		w->quotas[skip * streams + i] = (uint32_t)kept[i / streams];
	return CLKV_OK;
}

/* How slots are shared out by a rule that compares heads; a new one is a row here. */
static const struct sharing {
	bool
		together; /* layers from this one on at once, a row of scores for each; else one, a row for a head and one more */
	bool heads;   /* together: a row for each head of each layer */
	clkv_status (*share)(struct clkv__work *w, float *scores, int layer, clkv_error *error);
} sharings[] = {
	[CLKV__BUDGET_ALL] = {true, true, share_all},
	[CLKV__BUDGET_HEADS] = {false, false, share_heads},
	[CLKV__BUDGET_ENERGY] = {false, false, share_energy},
	[CLKV__BUDGET_CURVE] = {true, false, share_curve},
};

/* Quotas that depend on the scores of more than one head. */
static clkv_status share(struct clkv__work *w, clkv_error *error)
{
	clkv_cache *cache = w->cache;
	const struct sharing *by = &sharings[cache->plan.select.rule];
	size_t streams = (size_t)cache->shape.streams, layers = (size_t)cache->shape.layers;
	size_t rows = by->heads ? w->n_heads : by->together ? layers : streams + 1;
	size_t values = rows * room_of(w), counts = by->heads ? w->n_heads : layers;
	size_t bytes = values * sizeof(float) + counts * sizeof(size_t);
	float *scores = clkv__calloc(&cache->context->allocator, 1, bytes);
	clkv_status status = CLKV_OK;
	if (!scores)
		CLKV_FAIL(error, CLKV_ERROR_NO_HOST_MEMORY, "no host memory for %zu scores", values);
	int first = cache->plan.general.skip, end = by->together ? first + 1 : cache->shape.layers;
	for (int l = first; l < end && status == CLKV_OK; l++)
		status = by->share(w, scores, l, error);
	clkv__free(&cache->context->allocator, scores);
	return status;
}

clkv_status clkv__select_write_quotas(const struct clkv__work *w, clkv_error *error)
{
	return clkv__chain_write_now(w->chain, w->cache->selection.quotas, 0,
	                             w->n_heads * sizeof *w->quotas, w->quotas, error);
}

/* What a head may keep once slots were shared out: what it has, and what each head's even part has grown by. */
static uint32_t own_quota(const struct clkv__work *w, uint32_t head)
{
	const struct clkv__kept_counts *kept = &w->seq->kept;
	uint32_t more = w->quota.kept > kept->quota.kept ? w->quota.kept - kept->quota.kept : 0;
	return kept->live[head] + more;
}

/* How many tokens each head keeps. */
clkv_status clkv__select_set_quotas(struct clkv__work *w, clkv_error *error)
{
	clkv_cache *cache = w->cache;
	bool unlimited = clkv__rule_of(&cache->plan.select)->unlimited;
	for (uint32_t h = 0; h < w->n_heads; h++)
		w->quotas[h] = unlimited || w->unread ? UINT32_MAX
		               : w->seq->kept.shared  ? own_quota(w, h)
		                                      : w->quota.kept;
	w->shares = clkv__select_compares(&cache->plan.select) && w->ends && !w->unread &&
	            (w->first || clkv__select_rereads(&cache->plan.select)) &&
	            (unlimited || !w->first || w->leaving.n > w->quota.kept);
	if (w->shares)
		CLKV_TRY(share(w, error));
	return clkv__select_write_quotas(w, error);
}
