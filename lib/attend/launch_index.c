/* SPDX-License-Identifier: MIT */
/** \file launch_index.c \brief Launches the kernels that make indexes, some layers at a time. */
#include "attend/launch_index.h"

#include "attend/args.h"

static clkv_status launch_points(clkv_cache *cache, struct clkv__chain *chain,
                                 const struct clkv__index_job *job, int layer, int n_layers,
                                 clkv_error *error)
{
	struct args a = args_of(cache, &cache->kernels->recall.points, error);
	put_mem(&a, cache->pool.layers[layer].mem);
	put_mem(&a, cache->tables.mem);
	put_mem(&a, cache->index.build);
	put_ulong(&a, (size_t)cache->sizes.build_bytes);
	put_uint(&a, job->seq->slab);
	put_uint(&a, cache->sizes.cap);
	put_uint(&a, job->from);
	put_uint(&a, job->n);
	put_uint(&a, job->step);
	put_uint(&a, (cl_uint)layer);
	put_rope(&a, cache);
	size_t groups[3] = {(job->n + ABI_POINTS - 1) / ABI_POINTS, (size_t)cache->shape.streams,
	                    (size_t)n_layers};
	return run(&a, chain, 3, groups, lanes_of(cache), 0, NULL, NULL, error);
}

static clkv_status launch_metric(clkv_cache *cache, struct clkv__chain *chain,
                                 const struct clkv__index_job *job, int layer, int n_layers,
                                 clkv_error *error)
{
	struct args a = args_of(cache, &cache->kernels->recall.metric, error);
	put_mem(&a, cache->index.build);
	put_ulong(&a, (size_t)cache->sizes.build_bytes);
	put_mem(&a, cache->seen.mem);
	put_uint(&a, job->seq->seen);
	put_uint(&a, job->end);
	put_uint(&a, (cl_uint)cache->shape.layers);
	put_uint(&a, (cl_uint)layer);
	put_uint(&a, job->n);
	put_uint(&a, clkv__recall_units(&cache->plan.recall, job->n));
	put_rope(&a, cache);
	put_projections(&a, cache, layer);
	size_t groups[3] = {1, (size_t)cache->shape.streams, (size_t)n_layers};
	return run(&a, chain, 3, groups, lanes_of(cache), 0, NULL, NULL, error);
}

static clkv_status launch_pages(clkv_cache *cache, struct clkv__chain *chain,
                                const struct clkv__index_job *job, int layer, int n_layers,
                                clkv_error *error)
{
	struct args a = args_of(cache, &cache->kernels->recall.build, error);
	put_mem(&a, cache->index.build);
	put_ulong(&a, (size_t)cache->sizes.build_bytes);
	put_mem(&a, cache->index.mem);
	put_uint(&a, job->segment->address);
	put_uint(&a, job->segment->stride);
	put_uint(&a, job->n);
	put_uint(&a, (cl_uint)(layer - cache->plan.general.skip));
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
	put_mem(&a, cache->index.build);
	put_ulong(&a, (size_t)cache->sizes.build_bytes);
	put_mem(&a, to->mem);
	put_uint(&a, to->address);
	put_uint(&a, to->stride);
	put_mem(&a, cache->index.mem);
	put_uint(&a, s ? s->address : 0);
	put_uint(&a, s ? s->stride : 0);
	put_uint(&a, job->n);
	put_uint(&a, clkv__recall_units(r, job->n));
	put_uint(&a, job->trains ? (cl_uint)r->iterations : 0);
	put_uint(&a, s != NULL);
	put_uint(&a, (cl_uint)r->seed);
	put_uint(&a, (cl_uint)(layer - cache->plan.general.skip));
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
