/* SPDX-License-Identifier: MIT */
/** \file launch_observe.c \brief Queries of a step's rows, for stages that judge by them. */
#include "attend/args.h"
#include "attend/launch.h"

clkv_status clkv__launch_observe(clkv_cache *cache, struct clkv__chain *chain,
                                 const struct clkv__pass *pass, int layer,
                                 const clkv_observe_args *args, cl_uint n_wait,
                                 const cl_event *wait, cl_event *done, clkv_error *error)
{
	struct clkv__kernel *kernel = &cache->kernels->sealing[0].observe;
	if (layer < cache->plan.general.skip || !kernel->program)
		return done ? clkv__chain_end(chain, done, error) : CLKV_OK;
	struct args a = args_of(cache, kernel, error);
	put_mem(&a, cache->plan_mem);
	put_uint(&a, pass->new_word);
	put_tensor(&a, &args->q);
	put_mem(&a, args->lse ? args->lse : cache->part_ml);
	put_ulong(&a, args->lse_offset);
	put_uint(&a, args->lse != NULL);
	put_mem(&a, seen(cache));
	put_uint(&a, (cl_uint)cache->shape.layers);
	put_uint(&a, (cl_uint)layer);
	put_rope(&a, cache);
	put_mem(&a, cache->selection.rows ? cache->selection.rows : cache->part_ml);
	put_uint(&a, cache->sizes.max_step_tokens);
	size_t groups[3] = {pass->n_rows, (size_t)cache->shape.q_heads, 1};
	return run(&a, chain, 2, groups, lanes_of(cache), n_wait, wait, done, error);
}
