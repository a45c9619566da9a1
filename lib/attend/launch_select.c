/* SPDX-License-Identifier: MIT */
/** \file launch_select.c \brief Launches of a commit that selects tokens. */
#include "attend/launch_select.h"

#include "attend/launch_choice.h"
#include "attend/launch_expect.h"
#include "attend/select_launch.h"

KERNEL_ARGS(score_sums, SCORE_SUMS_ARGS)
KERNEL_ARGS(score_rows, SCORE_ROWS_ARGS)
KERNEL_ARGS(select_list, SELECT_LIST_ARGS)
KERNEL_ARGS(score_pool, SCORE_POOL_ARGS)
KERNEL_ARGS(score_mean, SCORE_MEAN_ARGS)
KERNEL_ARGS(score_mix, SCORE_MIX_ARGS)
KERNEL_ARGS(merge_slots, MERGE_SLOTS_ARGS)
KERNEL_ARGS(weigh_dropped, WEIGH_DROPPED_ARGS)
KERNEL_ARGS(gather_slots, GATHER_SLOTS_ARGS)
KERNEL_ARGS(mark_slots, MARK_SLOTS_ARGS)

/* Log-sums of the rows' logits of candidates alone. */
static clkv_status sum_rows(clkv_cache *cache, struct clkv__chain *chain, const struct scoring *s,
                            const struct clkv__span *span, clkv_error *error)
{
	uint32_t rows = (uint32_t)cache->cut.tile_rows;
	struct args a = args_of(cache, &span_kernels(cache, span)->score_sums, error);
	const struct score_sums_args given = {
		.pool = cache->pool.layers[span->first_layer].mem,
		.tables = cache->tables.mem,
		.queries = s->by->queries,
		.code_tables = code_tables(cache),
		.sums = cache->selection.sums,
		.from = s->leaving->from,
		.leaving = s->leaving->n,
		ASKED_FIELDS(cache, s, span),
		.softcap = cache->shape.softcap,
		.alpha = cache->plan.select.alpha,
		PROJECTION_FIELDS(cache, span->first_layer),
	};
	put_score_sums(&a, &given);
	return run_span(cache, chain, &a, span, (s->by->n + rows - 1) / rows, error);
}

static clkv_status score_rows(clkv_cache *cache, struct clkv__chain *chain, const void *what,
                              const struct clkv__span *span, clkv_error *error)
{
	const struct scoring *s = what;
	const struct clkv__select *p = &cache->plan.select;
	if (p->old)
		CLKV_TRY(sum_rows(cache, chain, s, span, error));
	struct clkv__variant_kernels *k = span_kernels(cache, span);
	bool one = s->by->n == 1 && k->score_row.program;
	struct args a = args_of(cache, one ? &k->score_row : &k->score_rows, error);
	put_score_rows(
		&a, &(struct score_rows_args){
				.pool = cache->pool.layers[span->first_layer].mem,
				.tables = cache->tables.mem,
				.queries = s->by->queries,
				.code_tables = code_tables(cache),
				.scores = cache->selection.scores,
				.places = cache->sizes.places,
				ASKED_FIELDS(cache, s, span),
				.softcap = cache->shape.softcap,
				.alpha = cache->plan.select.alpha,
				.lambda = clkv__weighs(p) ? p->lambda : 1.0f,
				.add = clkv__weighs(p),
				.traces = cache->selection.traces,
				.sums = cache->selection.sums ? cache->selection.sums : cache->selection.scores,
				PROJECTION_FIELDS(cache, span->first_layer),
			});
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
	[ABI_SCORE_REREAD] = {weigh_rows},
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
	const struct clkv__leaving *leaving = what;
	const struct clkv__selection *s = &cache->selection;
	struct args a = args_of(cache, &cache->kernels->select.list, error);
	const struct select_list_args given = {
		.pool = cache->pool.layers[span->first_layer].mem,
		.tables = cache->tables.mem,
		.scores = s->scores,
		.order = s->order,
		.ranks = s->ranks,
		.found = s->found,
		CANDIDATES_FIELDS(cache, leaving, span),
	};
	put_select_list(&a, &given);
	return run_span(cache, chain, &a, span, 1, error);
}

static clkv_status pool_scores(clkv_cache *cache, struct clkv__chain *chain, clkv_error *error)
{
	struct args a = args_of(cache, &cache->kernels->select.pool, error);
	const struct score_pool_args given = {
		.ranks = cache->selection.ranks,
		.chosen = cache->selection.chosen,
		.found = cache->selection.found,
		HEADS_FIELDS(cache),
	};
	put_score_pool(&a, &given);
	return run_heads(cache, chain, &a, error);
}

static clkv_status mean_scores(clkv_cache *cache, struct clkv__chain *chain,
                               const struct clkv__leaving *leaving, clkv_error *error)
{
	bool adds = clkv__choice_of(&cache->plan.select)->adds;
	struct clkv__span all = every_layer(cache);
	struct args a = args_of(cache, &cache->kernels->select.mean, error);
	const struct score_mean_args given = {
		.ranks = cache->selection.ranks,
		.found = cache->selection.found,
		.n = adds ? leaving->n : UINT32_MAX,
		.cap = cache->sizes.cap,
		.places = cache->sizes.places,
		.first_layer = (cl_uint)all.first_layer,
	};
	put_score_mean(&a, &given);
	all.n_streams = 1;
	return run_span(cache, chain, &a, &all, 1, error);
}

static clkv_status mix_scores(clkv_cache *cache, struct clkv__chain *chain, const void *what,
                              const struct clkv__span *span, clkv_error *error)
{
	const struct clkv__leaving *leaving = what;
	const struct clkv__selection *s = &cache->selection;
	struct args a = args_of(cache, &cache->kernels->select.mix, error);
	const struct score_mix_args given = {
		.pool = cache->pool.layers[span->first_layer].mem,
		.tables = cache->tables.mem,
		.ranks = s->ranks,
		.traces = s->traces,
		.order = s->order,
		.found = s->found,
		.peak = cache->plan.select.peak,
		.end = leaving->end,
		CANDIDATES_FIELDS(cache, leaving, span),
	};
	put_score_mix(&a, &given);
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
	const struct merge_slots_args given = {
		.pool = cache->pool.layers[span->first_layer].mem,
		.tables = cache->tables.mem,
		.code_tables = code_tables(cache),
		.scores = s->scores,
		.ranks = s->ranks,
		.order = s->order,
		.keep = s->keep,
		.found = s->found,
		.work = s->work,
		.spots = s->spots,
		.masses = s->masses,
		.by_rank = by_rank(cache),
		.merged = m->merged,
		.merged_blocks = m->blocks,
		CANDIDATES_FIELDS(cache, m->leaving, span),
	};
	put_merge_slots(&a, &given);
	return run_span(cache, chain, &a, span, 1, error);
}

static clkv_status weigh_dropped(clkv_cache *cache, struct clkv__chain *chain,
                                 const struct merging *m, clkv_error *error)
{
	const struct clkv__selection *s = &cache->selection;
	struct args a = args_of(cache, &cache->kernels->select.weigh, error);
	put_weigh_dropped(&a,
	                  &(struct weigh_dropped_args){
						  .scores = s->scores,
						  .traces = s->traces,
						  .ranks = s->ranks,
						  .order = s->order,
						  .keep = s->keep,
						  .found = s->found,
						  .masses = s->masses,
						  /* as if all rows had looked as the newest do */
						  .recent = cache->plan.select.recent * (float)m->leaving->end / ABI_RECENT,
						  .merged = m->leaving->seq->kept.merged_blocks > 0 ? 0 : m->merged,
						  HEADS_FIELDS(cache),
					  });
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
	const struct gather_slots_args given = {
		.pool = cache->pool.layers[span->first_layer].mem,
		.tables = cache->tables.mem,
		.jobs = cache->jobs_mem,
		.code_tables = code_tables(cache),
		.scores = s->scores,
		.ranks = s->ranks,
		.order = s->order,
		.chosen = s->chosen,
		.traces = s->traces,
		.by_rank = by_rank(cache),
		CANDIDATES_FIELDS(cache, w->leaving, span),
	};
	put_gather_slots(&a, &given);
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
	const struct mark_slots_args given = {
		.pool = cache->pool.layers[span->first_layer].mem,
		.tables = cache->tables.mem,
		.plan = cache->jobs_mem,
		.scores = s->scores,
		.ranks = s->ranks,
		.order = s->order,
		.keep = s->keep,
		.found = s->found,
		.traces = s->traces,
		.jobs = w->n_jobs,
		.selected = w->leaving->n > 0,
		.by_rank = by_rank(cache),
		.end = w->leaving->end,
		CANDIDATES_FIELDS(cache, w->leaving, span),
	};
	put_mark_slots(&a, &given);
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
