/* SPDX-License-Identifier: MIT */
/** \file launch_expect.c \brief Launches of cl/select/expect_*.cl. */
#include "attend/launch_expect.h"

#include "attend/select_launch.h"

KERNEL_ARGS(expect_queries, EXPECT_QUERIES_ARGS)
KERNEL_ARGS(expect_rows, EXPECT_ROWS_ARGS)
KERNEL_ARGS(expect_shares, EXPECT_SHARES_ARGS)

static clkv_status turn_queries(clkv_cache *cache, struct clkv__chain *chain,
                                const struct clkv__scoring *by, clkv_error *error)
{
	struct clkv__span all = every_layer(cache);
	struct args a = args_of(cache, &cache->kernels->select.turns, error);
	const struct expect_queries_args given = {
		.queries = by->queries,
		.at = by->byte_units,
		.many = by->many,
		.first = by->first,
		.n = by->n,
		.position = by->position,
		.layers = (cl_uint)cache->shape.layers,
		.first_layer = (cl_uint)all.first_layer,
		.turns = turns(cache),
		.expected = cache->selection.rows,
	};
	put_expect_queries(&a, &given);
	all.n_streams = cache->shape.q_heads;
	return run_span(cache, chain, &a, &all, by->n, error);
}

static clkv_status expect_rows(clkv_cache *cache, struct clkv__chain *chain, const void *what,
                               const struct clkv__span *span, clkv_error *error)
{
	const struct scoring *s = what;
	struct args a = args_of(cache, &span_kernels(cache, span)->score_rows, error);
	const struct expect_rows_args given = {
		.pool = cache->pool.layers[span->first_layer].mem,
		.tables = cache->tables.mem,
		.queries = s->by->queries,
		.code_tables = code_tables(cache),
		.expected = cache->selection.rows,
		.logs = cache->selection.sums,
		.places = cache->sizes.places,
		ASKED_FIELDS(cache, s, span),
		PROJECTION_FIELDS(cache, span->first_layer),
	};
	put_expect_rows(&a, &given);
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
	const struct clkv__leaving *leaving = what;
	const struct clkv__selection *s = &cache->selection;
	struct args a = args_of(cache, &cache->kernels->select.shares, error);
	const struct expect_shares_args given = {
		.pool = cache->pool.layers[span->first_layer].mem,
		.tables = cache->tables.mem,
		.logs = s->sums,
		.ranks = s->ranks,
		.lengths = s->traces,
		.order = s->order,
		.found = s->found,
		CANDIDATES_FIELDS(cache, leaving, span),
	};
	put_expect_shares(&a, &given);
	return run_span(cache, chain, &a, span, 1, error);
}
