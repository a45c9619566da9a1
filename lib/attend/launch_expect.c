/* SPDX-License-Identifier: MIT */
/** \file launch_expect.c \brief Launches of cl/select/expect_*.cl. */
#include "attend/launch_expect.h"

#include "attend/select_args.h"

static clkv_status turn_queries(clkv_cache *cache, struct clkv__chain *chain,
                                const struct clkv__scoring *by, clkv_error *error)
{
	struct clkv__span all = every_layer(cache);
	struct args a = args_of(cache, &cache->kernels->select.turns, error);
	put_mem(&a, by->queries);
	put_uint(&a, by->byte_units);
	put_uint(&a, by->many);
	put_uint(&a, by->first);
	put_uint(&a, by->n);
	put_uint(&a, by->position);
	put_uint(&a, (cl_uint)cache->shape.layers);
	put_uint(&a, (cl_uint)all.first_layer);
	put_mem(&a, cache->turns);
	put_mem(&a, cache->selection.rows);
	all.n_streams = cache->shape.q_heads;
	return run_span(cache, chain, &a, &all, by->n, error);
}

static clkv_status expect_rows(clkv_cache *cache, struct clkv__chain *chain, const void *what,
                               const struct clkv__span *span, clkv_error *error)
{
	const struct scoring *s = what;
	struct args a = args_of(cache, &span_kernels(cache, span)->score_rows, error);
	put_mem(&a, cache->pool.layers[span->first_layer].mem);
	put_mem(&a, cache->tables.mem);
	put_mem(&a, s->by->queries);
	put_mem(&a, code_tables(cache));
	put_mem(&a, cache->selection.rows);
	put_mem(&a, cache->selection.sums);
	put_uint(&a, cache->sizes.places);
	put_asked(&a, cache, s, span);
	put_projections(&a, cache, span->first_layer);
	return run_span(cache, chain, &a, span, s->leaving->blocks, error);
}

static clkv_status expect_layers(clkv_cache *cache, struct clkv__chain *chain, const void *what,
                                 const struct clkv__span *span, clkv_error *error)
{
	return by_window(cache, chain, expect_rows, what, span, error);
}

clkv_status clkv__launch_expect(clkv_cache *cache, struct clkv__chain *chain,
                                const struct scoring *s, clkv_error *error)
{
	CLKV_TRY(turn_queries(cache, chain, s->by, error));
	return clkv__for_spans(cache, chain, expect_layers, s, error);
}

clkv_status clkv__launch_shares(clkv_cache *cache, struct clkv__chain *chain, const void *what,
                                const struct clkv__span *span, clkv_error *error)
{
	const struct clkv__selection *s = &cache->selection;
	struct args a = args_of(cache, &cache->kernels->select.shares, error);
	put_mem(&a, cache->pool.layers[span->first_layer].mem);
	put_mem(&a, cache->tables.mem);
	put_mem(&a, s->sums);
	put_mem(&a, s->ranks);
	put_mem(&a, s->traces);
	put_mem(&a, s->order);
	put_mem(&a, s->found);
	put_candidates(&a, cache, what, span);
	return run_span(cache, chain, &a, span, 1, error);
}
