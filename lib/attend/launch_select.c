/* SPDX-License-Identifier: MIT */
/** \file launch_select.c \brief Launches of a commit that selects tokens. */
#include "attend/launch_select.h"

#include "attend/launch_choice.h"
#include "attend/launch_expect.h"
#include "attend/select_args.h"

/* Log-sums of the rows' logits of candidates alone. */
static clkv_status sum_rows(clkv_cache *cache, struct clkv__chain *chain, const struct scoring *s,
                            const struct clkv__span *span, clkv_error *error)
{
	uint32_t rows = (uint32_t)cache->cut.tile_rows;
	struct args a = args_of(cache, &span_kernels(cache, span)->score_sums, error);
	put_mem(&a, cache->pool.layers[span->first_layer].mem);
	put_mem(&a, cache->tables.mem);
	put_mem(&a, s->by->queries);
	put_mem(&a, code_tables(cache));
	put_mem(&a, cache->selection.sums);
	put_uint(&a, s->leaving->from);
	put_uint(&a, s->leaving->n);
	put_asked(&a, cache, s, span);
	put_float(&a, cache->shape.softcap);
	put_float(&a, cache->plan.select.alpha);
	put_projections(&a, cache, span->first_layer);
	return run_span(cache, chain, &a, span, (s->by->n + rows - 1) / rows, error);
}

static clkv_status score_rows(clkv_cache *cache, struct clkv__chain *chain, const void *what,
                              const struct clkv__span *span, clkv_error *error)
{
	const struct scoring *s = what;
	const struct clkv__select *p = &cache->plan.select;
	if (p->old)
		CLKV_TRY(sum_rows(cache, chain, s, span, error));
	struct args a = args_of(cache, &span_kernels(cache, span)->score_rows, error);
	put_mem(&a, cache->pool.layers[span->first_layer].mem);
	put_mem(&a, cache->tables.mem);
	put_mem(&a, s->by->queries);
	put_mem(&a, code_tables(cache));
	put_mem(&a, cache->selection.scores);
	put_uint(&a, cache->sizes.places);
	put_asked(&a, cache, s, span);
	put_float(&a, cache->shape.softcap);
	put_float(&a, cache->plan.select.alpha);
	put_float(&a, clkv__weighs(p) ? p->lambda : 1.0f);
	put_uint(&a, clkv__weighs(p));
	put_mem(&a, cache->selection.traces);
	put_mem(&a, cache->selection.sums ? cache->selection.sums : cache->selection.scores);
	put_projections(&a, cache, span->first_layer);
	return run_span(cache, chain, &a, span, s->leaving->blocks, error);
}

static clkv_status score_layers(clkv_cache *cache, struct clkv__chain *chain, const void *what,
                                const struct clkv__span *span, clkv_error *error)
{
	return by_window(cache, chain, score_rows, what, span, error);
}

static clkv_status weigh_rows(clkv_cache *cache, struct clkv__chain *chain, const struct scoring *s,
                              clkv_error *error)
{
	return clkv__for_spans(cache, chain, score_layers, s, error);
}

/* What launches a score's rows; a new one is a row here. */
static const struct scorer {
	clkv_status (*rows)(clkv_cache *cache, struct clkv__chain *chain, const struct scoring *s,
	                    clkv_error *error);
} scorers[] = {
	[ABI_SCORE_MASS] = {weigh_rows},
	[ABI_SCORE_SEEN] = {weigh_rows},
	[ABI_SCORE_EXPECTED] = {clkv__launch_expect},
};

clkv_status clkv__launch_score_rows(clkv_cache *cache, struct clkv__chain *chain,
                                    const struct clkv__leaving *leaving,
                                    const struct clkv__scoring *by, clkv_error *error)
{
	const struct scoring what = {leaving, by};
	return scorers[cache->plan.select.score].rows(cache, chain, &what, error);
}

static clkv_status list(clkv_cache *cache, struct clkv__chain *chain, const void *what,
                        const struct clkv__span *span, clkv_error *error)
{
	const struct clkv__selection *s = &cache->selection;
	struct args a = args_of(cache, &cache->kernels->select.list, error);
	put_mem(&a, cache->pool.layers[span->first_layer].mem);
	put_mem(&a, cache->tables.mem);
	put_mem(&a, s->scores);
	put_mem(&a, s->order);
	put_mem(&a, s->ranks);
	put_mem(&a, s->found);
	put_candidates(&a, cache, what, span);
	return run_span(cache, chain, &a, span, 1, error);
}

static clkv_status pool_scores(clkv_cache *cache, struct clkv__chain *chain, clkv_error *error)
{
	struct args a = args_of(cache, &cache->kernels->select.pool, error);
	put_mem(&a, cache->selection.ranks);
	put_mem(&a, cache->selection.chosen);
	put_mem(&a, cache->selection.found);
	return run_heads(cache, chain, &a, error);
}

static clkv_status mean_scores(clkv_cache *cache, struct clkv__chain *chain,
                               const struct clkv__leaving *leaving, clkv_error *error)
{
	bool adds = clkv__choice_of(&cache->plan.select)->adds;
	struct clkv__span all = every_layer(cache);
	struct args a = args_of(cache, &cache->kernels->select.mean, error);
	put_mem(&a, cache->selection.ranks);
	put_mem(&a, cache->selection.found);
	put_uint(&a, adds ? leaving->n : UINT32_MAX);
	put_uint(&a, cache->sizes.cap);
	put_uint(&a, cache->sizes.places);
	put_uint(&a, (cl_uint)all.first_layer);
	all.n_streams = 1;
	return run_span(cache, chain, &a, &all, 1, error);
}

static clkv_status mix_scores(clkv_cache *cache, struct clkv__chain *chain, const void *what,
                              const struct clkv__span *span, clkv_error *error)
{
	const struct clkv__leaving *leaving = what;
	const struct clkv__selection *s = &cache->selection;
	struct args a = args_of(cache, &cache->kernels->select.mix, error);
	put_mem(&a, cache->pool.layers[span->first_layer].mem);
	put_mem(&a, cache->tables.mem);
	put_mem(&a, s->ranks);
	put_mem(&a, s->traces);
	put_mem(&a, s->order);
	put_mem(&a, s->found);
	put_float(&a, cache->plan.select.peak);
	put_uint(&a, leaving->end);
	put_candidates(&a, cache, leaving, span);
	return run_span(cache, chain, &a, span, 1, error);
}

clkv_status clkv__launch_candidates(clkv_cache *cache, struct clkv__chain *chain,
                                    const struct clkv__leaving *leaving, clkv_error *error)
{
	CLKV_TRY(clkv__for_spans(cache, chain, list, leaving, error));
	if (cache->kernels->select.shares.program)
		CLKV_TRY(clkv__for_spans(cache, chain, clkv__launch_shares, leaving, error));
	if (cache->kernels->select.mix.program)
		CLKV_TRY(clkv__for_spans(cache, chain, mix_scores, leaving, error));
	if (cache->plan.select.pool > 1)
		CLKV_TRY(pool_scores(cache, chain, error));
	if (cache->plan.select.layers)
		CLKV_TRY(mean_scores(cache, chain, leaving, error));
	return CLKV_OK;
}

struct merging {
	const struct clkv__leaving *leaving;
	uint32_t merged, blocks;
};

static clkv_status merge(clkv_cache *cache, struct clkv__chain *chain, const void *what,
                         const struct clkv__span *span, clkv_error *error)
{
	const struct merging *m = what;
	const struct clkv__selection *s = &cache->selection;
	struct args a = args_of(cache, &span_kernels(cache, span)->merge_slots, error);
	put_mem(&a, cache->pool.layers[span->first_layer].mem);
	put_mem(&a, cache->tables.mem);
	put_mem(&a, code_tables(cache));
	put_mem(&a, s->scores);
	put_mem(&a, s->ranks);
	put_mem(&a, s->order);
	put_mem(&a, s->keep);
	put_mem(&a, s->found);
	put_mem(&a, s->work);
	put_mem(&a, s->spots);
	put_mem(&a, s->masses);
	put_uint(&a, by_rank(cache));
	put_uint(&a, m->merged);
	put_uint(&a, m->blocks);
	put_candidates(&a, cache, m->leaving, span);
	return run_span(cache, chain, &a, span, 1, error);
}

static clkv_status weigh_dropped(clkv_cache *cache, struct clkv__chain *chain,
                                 const struct merging *m, clkv_error *error)
{
	const struct clkv__selection *s = &cache->selection;
	struct args a = args_of(cache, &cache->kernels->select.weigh, error);
	put_mem(&a, s->scores);
	put_mem(&a, s->traces);
	put_mem(&a, s->ranks);
	put_mem(&a, s->order);
	put_mem(&a, s->keep);
	put_mem(&a, s->found);
	put_mem(&a, s->masses);
	/* as if all rows had looked as the newest do */
	put_float(&a, cache->plan.select.recent * (float)m->leaving->end / ABI_RECENT);
	put_uint(&a, m->leaving->seq->kept.merged_blocks > 0 ? 0 : m->merged);
	return run_heads(cache, chain, &a, error);
}

clkv_status clkv__launch_merge(clkv_cache *cache, struct clkv__chain *chain,
                               const struct clkv__leaving *leaving, uint32_t merged,
                               uint32_t merged_blocks, clkv_error *error)
{
	const struct merging what = {leaving, merged, merged_blocks};
	if (cache->kernels->select.weigh.program)
		CLKV_TRY(weigh_dropped(cache, chain, &what, error));
	return clkv__for_spans(cache, chain, merge, &what, error);
}

static clkv_status gather(clkv_cache *cache, struct clkv__chain *chain, const void *what,
                          const struct clkv__span *span, clkv_error *error)
{
	const struct clkv__gathering *w = what;
	const struct clkv__selection *s = &cache->selection;
	struct args a = args_of(cache, &span_kernels(cache, span)->gather, error);
	put_mem(&a, cache->pool.layers[span->first_layer].mem);
	put_mem(&a, cache->tables.mem);
	put_mem(&a, cache->jobs_mem);
	put_mem(&a, code_tables(cache));
	put_mem(&a, s->scores);
	put_mem(&a, s->ranks);
	put_mem(&a, s->order);
	put_mem(&a, s->chosen);
	put_mem(&a, s->traces);
	put_uint(&a, by_rank(cache));
	put_candidates(&a, cache, w->leaving, span);
	return run_span(cache, chain, &a, span, w->n_jobs, error);
}

clkv_status clkv__launch_gather(clkv_cache *cache, struct clkv__chain *chain,
                                const struct clkv__leaving *leaving, uint32_t n_jobs,
                                clkv_error *error)
{
	const struct clkv__gathering what = {leaving, n_jobs};
	CLKV_TRY(clkv__for_spans(cache, chain, gather, &what, error));
	return cache->kernels->select.choice[CLKV__CHOICE_JOINS].program
	           ? clkv__for_spans(cache, chain, clkv__launch_join, &what, error)
	           : CLKV_OK;
}

static clkv_status mark(clkv_cache *cache, struct clkv__chain *chain, const void *what,
                        const struct clkv__span *span, clkv_error *error)
{
	const struct clkv__gathering *w = what;
	const struct clkv__selection *s = &cache->selection;
	struct args a = args_of(cache, &cache->kernels->select.mark, error);
	put_mem(&a, cache->pool.layers[span->first_layer].mem);
	put_mem(&a, cache->tables.mem);
	put_mem(&a, cache->jobs_mem);
	put_mem(&a, s->scores);
	put_mem(&a, s->ranks);
	put_mem(&a, s->order);
	put_mem(&a, s->keep);
	put_mem(&a, s->found);
	put_mem(&a, s->traces);
	put_uint(&a, w->n_jobs);
	put_uint(&a, w->leaving->n > 0);
	put_uint(&a, by_rank(cache));
	put_uint(&a, w->leaving->end);
	put_candidates(&a, cache, w->leaving, span);
	return run_span(cache, chain, &a, span, w->n_jobs > 0 ? w->n_jobs : w->leaving->blocks, error);
}

clkv_status clkv__launch_states(clkv_cache *cache, struct clkv__chain *chain,
                                const struct clkv__leaving *leaving, uint32_t n_jobs,
                                clkv_error *error)
{
	const struct clkv__gathering what = {leaving, n_jobs};
	return clkv__for_spans(cache, chain, mark, &what, error);
}

struct marking {
	struct clkv__gathering all; /* of no jobs */
	uint32_t at;                /* launches so far, those of before among them */
	uint32_t *done;
};

static clkv_status mark_next(clkv_cache *cache, struct clkv__chain *chain, const void *what,
                             const struct clkv__span *span, clkv_error *error)
{
	struct marking *m = *(struct marking *const *)what;
	if (m->at++ < *m->done)
		return CLKV_OK;
	CLKV_TRY(mark(cache, chain, &m->all, span, error));
	++*m->done;
	return CLKV_OK;
}

clkv_status clkv__launch_mark(clkv_cache *cache, struct clkv__chain *chain,
                              const struct clkv__leaving *leaving, uint32_t *done,
                              clkv_error *error)
{
	struct marking marking = {{leaving, 0}, 0, done}, *what = &marking;
	return clkv__for_spans(cache, chain, mark_next, &what, error);
}
