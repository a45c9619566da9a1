/* SPDX-License-Identifier: MIT */
/** \file launch.c \brief Launches of a pass: rows appended and attended with, tables changed. */
#include "attend/launch.h"

#include "../cl/attend/attend_args.clh"
#include "attend/args.h"
#include "attend/launch_index.h"
#include "attend/launch_weights.h"

KERNEL_ARGS(append_rows, APPEND_ROWS_ARGS)
KERNEL_ARGS(attend_partial, ATTEND_PARTIAL_ARGS)
KERNEL_ARGS(attend_merge, ATTEND_MERGE_ARGS)
KERNEL_ARGS(table_update, TABLE_UPDATE_ARGS)

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
	const struct append_rows_args given = {
		.pool = cache->pool.layers[layer].mem,
		.tables = cache->tables.mem,
		.plan = cache->plan_mem,
		.counters = cache->counters.mem,
		TENSOR_FIELDS(k, k),
		TENSOR_FIELDS(v, v),
		.items = 0,
		.rows = pass->new_word,
		.layer = (cl_uint)layer,
		.n_rows = pass->n_rows,
		ROPE_FIELDS(cache),
		.stored = stored,
		PROJECTION_FIELDS(cache, layer),
	};
	put_append_rows(&a, &given);
	size_t groups[3] = {(pass->n_rows + ABI_APPEND_ROWS - 1) / ABI_APPEND_ROWS,
	                    (size_t)cache->shape.streams, 1};
	return run(&a, chain, 2, groups, lanes_of(cache), n_wait, wait, done, error);
}

/* left: the first row of the item that leaves its weights, or NULL: none does. */
static clkv_status attend_list(clkv_cache *cache, struct clkv__chain *chain,
                               const struct clkv__pass *pass, struct clkv__kernel *kernel,
                               const struct clkv__work_list *works, const uint32_t *left,
                               const struct clkv__span *span, const clkv_tensor *q, cl_uint n_wait,
                               const cl_event *wait, clkv_error *error)
{
	int layer = span->first_layer;
	if (works->n == 0)
		return CLKV_OK;
	const struct clkv__shape *shape = &cache->shape;
	struct args a = args_of(cache, kernel, error);
	put_attend_partial(
		&a, &(struct attend_partial_args){
				.pool = cache->pool.layers[layer].mem,
				.tables = cache->tables.mem,
				.plan = cache->plan_mem,
				TENSOR_FIELDS(q, q),
				.part_acc = cache->part_acc,
				.part_ml = cache->part_ml,
				.code_tables = code_tables(cache),
				.items = 0,
				.rows = pass->new_word,
				.work = works->word,
				.layer = (cl_uint)layer,
				/* where layers slide, blocks before the tail are gone */
				.dense = clkv__layer_is_dense(&cache->plan, layer) && cache->plan.slides == 0,
				.window = shape->window ? (cl_uint)shape->window[layer] : 0,
				.scale = shape->scale,
				.softcap = shape->softcap,
				.first_stream = (cl_uint)span->first_stream,
				ROPE_FIELDS(cache),
				.alpha = cache->plan.select.alpha,
				PROJECTION_FIELDS(cache, layer),
				.weights = cache->selection.weights ? cache->selection.weights : cache->part_ml,
				.places = cache->sizes.places,
				.left_rows = left ? cache->sizes.left_rows : 0,
				.left_first = left ? *left : 0,
			});
	size_t parts = (size_t)(shape->g / cache->cut.tile_heads);
	size_t groups[3] = {works->n, (size_t)span->n_streams * parts, 1};
	return run(&a, chain, 2, groups, lanes_of(cache), n_wait, wait, NULL, error);
}

/* Of n rows of the step from `first` on. */
static clkv_status merge(clkv_cache *cache, struct clkv__chain *chain,
                         const struct clkv__pass *pass, int layer, uint32_t first, uint32_t n,
                         const clkv_attend_args *args, cl_event *done, clkv_error *error)
{
	if (n == 0)
		return CLKV_OK;
	struct args a = args_of(cache, &kernels_of(cache, layer)->merge, error);
	put_attend_merge(
		&a,
		&(struct attend_merge_args){
			.plan = cache->plan_mem,
			.part_acc = cache->part_acc,
			.part_ml = cache->part_ml,
			TENSOR_FIELDS(out, &args->out),
			/* A buffer that the flag tells the kernel not to touch stands in for one that isn't given. */
			.lse = args->lse ? args->lse : cache->part_ml,
			.lse_offset = args->lse_offset,
			.has_lse = args->lse != NULL,
			.sinks = args->sinks ? args->sinks : cache->part_ml,
			.sinks_offset = args->sinks_offset,
			.has_sinks = args->sinks != NULL,
			.rows = pass->new_word,
			.first_row = first,
			TENSOR_FIELDS(q, &args->q),
			.seen = seen(cache),
			.layers = (cl_uint)cache->shape.layers,
			.layer = (cl_uint)layer,
			ROPE_FIELDS(cache),
			.all_rows = cache->selection.rows ? cache->selection.rows : cache->part_ml,
			.most_rows = cache->sizes.max_step_tokens,
			PROJECTION_FIELDS(cache, layer),
		});
	size_t groups[3] = {n, (size_t)cache->shape.q_heads, 1};
	return run(&a, chain, 2, groups, lanes_of(cache), 0, NULL, done, error);
}

/* Rows that leave their weights and weigh tokens by them, as many at a time as there is room for. */
static clkv_status attend_left(clkv_cache *cache, struct clkv__chain *chain,
                               const struct clkv__pass *pass, int layer,
                               const clkv_attend_args *args, cl_uint n_wait, const cl_event *wait,
                               clkv_error *error)
{
	const struct clkv__left_item *left = &pass->left;
	const uint32_t tile = (uint32_t)cache->cut.tile_rows, most = cache->sizes.left_rows;
	for (uint32_t row = 0, n; row < left->n_rows; row += n) {
		n = left->n_rows - row < most ? left->n_rows - row : most;
		const struct clkv__work_list works = {left->works.word +
		                                          row / tile * left->per_tile * ABI_WORK_WORDS,
		                                      (n + tile - 1) / tile * left->per_tile};
		for (int first = 0; first < cache->shape.streams;) {
			const struct clkv__span span = clkv__span_of(cache, layer, first);
			CLKV_TRY(attend_list(cache, chain, pass, &span_kernels(cache, &span)->attend_tile,
			                     &works, &row, &span, &args->q, n_wait, wait, error));
			first += span.n_streams;
		}
		CLKV_TRY(merge(cache, chain, pass, layer, left->row + row, n, args, NULL, error));
		CLKV_TRY(clkv__launch_weights(cache, chain, left, layer, row, n, error));
	}
	return CLKV_OK;
}

clkv_status clkv__launch_attend(clkv_cache *cache, struct clkv__chain *chain,
                                const struct clkv__pass *pass, int layer,
                                const clkv_attend_args *args, cl_uint n_wait, const cl_event *wait,
                                cl_event *done, clkv_error *error)
{
	bool recalls = clkv__layer_recalls(cache, layer);
	bool leaves = pass->left.works.n > 0 && layer >= cache->plan.general.skip;
	if (leaves)
		CLKV_TRY(attend_left(cache, chain, pass, layer, args, n_wait, wait, error));
	for (int first = 0; first < cache->shape.streams;) {
		const struct clkv__span span = clkv__span_of(cache, layer, first);
		struct clkv__variant_kernels *k = span_kernels(cache, &span);
		CLKV_TRY(attend_list(cache, chain, pass, &k->attend_row, &pass->decode, NULL, &span,
		                     &args->q, n_wait, wait, error));
		CLKV_TRY(attend_list(cache, chain, pass, &k->attend_tile, &pass->prefill, NULL, &span,
		                     &args->q, n_wait, wait, error));
		if (!leaves)
			CLKV_TRY(attend_list(cache, chain, pass, &k->attend_tile, &pass->left.works, NULL,
			                     &span, &args->q, n_wait, wait, error));
		if (!recalls)
			CLKV_TRY(attend_list(cache, chain, pass, &k->attend_row, &pass->recall, NULL, &span,
			                     &args->q, n_wait, wait, error));
		first += span.n_streams;
	}
	if (recalls)
		CLKV_TRY(clkv__launch_recall(cache, chain, pass, layer, &args->q, n_wait, wait, error));
	if (!leaves)
		return merge(cache, chain, pass, layer, 0, pass->n_rows, args, done, error);
	CLKV_TRY(merge(cache, chain, pass, layer, 0, pass->left.row, args, NULL, error));
	uint32_t behind = pass->left.row + pass->left.n_rows;
	CLKV_TRY(merge(cache, chain, pass, layer, behind, pass->n_rows - behind, args, NULL, error));
	return done ? clkv__chain_end(chain, done, error) : CLKV_OK;
}

clkv_status clkv__launch_table_update(clkv_cache *cache, struct clkv__chain *chain, cl_uint n_pairs,
                                      clkv_error *error)
{
	enum { LOCAL = 64 };
	struct args a = args_of(cache, &cache->kernels->table_update, error);
	const struct table_update_args given = {
		.tables = cache->tables.mem,
		.pairs = cache->pairs_mem,
		.offset = 0,
		.n = n_pairs,
	};
	put_table_update(&a, &given);
	size_t groups[3] = {(n_pairs + LOCAL - 1) / LOCAL, 1, 1};
	return run(&a, chain, 1, groups, LOCAL, 0, NULL, NULL, error);
}
