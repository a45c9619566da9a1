/* SPDX-License-Identifier: MIT */
/** \file launch_recall.c \brief Launches of recall: scores, choices, lists, attention over them. */
#include "../cl/place/place_args.clh"
#include "../cl/recall/recall_args.clh"
#include "attend/args.h"
#include "attend/launch_index.h"
#include "place/host_attend.h"
#include "place/place.h"

KERNEL_ARGS(recall_probe, RECALL_PROBE_ARGS)
KERNEL_ARGS(recall_budget, RECALL_BUDGET_ARGS)
KERNEL_ARGS(recall_score, RECALL_SCORE_ARGS)
KERNEL_ARGS(recall_score_tokens, RECALL_SCORE_TOKENS_ARGS)
KERNEL_ARGS(recall_select, RECALL_SELECT_ARGS)
KERNEL_ARGS(recall_list, RECALL_LIST_ARGS)
KERNEL_ARGS(recall_attend, RECALL_ATTEND_ARGS)
KERNEL_ARGS(place_rows, PLACE_ROWS_ARGS)

/* Rows that recall in one go. */
struct rows {
	const struct clkv__pass *pass;
	const struct clkv__ask_list *list;
	const clkv_tensor *q;
	int layer;
	cl_uint n_wait;
	const cl_event *wait;
};

static size_t head_parts(const clkv_cache *cache)
{
	return (size_t)(cache->shape.g / cache->cut.tile_heads);
}

/* Where the rows and the segments are, the layer's number, units of a sequence. */
#define SEGMENTS_FIELDS(cache, rows)                                                               \
	.items = 0, .work = (rows)->list->ask_word, .segments = (cache)->sizes.segs_word,              \
	.layer = (cl_uint)((rows)->layer - (cache)->plan.general.skip),                                \
	.max_units = (cache)->sizes.max_places

/* Where keys themselves are the units there is no index, and a buffer that isn't touched stands in for it. */
static cl_mem index_of(const clkv_cache *cache)
{
	return cache->index.mem ? cache->index.mem : cache->index.scores;
}

/* One query for all rows of each item, for each query head. */
static clkv_status probe(clkv_cache *cache, struct clkv__chain *chain, const struct rows *rows,
                         clkv_error *error)
{
	const struct clkv__pass *pass = rows->pass;
	const struct clkv__ask_list *last = &pass->lists[pass->n_lists - 1];
	struct args a = args_of(cache, &cache->kernels->recall.probe, error);
	put_recall_probe(&a, &(struct recall_probe_args){
							 .plan = cache->plan_mem,
							 TENSOR_FIELDS(q, rows->q),
							 .probes = cache->index.probes,
							 .most_rows = cache->sizes.max_step_tokens,
							 .items = 0,
							 .work = pass->lists[0].ask_word,
							 ROPE_FIELDS(cache),
						 });
	size_t groups[3] = {(size_t)cache->shape.q_heads, last->first + last->n, 1};
	return run(&a, chain, 2, groups, lanes_of(cache), rows->n_wait, rows->wait, NULL, error);
}

/* What units are scored by: the caller's queries, or the probes. */
static clkv_tensor queries_of(const clkv_cache *cache, const struct rows *rows)
{
	const size_t dim = (size_t)cache->shape.dk, row = (size_t)cache->shape.q_heads * dim;
	if (!cache->plan.recall.probe)
		return *rows->q;
	return (clkv_tensor){.mem = cache->index.probes,
	                     .offset = rows->list->first * row,
	                     .dtype = CLKV_F32,
	                     .token_stride = row,
	                     .head_stride = dim};
}

static clkv_status score_units(clkv_cache *cache, struct clkv__chain *chain,
                               const struct rows *rows, clkv_error *error)
{
	const clkv_tensor q = queries_of(cache, rows);
	struct args a = args_of(cache, &cache->kernels->recall.score, error);
	put_recall_score(&a,
	                 &(struct recall_score_args){
						 .index = cache->index.mem,
						 .tables = cache->tables.mem,
						 .plan = cache->plan_mem,
						 TENSOR_FIELDS(q, &q),
						 .codebooks = cache->index.books ? cache->index.books : cache->index.mem,
						 .scores = cache->index.scores,
						 SEGMENTS_FIELDS(cache, rows),
						 ROPE_FIELDS(cache),
						 PROJECTION_FIELDS(cache, rows->layer),
					 });
	size_t tiles = rows->list->places / ABI_TILE;
	size_t groups[3] = {(tiles + ABI_SCORE_TILES - 1) / ABI_SCORE_TILES,
	                    (size_t)cache->shape.streams * head_parts(cache), rows->list->n};
	return run(&a, chain, 3, groups, lanes_of(cache), rows->n_wait, rows->wait, NULL, error);
}

static clkv_status score_tokens(clkv_cache *cache, struct clkv__chain *chain,
                                const struct rows *rows, const struct clkv__span *span,
                                clkv_error *error)
{
	const clkv_tensor q = queries_of(cache, rows);
	struct args a = args_of(cache, &span_kernels(cache, span)->score, error);
	const struct recall_score_tokens_args given = {
		.pool = cache->pool.layers[rows->layer].mem,
		.tables = cache->tables.mem,
		.plan = cache->plan_mem,
		TENSOR_FIELDS(q, &q),
		.code_tables = code_tables(cache),
		.scores = cache->index.scores,
		.items = 0,
		.work = rows->list->ask_word,
		.segments = cache->sizes.segs_word,
		.layer = (cl_uint)rows->layer,
		.first_stream = (cl_uint)span->first_stream,
		.max_units = cache->sizes.max_places,
		ROPE_FIELDS(cache),
		PROJECTION_FIELDS(cache, rows->layer),
	};
	put_recall_score_tokens(&a, &given);
	size_t groups[3] = {rows->list->blocks, (size_t)span->n_streams * head_parts(cache),
	                    rows->list->n};
	return run(&a, chain, 3, groups, lanes_of(cache), rows->n_wait, rows->wait, NULL, error);
}

/* What each row may recall in this layer. */
static clkv_status share_budget(clkv_cache *cache, struct clkv__chain *chain,
                                const struct rows *rows, clkv_error *error)
{
	const struct clkv__recall *r = &cache->plan.recall;
	struct args a = args_of(cache, &cache->kernels->recall.budget, error);
	put_recall_budget(&a, &(struct recall_budget_args){
							  .index = index_of(cache),
							  .tables = cache->tables.mem,
							  .plan = cache->plan_mem,
							  .scores = cache->index.scores,
							  .budgets = cache->index.budgets,
							  .most_rows = cache->sizes.max_step_tokens,
							  SEGMENTS_FIELDS(cache, rows),
							  .first_ask = rows->list->first,
							  .done = rows->pass->attended,
							  .layers = (cl_uint)(cache->shape.layers - cache->plan.general.skip),
							  .budget = (cl_uint)r->budget,
							  .scale = cache->shape.scale,
						  });
	size_t groups[3] = {rows->list->n, 1, 1};
	return run(&a, chain, 1, groups, lanes_of(cache), 0, NULL, NULL, error);
}

static clkv_status choose(clkv_cache *cache, struct clkv__chain *chain, const struct rows *rows,
                          clkv_error *error)
{
	const struct clkv__recall *r = &cache->plan.recall;
	size_t heads = (size_t)(r->grouped ? cache->shape.streams : cache->shape.q_heads);
	struct args a = args_of(cache, &cache->kernels->recall.select, error);
	const struct recall_select_args given = {
		.index = index_of(cache),
		.tables = cache->tables.mem,
		.plan = cache->plan_mem,
		.scores = cache->index.scores,
		.takes = cache->index.takes,
		.budgets = r->entropy ? cache->index.budgets : cache->tables.mem,
		SEGMENTS_FIELDS(cache, rows),
		.first_ask = rows->list->first,
		.budget = (cl_uint)r->budget,
		.scale = cache->shape.scale,
	};
	put_recall_select(&a, &given);
	size_t groups[3] = {heads, rows->list->n, 1};
	CLKV_TRY(run(&a, chain, 2, groups, lanes_of(cache), 0, NULL, NULL, error));
	a = args_of(cache, &cache->kernels->recall.list, error);
	const struct recall_list_args listing = {
		.index = index_of(cache),
		.tables = cache->tables.mem,
		.plan = cache->plan_mem,
		.takes = cache->index.takes,
		.lists = cache->index.lists,
		SEGMENTS_FIELDS(cache, rows),
		.room = cache->sizes.listed,
	};
	put_recall_list(&a, &listing);
	groups[0] = (size_t)cache->shape.streams;
	return run(&a, chain, 2, groups, lanes_of(cache), 0, NULL, NULL, error);
}

static clkv_status attend_listed(clkv_cache *cache, struct clkv__chain *chain,
                                 const struct rows *rows, const struct clkv__span *span,
                                 clkv_error *error)
{
	const struct clkv__shape *shape = &cache->shape;
	struct args a = args_of(cache, &span_kernels(cache, span)->recall, error);
	const struct recall_attend_args given = {
		.pool = cache->pool.layers[rows->layer].mem,
		.tables = cache->tables.mem,
		.plan = cache->plan_mem,
		TENSOR_FIELDS(q, rows->q),
		.part_acc = cache->part_acc,
		.part_ml = cache->part_ml,
		.code_tables = code_tables(cache),
		.lists = cache->index.lists,
		.items = 0,
		.rows = rows->pass->new_word,
		.work = rows->list->works.word,
		.layer = (cl_uint)rows->layer,
		.scale = shape->scale,
		.softcap = shape->softcap,
		.first_stream = (cl_uint)span->first_stream,
		.first_ask = rows->list->first,
		.room = cache->sizes.listed,
		ROPE_FIELDS(cache),
		.slots = cache->pool.layers[rows->layer].rows,
		PROJECTION_FIELDS(cache, rows->layer),
	};
	put_recall_attend(&a, &given);
	size_t groups[3] = {rows->list->works.n, (size_t)span->n_streams * head_parts(cache), 1};
	return run(&a, chain, 2, groups, lanes_of(cache), 0, NULL, NULL, error);
}

static clkv_status place_rows(clkv_cache *cache, struct clkv__chain *chain, int layer, cl_uint n,
                              clkv_error *error)
{
	struct args a = args_of(cache, &cache->kernels->recall.place, error);
	const struct place_rows_args given = {
		.pool = cache->pool.layers[layer].mem,
		.arrived = cache->place->arrived,
		.slots = cache->pool.layers[layer].rows,
		.n = n,
	};
	put_place_rows(&a, &given);
	size_t groups[3] = {(n + ABI_PLACE_ROWS - 1) / ABI_PLACE_ROWS, 1, 1};
	return run(&a, chain, 1, groups, lanes_of(cache), 0, NULL, NULL, error);
}

static clkv_status attend_spans(clkv_cache *cache, struct clkv__chain *chain,
                                const struct rows *rows, clkv_error *error)
{
	struct clkv__span span;
	for (int first = 0; first < cache->shape.streams; first += span.n_streams) {
		span = clkv__span_of(cache, rows->layer, first);
		CLKV_TRY(attend_listed(cache, chain, rows, &span, error));
	}
	return CLKV_OK;
}

/* Rows come from host memory to their slots, from where they are read. */
static clkv_status attend_slots(clkv_cache *cache, struct clkv__chain *chain,
                                const struct rows *rows, clkv_error *error)
{
	uint32_t n = 0;
	CLKV_TRY(clkv__place_lists(cache, chain, rows->list, rows->layer, error));
	clkv_status status = clkv__place_fetch(cache, chain, rows->list, rows->layer, &n, error);
	if (status == CLKV_OK && n > 0)
		status = place_rows(cache, chain, rows->layer, n, error);
	if (status != CLKV_OK)
		clkv__place_unfetch(cache, rows->list, rows->layer);
	CLKV_TRY(status);
	return attend_spans(cache, chain, rows, error);
}

/* The host attends to the lists while the device attends to sinks and tails. */
static clkv_status attend_apart(clkv_cache *cache, struct clkv__chain *chain,
                                const struct rows *rows, clkv_error *error)
{
	CLKV_TRY(clkv__place_lists(cache, chain, rows->list, rows->layer, error));
	CLKV_TRY(clkv__place_queries(cache, chain, rows->list, rows->q, error));
	CLKV_TRY(attend_spans(cache, chain, rows, error));
	CLKV_CL(error, clFlush(chain->queue));
	return clkv__place_attend(cache, chain, rows->list, rows->layer, error);
}

static clkv_status recall(clkv_cache *cache, struct clkv__chain *chain, const struct rows *rows,
                          clkv_error *error)
{
	const int streams = cache->shape.streams;
	bool tokens = clkv__index_kind_of(&cache->plan.recall)->by_keys;
	struct clkv__span span;
	if (!tokens)
		CLKV_TRY(score_units(cache, chain, rows, error));
	for (int first = 0; tokens && first < streams; first += span.n_streams) {
		span = clkv__span_of(cache, rows->layer, first);
		CLKV_TRY(score_tokens(cache, chain, rows, &span, error));
	}
	if (cache->plan.recall.entropy)
		CLKV_TRY(share_budget(cache, chain, rows, error));
	CLKV_TRY(choose(cache, chain, rows, error));
	if (clkv__host_attends(&cache->plan.place))
		return attend_apart(cache, chain, rows, error);
	return cache->sizes.moves ? attend_slots(cache, chain, rows, error)
	                          : attend_spans(cache, chain, rows, error);
}

clkv_status clkv__launch_recall(clkv_cache *cache, struct clkv__chain *chain,
                                const struct clkv__pass *pass, int layer, const clkv_tensor *q,
                                cl_uint n_wait, const cl_event *wait, clkv_error *error)
{
	const struct rows all = {pass, NULL, q, layer, n_wait, wait};
	if (cache->plan.recall.probe && pass->n_lists > 0)
		CLKV_TRY(probe(cache, chain, &all, error));
	for (uint32_t i = 0; i < pass->n_lists; i++) {
		const struct rows rows = {pass, &pass->lists[i], q, layer, n_wait, wait};
		CLKV_TRY(recall(cache, chain, &rows, error));
	}
	return CLKV_OK;
}
