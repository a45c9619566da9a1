/* SPDX-License-Identifier: MIT */
/** \file launch_runs.c \brief Launches of runs: neighbours that are alike are found, and become one slot. */
#include "attend/launch_choice.h"
#include "attend/select_launch.h"

KERNEL_ARGS(key_cosines, KEY_COSINES_ARGS)
KERNEL_ARGS(select_alone, SELECT_ALONE_ARGS)
KERNEL_ARGS(select_runs, SELECT_RUNS_ARGS)
KERNEL_ARGS(merge_runs, MERGE_RUNS_ARGS)

static clkv_status cosines(clkv_cache *cache, struct clkv__chain *chain, const void *what,
                           const struct clkv__span *span, clkv_error *error)
{
	const struct clkv__leaving *leaving = what;
	uint32_t bt = (uint32_t)cache->plan.general.block;
	struct args a = args_of(cache, &cache->kernels->select.choice[CLKV__CHOICE_COMPARES], error);
	const struct key_cosines_args given = {
		.pool = cache->pool.layers[span->first_layer].mem,
		.tables = cache->tables.mem,
		.work = cache->selection.work,
		CANDIDATES_FIELDS(cache, leaving, span),
	};
	put_key_cosines(&a, &given);
	return run_span(cache, chain, &a, span, (leaving->n + bt - 1) / bt, error);
}

clkv_status clkv__launch_alone(clkv_cache *cache, struct clkv__chain *chain,
                               const struct clkv__leaving *leaving, clkv_error *error)
{
	const struct clkv__selection *s = &cache->selection;
	struct args a = args_of(cache, &cache->kernels->select.choice[CLKV__CHOICE_SPARES], error);
	CLKV_TRY(clkv__for_spans(cache, chain, cosines, leaving, error));
	const struct select_alone_args given = {
		.ranks = s->ranks,
		.keep = s->keep,
		.found = s->found,
		.bounds = s->quotas,
		.n = leaving->n,
		HEADS_FIELDS(cache),
	};
	put_select_alone(&a, &given);
	return run_heads(cache, chain, &a, error);
}

clkv_status clkv__launch_runs(clkv_cache *cache, struct clkv__chain *chain,
                              const struct clkv__leaving *leaving, clkv_error *error)
{
	const struct clkv__selection *s = &cache->selection;
	struct args a = args_of(cache, &cache->kernels->select.choice[CLKV__CHOICE_CHOOSES], error);
	const struct select_runs_args given = {
		.order = s->order,
		.ranks = s->ranks,
		.keep = s->keep,
		.chosen = s->chosen,
		.found = s->found,
		.bounds = s->quotas,
		.work = s->work,
		.n = leaving->n,
		HEADS_FIELDS(cache),
	};
	put_select_runs(&a, &given);
	return run_heads(cache, chain, &a, error);
}

clkv_status clkv__launch_join(clkv_cache *cache, struct clkv__chain *chain, const void *what,
                              const struct clkv__span *span, clkv_error *error)
{
	const struct clkv__gathering *w = what;
	const struct clkv__selection *s = &cache->selection;
	struct args a = args_of(cache, &cache->kernels->select.choice[CLKV__CHOICE_JOINS], error);
	const struct merge_runs_args given = {
		.pool = cache->pool.layers[span->first_layer].mem,
		.tables = cache->tables.mem,
		.jobs = cache->jobs_mem,
		.scores = s->scores,
		.ranks = s->ranks,
		.order = s->order,
		.chosen = s->chosen,
		.found = s->found,
		.work = s->work,
		.by_rank = by_rank(cache),
		CANDIDATES_FIELDS(cache, w->leaving, span),
	};
	put_merge_runs(&a, &given);
	return run_span(cache, chain, &a, span, w->n_jobs, error);
}
