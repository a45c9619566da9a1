/* SPDX-License-Identifier: MIT */
/** \file launch_index.c \brief Launches the kernels that make indexes, some layers at a time. */
#include "attend/launch_index.h"

#include "../cl/recall/recall_args.clh"
#include "attend/args.h"

KERNEL_ARGS(index_points, INDEX_POINTS_ARGS)
KERNEL_ARGS(index_metric, INDEX_METRIC_ARGS)
KERNEL_ARGS(index_pages, INDEX_PAGES_ARGS)
KERNEL_ARGS(index_clusters, INDEX_CLUSTERS_ARGS)

static clkv_status launch_points(clkv_cache *cache, struct clkv__chain *chain,
                                 const struct clkv__index_job *job, int layer, int n_layers,
                                 clkv_error *error)
{
	struct args a = args_of(cache, &cache->kernels->recall.points, error);
	const struct index_points_args given = {
		.pool = cache->pool.layers[layer].mem,
		.tables = cache->tables.mem,
		.build = cache->index.build,
		.stride = (size_t)cache->sizes.build_bytes,
		.slab = job->seq->slab,
		.cap = cache->sizes.cap,
		.from = job->from,
		.n = job->n,
		.step = job->step,
		.first_layer = (cl_uint)layer,
		ROPE_FIELDS(cache),
	};
	put_index_points(&a, &given);
	size_t groups[3] = {(job->n + ABI_POINTS - 1) / ABI_POINTS, (size_t)cache->shape.streams,
	                    (size_t)n_layers};
	return run(&a, chain, 3, groups, lanes_of(cache), 0, NULL, NULL, error);
}

static clkv_status launch_metric(clkv_cache *cache, struct clkv__chain *chain,
                                 const struct clkv__index_job *job, int layer, int n_layers,
                                 clkv_error *error)
{
	struct args a = args_of(cache, &cache->kernels->recall.metric, error);
	const struct index_metric_args given = {
		.build = cache->index.build,
		.stride = (size_t)cache->sizes.build_bytes,
		.seen = cache->seen.mem,
		.at = job->seq->seen,
		.end = job->end,
		.layers = (cl_uint)cache->shape.layers,
		.layer = (cl_uint)layer,
		.n = job->n,
		.c = clkv__recall_units(&cache->plan.recall, job->n),
		ROPE_FIELDS(cache),
		PROJECTION_FIELDS(cache, layer),
	};
	put_index_metric(&a, &given);
	size_t groups[3] = {1, (size_t)cache->shape.streams, (size_t)n_layers};
	return run(&a, chain, 3, groups, lanes_of(cache), 0, NULL, NULL, error);
}

static clkv_status launch_pages(clkv_cache *cache, struct clkv__chain *chain,
                                const struct clkv__index_job *job, int layer, int n_layers,
                                clkv_error *error)
{
	struct args a = args_of(cache, &cache->kernels->recall.build, error);
	const struct index_pages_args given = {
		.build = cache->index.build,
		.stride = (size_t)cache->sizes.build_bytes,
		.index = cache->index.mem,
		.address = job->segment->address,
		.seg_stride = job->segment->stride,
		.n = job->n,
		.layer = (cl_uint)(layer - cache->plan.general.skip),
	};
	put_index_pages(&a, &given);
	size_t groups[3] = {clkv__recall_places(&cache->plan.recall, job->n) / ABI_TILE,
	                    (size_t)cache->shape.streams, (size_t)n_layers};
	return run(&a, chain, 3, groups, lanes_of(cache), 0, NULL, NULL, error);
}

/* Where the representatives lie that k-means makes or labels by: at an address, heads a stride apart. */
struct representatives {
	cl_mem mem;
	uint32_t address, stride;
};

static clkv_status launch_means(clkv_cache *cache, struct clkv__chain *chain,
                                const struct clkv__index_job *job, const struct representatives *to,
                                int layer, int n_layers, clkv_error *error)
{
	const struct clkv__recall *r = &cache->plan.recall;
	const struct clkv__segment *s = job->segment;
	struct args a = args_of(cache, &cache->kernels->recall.build, error);
	const struct index_clusters_args given = {
		.build = cache->index.build,
		.stride = (size_t)cache->sizes.build_bytes,
		.reps = to->mem,
		.reps_at = to->address,
		.reps_stride = to->stride,
		.index = cache->index.mem,
		.address = s ? s->address : 0,
		.seg_stride = s ? s->stride : 0,
		.n = job->n,
		.c = clkv__recall_units(r, job->n),
		.iterations = job->trains ? (cl_uint)r->iterations : 0,
		.lists = s != NULL,
		.seed = (cl_uint)r->seed,
		.layer = (cl_uint)(layer - cache->plan.general.skip),
	};
	put_index_clusters(&a, &given);
	size_t groups[3] = {1, (size_t)cache->shape.streams, (size_t)n_layers};
	return run(&a, chain, 3, groups, lanes_of(cache), 0, NULL, NULL, error);
}

static clkv_status launch_clusters(clkv_cache *cache, struct clkv__chain *chain,
                                   const struct clkv__index_job *job, int layer, int n_layers,
                                   clkv_error *error)
{
	const struct clkv__segment *s = job->segment;
	const struct representatives to = {cache->index.mem, s->address, s->stride};
	return launch_means(cache, chain, job, &to, layer, n_layers, error);
}

static clkv_status launch_codes(clkv_cache *cache, struct clkv__chain *chain,
                                const struct clkv__index_job *job, int layer, int n_layers,
                                clkv_error *error)
{
	const struct representatives to = {cache->index.books, job->book,
	                                   clkv__recall_book(&cache->plan.recall, &cache->shape)};
	return launch_means(cache, chain, job, &to, layer, n_layers, error);
}

/* What makes the index of a segment, or a codebook, of layers that share a buffer; a new kind is a row here. */
static clkv_status (*const builders[])(clkv_cache *cache, struct clkv__chain *chain,
                                       const struct clkv__index_job *job, int layer, int n_layers,
                                       clkv_error *error) = {
	[ABI_INDEX_PAGES] = launch_pages,
	[ABI_INDEX_CLUSTERS] = launch_clusters,
	[ABI_INDEX_CODES] = launch_codes,
};

clkv_status clkv__launch_index(clkv_cache *cache, struct clkv__chain *chain,
                               const struct clkv__index_job *job, clkv_error *error)
{
	int most = (int)cache->sizes.build_layers;
	if (cache->sizes.build_bytes == 0)
		return CLKV_OK;
	for (int layer = cache->plan.general.skip, n; layer < cache->shape.layers; layer += n) {
		const struct clkv__layer_pool *pools = cache->pool.layers;
		n = 1;
		while (n < most && layer + n < cache->shape.layers &&
		       pools[layer + n].mem == pools[layer].mem)
			n++;
		CLKV_TRY(launch_points(cache, chain, job, layer, n, error));
		if (cache->plan.recall.observe > 0)
			CLKV_TRY(launch_metric(cache, chain, job, layer, n, error));
		CLKV_TRY(builders[cache->plan.recall.kind](cache, chain, job, layer, n, error));
	}
	return CLKV_OK;
}
