/* SPDX-License-Identifier: MIT */
/** \file launch.c \brief Sets the arguments of a cache's kernels and enqueues them. */
#include "attend/args.h"
#include "attend/launch_index.h"

/* Rows that one work-group of append_rows stores; its macro ROWS. */
enum { APPEND_ROWS = 16 };

/* What doesn't depend on how sealed blocks are pruned: any variant's kernels do. */
static struct clkv__variant_kernels *kernels_of(clkv_cache *cache, int layer)
{
	return layer < cache->plan.general.skip ? &cache->kernels.dense : &cache->kernels.sealing[0];
}

struct clkv__span clkv__span_of(const clkv_cache *cache, int layer, int first)
{
	const struct clkv__plan *plan = &cache->plan;
	int streams = cache->shape.streams, n = 1;
	if (layer < plan->general.skip)
		return (struct clkv__span){layer, 1, first, streams - first, 0};
	int which = clkv__plan_which(plan, streams, layer, first);
	while (first + n < streams && clkv__plan_which(plan, streams, layer, first + n) == which)
		n++;
	return (struct clkv__span){layer, 1, first, n, which};
}

clkv_status clkv__launch_append(clkv_cache *cache, struct clkv__chain *chain, int layer,
                                cl_uint n_rows, const clkv_tensor *k, const clkv_tensor *v,
                                bool stored, cl_uint n_wait, const cl_event *wait, cl_event *done,
                                clkv_error *error)
{
	struct args a = args_of(cache, &kernels_of(cache, layer)->append, error);
	put_mem(&a, cache->pool.layers[layer].mem);
	put_mem(&a, cache->tables.mem);
	put_mem(&a, cache->plan_mem);
	put_mem(&a, cache->counters.mem);
	put_tensor(&a, k);
	put_tensor(&a, v);
	put_uint(&a, 0);
	put_uint(&a, cache->step.new_word);
	put_uint(&a, (cl_uint)layer);
	put_uint(&a, n_rows);
	put_rope(&a, cache);
	put_uint(&a, stored);
	size_t groups[3] = {(n_rows + APPEND_ROWS - 1) / APPEND_ROWS, (size_t)cache->shape.streams, 1};
	return run(&a, chain, 2, groups, lanes_of(cache), n_wait, wait, done, error);
}

static clkv_status attend_list(clkv_cache *cache, struct clkv__chain *chain,
                               struct clkv__kernel *kernel, const struct clkv__work_list *works,
                               const struct clkv__span *span, const clkv_tensor *q, cl_uint n_wait,
                               const cl_event *wait, clkv_error *error)
{
	int layer = span->first_layer;
	if (works->n == 0)
		return CLKV_OK;
	const struct clkv__shape *shape = &cache->shape;
	struct args a = args_of(cache, kernel, error);
	put_mem(&a, cache->pool.layers[layer].mem);
	put_mem(&a, cache->tables.mem);
	put_mem(&a, cache->plan_mem);
	put_tensor(&a, q);
	put_mem(&a, cache->part_acc);
	put_mem(&a, cache->part_ml);
	put_mem(&a, code_tables(cache));
	put_uint(&a, 0);
	put_uint(&a, cache->step.new_word);
	put_uint(&a, works->word);
	put_uint(&a, (cl_uint)layer);
	put_uint(&a, clkv__layer_is_dense(&cache->plan, layer));
	put_uint(&a, shape->window ? (cl_uint)shape->window[layer] : 0);
	put_float(&a, shape->scale);
	put_float(&a, shape->softcap);
	put_uint(&a, (cl_uint)span->first_stream);
	put_rope(&a, cache);
	put_float(&a, cache->plan.select.alpha);
	size_t parts = (size_t)(shape->g / cache->cut.tile_heads);
	size_t groups[3] = {works->n, (size_t)span->n_streams * parts, 1};
	return run(&a, chain, 2, groups, lanes_of(cache), n_wait, wait, NULL, error);
}

static clkv_status merge(clkv_cache *cache, struct clkv__chain *chain, int layer,
                         const clkv_attend_args *args, cl_event *done, clkv_error *error)
{
	struct args a = args_of(cache, &kernels_of(cache, layer)->merge, error);
	put_mem(&a, cache->plan_mem);
	put_mem(&a, cache->part_acc);
	put_mem(&a, cache->part_ml);
	put_tensor(&a, &args->out);
	/* A buffer that the flag tells the kernel not to touch stands in for one that isn't given. */
	put_mem(&a, args->lse ? args->lse : cache->part_ml);
	put_ulong(&a, args->lse_offset);
	put_uint(&a, args->lse != NULL);
	put_mem(&a, args->sinks ? args->sinks : cache->part_ml);
	put_ulong(&a, args->sinks_offset);
	put_uint(&a, args->sinks != NULL);
	put_uint(&a, cache->step.new_word);
	put_tensor(&a, &args->q);
	put_mem(&a, seen(cache));
	put_uint(&a, (cl_uint)cache->shape.layers);
	put_uint(&a, (cl_uint)layer);
	put_rope(&a, cache);
	put_mem(&a, cache->selection.rows ? cache->selection.rows : cache->part_ml);
	put_uint(&a, cache->sizes.max_step_tokens);
	size_t groups[3] = {cache->step.n_rows, (size_t)cache->shape.q_heads, 1};
	return run(&a, chain, 2, groups, lanes_of(cache), 0, NULL, done, error);
}

clkv_status clkv__launch_attend(clkv_cache *cache, struct clkv__chain *chain, int layer,
                                const clkv_attend_args *args, cl_uint n_wait, const cl_event *wait,
                                cl_event *done, clkv_error *error)
{
	const struct clkv_step *step = &cache->step;
	bool recalls = clkv__layer_recalls(cache, layer);
	for (int first = 0; first < cache->shape.streams;) {
		const struct clkv__span span = clkv__span_of(cache, layer, first);
		struct clkv__variant_kernels *k = span_kernels(cache, &span);
		CLKV_TRY(attend_list(cache, chain, &k->attend_row, &step->decode, &span, &args->q, n_wait,
		                     wait, error));
		CLKV_TRY(attend_list(cache, chain, &k->attend_tile, &step->prefill, &span, &args->q, n_wait,
		                     wait, error));
		if (!recalls)
			CLKV_TRY(attend_list(cache, chain, &k->attend_row, &step->recall, &span, &args->q,
			                     n_wait, wait, error));
		first += span.n_streams;
	}
	if (recalls)
		CLKV_TRY(clkv__launch_recall(cache, chain, layer, &args->q, n_wait, wait, error));
	return merge(cache, chain, layer, args, done, error);
}

/* Kernels of seal jobs begin with pool, tables and jobs, those of codecs with sections behind them, ... */
static struct args job_args(clkv_cache *cache, struct clkv__kernel *kernel,
                            const struct clkv__span *span, clkv_error *error)
{
	struct args a = args_of(cache, kernel, error);
	put_mem(&a, cache->pool.layers[span->first_layer].mem);
	put_mem(&a, cache->tables.mem);
	put_mem(&a, cache->jobs_mem);
	return a;
}

static struct args seal_args(clkv_cache *cache, struct clkv__kernel *kernel,
                             const struct clkv__span *span, clkv_error *error)
{
	struct args a = job_args(cache, kernel, span, error);
	put_mem(&a, sections(cache));
	return a;
}

/* ... and end with where the jobs begin and the first layer and KV head. */
static clkv_status run_seal(const clkv_cache *cache, struct args *a, struct clkv__chain *chain,
                            cl_uint n_jobs, const struct clkv__span *span, clkv_error *error)
{
	put_uint(a, 0);
	put_uint(a, (cl_uint)span->first_layer);
	put_uint(a, (cl_uint)span->first_stream);
	size_t groups[3] = {n_jobs, (size_t)span->n_streams, (size_t)span->n_layers};
	return run(a, chain, 3, groups, lanes_of(cache), 0, NULL, NULL, error);
}

clkv_status clkv__launch_prune(clkv_cache *cache, struct clkv__chain *chain, cl_uint n_jobs,
                               const struct clkv__span *span, clkv_error *error)
{
	struct clkv__variant_kernels *k = span_kernels(cache, span);
	if (k->prune.program) {
		struct args a = job_args(cache, &k->prune, span, error);
		put_mem(&a, seen(cache));
		put_mem(&a, sections(cache));
		CLKV_TRY(run_seal(cache, &a, chain, n_jobs, span, error));
	}
	if (!k->prune_v.program)
		return CLKV_OK;
	struct args a = seal_args(cache, &k->prune_v, span, error);
	return run_seal(cache, &a, chain, n_jobs, span, error);
}

clkv_status clkv__launch_seal(clkv_cache *cache, struct clkv__chain *chain, cl_uint n_jobs,
                              const struct clkv__span *span, clkv_error *error)
{
	struct args a = seal_args(cache, &span_kernels(cache, span)->seal, span, error);
	return run_seal(cache, &a, chain, n_jobs, span, error);
}

clkv_status clkv__launch_count(clkv_cache *cache, struct clkv__chain *chain, cl_uint n_jobs,
                               const struct clkv__span *span, clkv_error *error)
{
	struct args a = seal_args(cache, &span_kernels(cache, span)->count, span, error);
	put_mem(&a, cache->histograms);
	return run_seal(cache, &a, chain, n_jobs, span, error);
}

clkv_status clkv__launch_size(clkv_cache *cache, struct clkv__chain *chain, cl_uint n_jobs,
                              const struct clkv__span *span, clkv_error *error)
{
	struct args a = seal_args(cache, &span_kernels(cache, span)->size, span, error);
	put_mem(&a, cache->counters.mem);
	put_mem(&a, code_tables(cache));
	put_uint(&a, cache->code_tables.side[0].live);
	put_uint(&a, cache->code_tables.side[1].live);
	return run_seal(cache, &a, chain, n_jobs, span, error);
}

clkv_status clkv__launch_write(clkv_cache *cache, struct clkv__chain *chain, cl_uint n_jobs,
                               const struct clkv__span *span, clkv_error *error)
{
	struct args a = seal_args(cache, &span_kernels(cache, span)->seal, span, error);
	if (cache->plan.sealing.codec->size.file)
		put_mem(&a, code_tables(cache));
	return run_seal(cache, &a, chain, n_jobs, span, error);
}

clkv_status clkv__launch_verify(clkv_cache *cache, struct clkv__chain *chain, cl_uint n_jobs,
                                const struct clkv__span *span, clkv_error *error)
{
	struct args a = seal_args(cache, &span_kernels(cache, span)->verify, span, error);
	put_mem(&a, cache->counters.mem);
	put_mem(&a, code_tables(cache));
	return run_seal(cache, &a, chain, n_jobs, span, error);
}

clkv_status clkv__launch_table_update(clkv_cache *cache, struct clkv__chain *chain, cl_uint n_pairs,
                                      clkv_error *error)
{
	enum { LOCAL = 64 };
	struct args a = args_of(cache, &cache->kernels.table_update, error);
	put_mem(&a, cache->tables.mem);
	put_mem(&a, cache->pairs_mem);
	put_uint(&a, 0);
	put_uint(&a, n_pairs);
	size_t groups[3] = {(n_pairs + LOCAL - 1) / LOCAL, 1, 1};
	return run(&a, chain, 1, groups, LOCAL, 0, NULL, NULL, error);
}

/* Tokens [from, from + n), or slots. landed: see clkv__launch_read_landed. */
struct reading {
	cl_uint from, n, landed;
	bool slots;
	const clkv_tensor *k, *v;
};

static clkv_status read_span(clkv_seq *seq, struct clkv__chain *chain,
                             const struct clkv__span *span, const struct reading *r,
                             clkv_error *error)
{
	int layer = span->first_layer;
	clkv_cache *cache = seq->cache;
	clkv_tensor none = {cache->part_ml, 0, CLKV_F32, 1, 1};
	uint32_t sinks = clkv__sinks(cache, seq->length);
	struct args a = args_of(cache, &span_kernels(cache, span)->read, error);
	put_mem(&a, cache->pool.layers[layer].mem);
	put_mem(&a, cache->tables.mem);
	put_tensor(&a, r->k ? r->k : &none);
	put_uint(&a, r->k != NULL);
	put_tensor(&a, r->v ? r->v : &none);
	put_uint(&a, r->v != NULL);
	put_mem(&a, code_tables(cache));
	put_uint(&a, seq->slab);
	put_uint(&a, cache->sizes.cap);
	put_uint(&a, seq->tail > sinks ? seq->tail : sinks);
	put_uint(&a, sinks);
	put_uint(&a, clkv__layer_is_dense(&cache->plan, layer));
	put_uint(&a, (cl_uint)layer);
	put_uint(&a, r->from);
	put_uint(&a, r->n);
	put_uint(&a, (cl_uint)span->first_stream);
	put_uint(&a, cache->pool.layers[layer].landing);
	put_uint(&a, r->landed);
	put_uint(&a, cache->sizes.sealed_units);
	put_uint(&a, r->slots);
	size_t groups[3] = {r->n, (size_t)span->n_streams, 1};
	return run(&a, chain, 2, groups, lanes_of(cache), 0, NULL, NULL, error);
}

clkv_status clkv__launch_read(clkv_seq *seq, struct clkv__chain *chain, int layer, cl_uint from,
                              cl_uint n, const clkv_tensor *k, const clkv_tensor *v,
                              clkv_error *error)
{
	return clkv__launch_read_landed(seq, chain, layer, from, n, 0, k, v, error);
}

clkv_status clkv__launch_read_landed(clkv_seq *seq, struct clkv__chain *chain, int layer,
                                     cl_uint from, cl_uint n, uint32_t landed, const clkv_tensor *k,
                                     const clkv_tensor *v, clkv_error *error)
{
	const struct reading r = {from, n, landed, false, k, v};
	for (int first = 0; first < seq->cache->shape.streams;) {
		const struct clkv__span span = clkv__span_of(seq->cache, layer, first);
		CLKV_TRY(read_span(seq, chain, &span, &r, error));
		first += span.n_streams;
	}
	return CLKV_OK;
}

clkv_status clkv__launch_read_slots(clkv_seq *seq, struct clkv__chain *chain, int layer, int stream,
                                    cl_uint n, const clkv_tensor *k, const clkv_tensor *v,
                                    clkv_error *error)
{
	const struct reading r = {0, n, 0, true, k, v};
	struct clkv__span span = clkv__span_of(seq->cache, layer, stream);
	span.n_streams = 1;
	return read_span(seq, chain, &span, &r, error);
}
