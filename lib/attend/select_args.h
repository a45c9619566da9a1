/* SPDX-License-Identifier: MIT */
/** \file select_args.h \brief Arguments and grids that the kernels of selection share. */
#ifndef CLKV__SELECT_ARGS_H
#define CLKV__SELECT_ARGS_H

#include "attend/args.h"
#include "attend/launch_select.h"

/* What weighs tokens: what leaves, and the rows of queries that judge. */
struct scoring {
	const struct clkv__leaving *leaving;
	const struct clkv__scoring *by;
};

/* What kernels that look at rows of queries share. */
static inline void put_asked(struct args *a, const clkv_cache *cache, const struct scoring *s,
                             const struct clkv__span *span)
{
	const struct clkv__shape *shape = &cache->shape;
	put_uint(a, s->leaving->slab);
	put_uint(a, cache->sizes.cap);
	put_uint(a, s->leaving->sinks);
	put_uint(a, s->leaving->tail);
	put_uint(a, s->by->byte_units);
	put_uint(a, s->by->many);
	put_uint(a, s->by->first);
	put_uint(a, s->by->n);
	put_uint(a, s->by->position);
	put_uint(a, (cl_uint)shape->layers);
	put_uint(a, (cl_uint)span->first_layer);
	put_uint(a, (cl_uint)span->first_stream);
	put_uint(a, shape->window ? (cl_uint)shape->window[span->first_layer] : 0);
	put_float(a, shape->scale);
}

/* candidates.clh: CANDIDATES_ARGS */
static inline void put_candidates(struct args *a, const clkv_cache *cache,
                                  const struct clkv__leaving *leaving,
                                  const struct clkv__span *span)
{
	put_uint(a, leaving->slab);
	put_uint(a, cache->sizes.cap);
	put_uint(a, leaving->sinks);
	put_uint(a, leaving->tail);
	put_uint(a, leaving->open);
	put_uint(a, leaving->from);
	put_uint(a, leaving->n);
	put_uint(a, cache->sizes.places);
	put_uint(a, (cl_uint)span->first_layer);
	put_uint(a, (cl_uint)span->first_stream);
}

static inline clkv_status run_span(clkv_cache *cache, struct clkv__chain *chain, struct args *a,
                                   const struct clkv__span *span, size_t first, clkv_error *error)
{
	size_t groups[3] = {first, (size_t)span->n_streams, (size_t)span->n_layers};
	return run(a, chain, 3, groups, lanes_of(cache), 0, NULL, NULL, error);
}

/* Whether a candidate's score is what it was judged by: that of attention so far goes on by itself. */
static inline bool by_rank(const clkv_cache *cache)
{
	return !clkv__weighs(&cache->plan.select);
}

/* A launch knows one window: layers go one by one where they have some. */
static inline clkv_status by_window(clkv_cache *cache, struct clkv__chain *chain,
                                    clkv__span_launch launch, const void *what,
                                    const struct clkv__span *span, clkv_error *error)
{
	struct clkv__span one = *span;
	if (!cache->shape.window)
		return launch(cache, chain, what, span, error);
	one.n_layers = 1;
	for (; one.first_layer < span->first_layer + span->n_layers; one.first_layer++)
		CLKV_TRY(launch(cache, chain, what, &one, error));
	return CLKV_OK;
}

/* All layers that seal. */
static inline struct clkv__span every_layer(const clkv_cache *cache)
{
	int skip = cache->plan.general.skip;
	return (struct clkv__span){skip, cache->shape.layers - skip, 0, cache->shape.streams, 0};
}

/* A kernel that looks at no blocks, a group for each head. */
static inline clkv_status run_heads(clkv_cache *cache, struct clkv__chain *chain, struct args *a,
                                    clkv_error *error)
{
	const struct clkv__span all = every_layer(cache);
	put_uint(a, cache->sizes.cap);
	put_uint(a, cache->sizes.places);
	put_uint(a, (cl_uint)all.first_layer);
	put_uint(a, (cl_uint)all.first_stream);
	return run_span(cache, chain, a, &all, 1, error);
}

/* What all choices begin with. */
static inline void put_choice(struct args *a, const struct clkv__selection *s)
{
	put_mem(a, s->order);
	put_mem(a, s->ranks);
	put_mem(a, s->keep);
	put_mem(a, s->chosen);
	put_mem(a, s->found);
	put_mem(a, s->quotas);
}

#endif
