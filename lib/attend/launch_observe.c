/* SPDX-License-Identifier: MIT */
/** \file launch_observe.c \brief Queries of a step's rows, for stages that judge by them. */
#include "../cl/attend/attend_args.clh"
#include "attend/args.h"
#include "attend/launch.h"

KERNEL_ARGS(observe_rows, OBSERVE_ROWS_ARGS)

clkv_status clkv__launch_observe(clkv_cache *cache, struct clkv__chain *chain,
                                 const struct clkv__pass *pass, int layer,
                                 const clkv_observe_args *args, cl_uint n_wait,
                                 const cl_event *wait, cl_event *done, clkv_error *error)
{
	struct clkv__kernel *kernel = &cache->kernels->sealing[0].observe;
	if (layer < cache->plan.general.skip || !kernel->program)
		return done ? clkv__chain_end(chain, done, error) : CLKV_OK;
	struct args a = args_of(cache, kernel, error);
	put_observe_rows(&a,
	                 &(struct observe_rows_args){
						 .plan = cache->plan_mem,
						 .rows = pass->new_word,
						 TENSOR_FIELDS(q, &args->q),
						 .lse = args->lse ? args->lse : cache->part_ml,
						 .lse_offset = args->lse_offset,
						 .has_lse = args->lse != NULL,
						 .seen = seen(cache),
						 .layers = (cl_uint)cache->shape.layers,
						 .layer = (cl_uint)layer,
						 ROPE_FIELDS(cache),
						 .all_rows = cache->selection.rows ? cache->selection.rows : cache->part_ml,
						 .most_rows = cache->sizes.max_step_tokens,
					 });
	size_t groups[3] = {pass->n_rows, (size_t)cache->shape.q_heads, 1};
	return run(&a, chain, 2, groups, lanes_of(cache), n_wait, wait, done, error);
}
