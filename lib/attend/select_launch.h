/* SPDX-License-Identifier: MIT */
/** \file select_launch.h \brief Arguments and grids that the kernels of selection share. */
#ifndef CLKV__SELECT_LAUNCH_H
#define CLKV__SELECT_LAUNCH_H

#include "../cl/select/select_args.clh"
#include "attend/args.h"
#include "attend/launch_select.h"

/* What weighs tokens: what leaves, and the rows of queries that judge. */
struct scoring {
	const struct clkv__leaving *leaving;
	const struct clkv__scoring *by;
};

/* Fields of rows that many tables of select_args.clh have. */
#define ASKED_FIELDS(cache, s, span)                                                               \
	.slab = (s)->leaving->slab, .cap = (cache)->sizes.cap, .sinks = (s)->leaving->sinks,           \
	.tail = (s)->leaving->tail, .at = (s)->by->byte_units, .many = (s)->by->many,                  \
	.first = (s)->by->first, .n = (s)->by->n, .position = (s)->by->position,                       \
	.layers = (cl_uint)(cache)->shape.layers, .first_layer = (cl_uint)(span)->first_layer,         \
	.first_stream = (cl_uint)(span)->first_stream,                                                 \
	.window = (cache)->shape.window ? (cl_uint)(cache)->shape.window[(span)->first_layer] : 0,     \
	.scale = (cache)->shape.scale
#define CANDIDATES_FIELDS(cache, leaving, span)                                                    \
	.slab = (leaving)->slab, .cap = (cache)->sizes.cap, .sinks = (leaving)->sinks,                 \
	.tail = (leaving)->tail, .open = (leaving)->open, .from = (leaving)->from, .n = (leaving)->n,  \
	.places = (cache)->sizes.places, .first_layer = (cl_uint)(span)->first_layer,                  \
	.first_stream = (cl_uint)(span)->first_stream
#define HEADS_FIELDS(cache)                                                                        \
	.cap = (cache)->sizes.cap, .places = (cache)->sizes.places,                                    \
	.first_layer = (cl_uint)every_layer(cache).first_layer,                                        \
	.first_stream = (cl_uint)every_layer(cache).first_stream
#define CHOICE_FIELDS(s)                                                                           \
	.order = (s)->order, .ranks = (s)->ranks, .keep = (s)->keep, .chosen = (s)->chosen,            \
	.found = (s)->found, .quotas = (s)->quotas

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
	return run_span(cache, chain, a, &all, 1, error);
}

#endif
