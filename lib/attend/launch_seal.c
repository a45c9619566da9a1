/* SPDX-License-Identifier: MIT */
/** \file launch_seal.c \brief Launches of seal jobs: pruned, counted, sized, written, verified. */
#include "attend/args.h"
#include "attend/launch.h"

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
