/* SPDX-License-Identifier: MIT */
/** \file launch_seal.c \brief Launches of seal jobs: pruned, counted, sized, written, verified. */
#include "../cl/prune/prune_args.clh"
#include "../cl/seal/seal_args.clh"
#include "attend/args.h"
#include "attend/launch.h"

KERNEL_ARGS(prune_block, PRUNE_BLOCK_ARGS)
KERNEL_ARGS(prune_values, PRUNE_VALUES_ARGS)
KERNEL_ARGS(judge_block, JUDGE_BLOCK_ARGS)
KERNEL_ARGS(seal_block, SEAL_BLOCK_ARGS)
KERNEL_ARGS(bounded_count, BOUNDED_COUNT_ARGS)
KERNEL_ARGS(size_block, SIZE_BLOCK_ARGS)
KERNEL_ARGS(write_block, WRITE_BLOCK_ARGS)
KERNEL_ARGS(bounded_verify, BOUNDED_VERIFY_ARGS)

/* What all of them begin and end with. */
#define JOB_FIELDS(cache, span)                                                                    \
	.pool = (cache)->pool.layers[(span)->first_layer].mem, .tables = (cache)->tables.mem,          \
	.plan = (cache)->jobs_mem, .jobs = 0, .first_layer = (cl_uint)(span)->first_layer,             \
	.first_stream = (cl_uint)(span)->first_stream, .sections = sections(cache)

static clkv_status run_seal(const clkv_cache *cache, struct args *a, struct clkv__chain *chain,
                            cl_uint n_jobs, const struct clkv__span *span, clkv_error *error)
{
	size_t groups[3] = {n_jobs, (size_t)span->n_streams, (size_t)span->n_layers};
	return run(a, chain, 3, groups, lanes_of(cache), 0, NULL, NULL, error);
}

clkv_status clkv__launch_prune(clkv_cache *cache, struct clkv__chain *chain, cl_uint n_jobs,
                               const struct clkv__span *span, clkv_error *error)
{
	struct clkv__variant_kernels *k = span_kernels(cache, span);
	if (k->prune.program) {
		struct args a = args_of(cache, &k->prune, error);
		put_prune_block(&a,
		                &(struct prune_block_args){JOB_FIELDS(cache, span), .seen = seen(cache)});
		CLKV_TRY(run_seal(cache, &a, chain, n_jobs, span, error));
	}
	if (!k->prune_v.program)
		return CLKV_OK;
	struct args a = args_of(cache, &k->prune_v, error);
	const struct prune_values_args given = {
		JOB_FIELDS(cache, span),
	};
	put_prune_values(&a, &given);
	return run_seal(cache, &a, chain, n_jobs, span, error);
}

static clkv_status judge(clkv_cache *cache, struct clkv__chain *chain, const void *what,
                         const struct clkv__span *span, clkv_error *error)
{
	const cl_uint *n_jobs = what;
	const struct clkv__shape *s = &cache->shape;
	struct args a = args_of(cache, &span_kernels(cache, span)->judge, error);
	const struct judge_block_args given = {
		JOB_FIELDS(cache, span),
		.seen = seen(cache),
		.window = s->window ? (cl_uint)s->window[span->first_layer] : 0,
		.scale = s->scale,
		.softcap = s->softcap,
		.alpha = cache->plan.select.alpha,
	};
	put_judge_block(&a, &given);
	return run_seal(cache, &a, chain, *n_jobs, span, error);
}

clkv_status clkv__launch_judge(clkv_cache *cache, struct clkv__chain *chain, cl_uint n_jobs,
                               const struct clkv__span *span, clkv_error *error)
{
	return by_window(cache, chain, judge, &n_jobs, span, error);
}

clkv_status clkv__launch_seal(clkv_cache *cache, struct clkv__chain *chain, cl_uint n_jobs,
                              const struct clkv__span *span, clkv_error *error)
{
	struct args a = args_of(cache, &span_kernels(cache, span)->seal, error);
	const struct seal_block_args given = {
		JOB_FIELDS(cache, span),
		.projections = projections(cache),
		ROPE_FIELDS(cache),
	};
	put_seal_block(&a, &given);
	return run_seal(cache, &a, chain, n_jobs, span, error);
}

clkv_status clkv__launch_count(clkv_cache *cache, struct clkv__chain *chain, cl_uint n_jobs,
                               const struct clkv__span *span, clkv_error *error)
{
	struct args a = args_of(cache, &span_kernels(cache, span)->count, error);
	const struct bounded_count_args given = {
		JOB_FIELDS(cache, span),
		.histograms = cache->histograms,
	};
	put_bounded_count(&a, &given);
	return run_seal(cache, &a, chain, n_jobs, span, error);
}

clkv_status clkv__launch_size(clkv_cache *cache, struct clkv__chain *chain, cl_uint n_jobs,
                              const struct clkv__span *span, clkv_error *error)
{
	struct args a = args_of(cache, &span_kernels(cache, span)->size, error);
	const struct size_block_args given = {
		JOB_FIELDS(cache, span),
		.counters = cache->counters.mem,
		.code_tables = code_tables(cache),
		.live_k = cache->code_tables.side[0].live,
		.live_v = cache->code_tables.side[1].live,
	};
	put_size_block(&a, &given);
	return run_seal(cache, &a, chain, n_jobs, span, error);
}

clkv_status clkv__launch_write(clkv_cache *cache, struct clkv__chain *chain, cl_uint n_jobs,
                               const struct clkv__span *span, clkv_error *error)
{
	/* where a pruning alone makes sizes differ, the codec writes as it always does */
	if (!cache->plan.sealing.codec->size.file)
		return clkv__launch_seal(cache, chain, n_jobs, span, error);
	struct args a = args_of(cache, &span_kernels(cache, span)->seal, error);
	const struct write_block_args given = {
		JOB_FIELDS(cache, span),
		.code_tables = code_tables(cache),
	};
	put_write_block(&a, &given);
	return run_seal(cache, &a, chain, n_jobs, span, error);
}

clkv_status clkv__launch_verify(clkv_cache *cache, struct clkv__chain *chain, cl_uint n_jobs,
                                const struct clkv__span *span, clkv_error *error)
{
	struct args a = args_of(cache, &span_kernels(cache, span)->verify, error);
	const struct bounded_verify_args given = {
		JOB_FIELDS(cache, span),
		.counters = cache->counters.mem,
		.code_tables = code_tables(cache),
	};
	put_bounded_verify(&a, &given);
	return run_seal(cache, &a, chain, n_jobs, span, error);
}
