/* SPDX-License-Identifier: MIT */
/** \file launch_runs.c \brief Launches of runs: neighbours that are alike are found, and become one slot. */
#include "attend/launch_choice.h"
#include "attend/select_args.h"

static clkv_status cosines(clkv_cache *cache, struct clkv__chain *chain, const void *what,
                           const struct clkv__span *span, clkv_error *error)
{
	const struct clkv__leaving *leaving = what;
	uint32_t bt = (uint32_t)cache->plan.general.block;
	struct args a = args_of(cache, &cache->kernels->select.choice[CLKV__CHOICE_COMPARES], error);
	put_mem(&a, cache->pool.layers[span->first_layer].mem);
	put_mem(&a, cache->tables.mem);
	put_mem(&a, cache->selection.work);
	put_candidates(&a, cache, leaving, span);
	return run_span(cache, chain, &a, span, (leaving->n + bt - 1) / bt, error);
}

clkv_status clkv__launch_alone(clkv_cache *cache, struct clkv__chain *chain,
                               const struct clkv__leaving *leaving, clkv_error *error)
{
	const struct clkv__selection *s = &cache->selection;
	struct args a = args_of(cache, &cache->kernels->select.choice[CLKV__CHOICE_SPARES], error);
	CLKV_TRY(clkv__for_spans(cache, chain, cosines, leaving, error));
	put_mem(&a, s->ranks);
	put_mem(&a, s->keep);
	put_mem(&a, s->found);
	put_mem(&a, s->quotas);
	put_uint(&a, leaving->n);
	return run_heads(cache, chain, &a, error);
}

clkv_status clkv__launch_runs(clkv_cache *cache, struct clkv__chain *chain,
                              const struct clkv__leaving *leaving, clkv_error *error)
{
	struct args a = args_of(cache, &cache->kernels->select.choice[CLKV__CHOICE_CHOOSES], error);
	put_choice(&a, &cache->selection);
	put_mem(&a, cache->selection.work);
	put_uint(&a, leaving->n);
	return run_heads(cache, chain, &a, error);
}

clkv_status clkv__launch_join(clkv_cache *cache, struct clkv__chain *chain, const void *what,
                              const struct clkv__span *span, clkv_error *error)
{
	const struct clkv__gathering *w = what;
	const struct clkv__selection *s = &cache->selection;
	struct args a = args_of(cache, &cache->kernels->select.choice[CLKV__CHOICE_JOINS], error);
	put_mem(&a, cache->pool.layers[span->first_layer].mem);
	put_mem(&a, cache->tables.mem);
	put_mem(&a, cache->jobs_mem);
	put_mem(&a, s->scores);
	put_mem(&a, s->ranks);
	put_mem(&a, s->order);
	put_mem(&a, s->chosen);
	put_mem(&a, s->found);
	put_mem(&a, s->work);
	put_uint(&a, by_rank(cache));
	put_candidates(&a, cache, w->leaving, span);
	return run_span(cache, chain, &a, span, w->n_jobs, error);
}
