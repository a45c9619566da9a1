/* SPDX-License-Identifier: MIT */
/** \file launch_weights.c \brief Tokens weighed by the weights that attention leaves. */
#include "attend/launch_weights.h"

#include "../cl/select/select_args.clh"
#include "attend/args.h"

KERNEL_ARGS(score_weights, SCORE_WEIGHTS_ARGS)

clkv_status clkv__launch_weights(clkv_cache *cache, struct clkv__chain *chain,
                                 const struct clkv__left_item *left, int layer, uint32_t first,
                                 uint32_t n, clkv_error *error)
{
	const struct clkv__selection *s = &cache->selection;
	struct args a = args_of(cache, &cache->kernels->select.weights, error);
	put_score_weights(&a,
	                  &(struct score_weights_args){
						  .pool = cache->pool.layers[layer].mem,
						  .tables = cache->tables.mem,
						  .queries = s->rows,
						  .weights = s->weights,
						  .scores = s->weighed,
						  .traces = s->peaked,
						  .places = cache->sizes.places,
						  .slab = left->slab,
						  .cap = cache->sizes.cap,
						  .sinks = left->sinks,
						  .tail = left->tail,
						  .many = cache->sizes.max_step_tokens,
						  .first = left->row + first,
						  .n = n,
						  .position = left->position + first,
						  .layers = (cl_uint)cache->shape.layers,
						  .first_layer = (cl_uint)layer,
						  .window = cache->shape.window ? (cl_uint)cache->shape.window[layer] : 0,
						  .scale = cache->shape.scale,
						  .lambda = cache->plan.select.lambda,
						  .left_rows = cache->sizes.left_rows,
						  .end = left->position + left->n_rows,
						  .began = first > 0,
					  });
	const size_t groups[3] = {left->blocks, (size_t)cache->shape.streams, 1};
	return run(&a, chain, 3, groups, lanes_of(cache), 0, NULL, NULL, error);
}

clkv_status clkv__launch_weighed(clkv_cache *cache, struct clkv__chain *chain, clkv_error *error)
{
	const struct clkv__selection *s = &cache->selection;
	const size_t heads = (size_t)(cache->shape.layers * cache->shape.streams);
	const size_t size = heads * cache->sizes.places * 4;
	CLKV_TRY(clkv__chain_copy(chain, s->weighed, 0, s->scores, 0, size, error));
	return clkv__chain_copy(chain, s->peaked, 0, s->traces, 0, size, error);
}
