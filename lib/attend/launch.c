/* SPDX-License-Identifier: MIT */
/** \file launch.c \brief Launches of a pass: rows appended and attended with, tables changed. */
#include "attend/launch.h"

#include "attend/args.h"
#include "attend/launch_index.h"

/* Rows that one work-group of append_rows stores; its macro ROWS. */
enum { APPEND_ROWS = 16 };

/* What doesn't depend on how sealed blocks are pruned: any variant's kernels do. */
static struct clkv__variant_kernels *kernels_of(clkv_cache *cache, int layer)
{
	return layer < cache->plan.general.skip ? &cache->kernels->dense : &cache->kernels->sealing[0];
}

clkv_status clkv__launch_append(clkv_cache *cache, struct clkv__chain *chain,
                                const struct clkv__pass *pass, int layer, const clkv_tensor *k,
                                const clkv_tensor *v, bool stored, cl_uint n_wait,
                                const cl_event *wait, cl_event *done, clkv_error *error)
{
	struct args a = args_of(cache, &kernels_of(cache, layer)->append, error);
	put_mem(&a, cache->pool.layers[layer].mem);
	put_mem(&a, cache->tables.mem);
	put_mem(&a, cache->plan_mem);
	put_mem(&a, cache->counters.mem);
	put_tensor(&a, k);
	put_tensor(&a, v);
	put_uint(&a, 0);
	put_uint(&a, pass->new_word);
	put_uint(&a, (cl_uint)layer);
	put_uint(&a, pass->n_rows);
	put_rope(&a, cache);
	put_uint(&a, stored);
	put_projections(&a, cache, layer);
	size_t groups[3] = {(pass->n_rows + APPEND_ROWS - 1) / APPEND_ROWS,
	                    (size_t)cache->shape.streams, 1};
	return run(&a, chain, 2, groups, lanes_of(cache), n_wait, wait, done, error);
}

static clkv_status attend_list(clkv_cache *cache, struct clkv__chain *chain,
                               const struct clkv__pass *pass, struct clkv__kernel *kernel,
                               const struct clkv__work_list *works, const struct clkv__span *span,
                               const clkv_tensor *q, cl_uint n_wait, const cl_event *wait,
                               clkv_error *error)
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
	put_uint(&a, pass->new_word);
	put_uint(&a, works->word);
	put_uint(&a, (cl_uint)layer);
	/* where layers slide, blocks before the tail are gone */
	put_uint(&a, clkv__layer_is_dense(&cache->plan, layer) && cache->plan.slides == 0);
	put_uint(&a, shape->window ? (cl_uint)shape->window[layer] : 0);
	put_float(&a, shape->scale);
	put_float(&a, shape->softcap);
	put_uint(&a, (cl_uint)span->first_stream);
	put_rope(&a, cache);
	put_float(&a, cache->plan.select.alpha);
	put_projections(&a, cache, layer);
	size_t parts = (size_t)(shape->g / cache->cut.tile_heads);
	size_t groups[3] = {works->n, (size_t)span->n_streams * parts, 1};
	return run(&a, chain, 2, groups, lanes_of(cache), n_wait, wait, NULL, error);
}

static clkv_status merge(clkv_cache *cache, struct clkv__chain *chain,
                         const struct clkv__pass *pass, int layer, const clkv_attend_args *args,
                         cl_event *done, clkv_error *error)
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
	put_uint(&a, pass->new_word);
	put_tensor(&a, &args->q);
	put_mem(&a, seen(cache));
	put_uint(&a, (cl_uint)cache->shape.layers);
	put_uint(&a, (cl_uint)layer);
	put_rope(&a, cache);
	put_mem(&a, cache->selection.rows ? cache->selection.rows : cache->part_ml);
	put_uint(&a, cache->sizes.max_step_tokens);
	put_projections(&a, cache, layer);
	size_t groups[3] = {pass->n_rows, (size_t)cache->shape.q_heads, 1};
	return run(&a, chain, 2, groups, lanes_of(cache), 0, NULL, done, error);
}

clkv_status clkv__launch_attend(clkv_cache *cache, struct clkv__chain *chain,
                                const struct clkv__pass *pass, int layer,
                                const clkv_attend_args *args, cl_uint n_wait, const cl_event *wait,
                                cl_event *done, clkv_error *error)
{
	bool recalls = clkv__layer_recalls(cache, layer);
	for (int first = 0; first < cache->shape.streams;) {
		const struct clkv__span span = clkv__span_of(cache, layer, first);
		struct clkv__variant_kernels *k = span_kernels(cache, &span);
		CLKV_TRY(attend_list(cache, chain, pass, &k->attend_row, &pass->decode, &span, &args->q,
		                     n_wait, wait, error));
		CLKV_TRY(attend_list(cache, chain, pass, &k->attend_tile, &pass->prefill, &span, &args->q,
		                     n_wait, wait, error));
		if (!recalls)
			CLKV_TRY(attend_list(cache, chain, pass, &k->attend_row, &pass->recall, &span, &args->q,
			                     n_wait, wait, error));
		first += span.n_streams;
	}
	if (recalls)
		CLKV_TRY(clkv__launch_recall(cache, chain, pass, layer, &args->q, n_wait, wait, error));
	return merge(cache, chain, pass, layer, args, done, error);
}

clkv_status clkv__launch_table_update(clkv_cache *cache, struct clkv__chain *chain, cl_uint n_pairs,
                                      clkv_error *error)
{
	enum { LOCAL = 64 };
	struct args a = args_of(cache, &cache->kernels->table_update, error);
	put_mem(&a, cache->tables.mem);
	put_mem(&a, cache->pairs_mem);
	put_uint(&a, 0);
	put_uint(&a, n_pairs);
	size_t groups[3] = {(n_pairs + LOCAL - 1) / LOCAL, 1, 1};
	return run(&a, chain, 1, groups, LOCAL, 0, NULL, NULL, error);
}
