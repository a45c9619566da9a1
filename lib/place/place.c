/* SPDX-License-Identifier: MIT */
/** \file place.c \brief Memory of what leaves the device, and its moves. */
#include "place/place.h"

#include "base/alloc.h"
#include "base/error.h"
#include "plan/placement.h"
#include "store/cache.h"
#include "store/sizes_place.h"

/* ---- made and freed ---- */

static clkv_status fail_memory(uint64_t bytes, clkv_error *error)
{
	CLKV_FAIL(error, CLKV_ERROR_NO_HOST_MEMORY,
	          "no host memory for the %llu bytes through which recalled rows go",
	          (unsigned long long)bytes);
}

static clkv_status init_attend(clkv_cache *cache, clkv_error *error)
{
	const clkv_allocator *a = &cache->context->allocator;
	struct clkv__place *p = cache->place;
	const struct clkv__place_bytes b = clkv__place_bytes(&cache->shape, &cache->sizes);
	size_t given = (size_t)b.query, queries = cache->sizes.asks * given, sums = (size_t)b.sums;
	clkv__rope_turns(&cache->shape.rope, p->turns);
	p->queries = clkv__calloc(a, 1, queries);
	p->given = clkv__calloc(a, 1, given);
	p->sums = clkv__calloc(a, 1, sums);
	return p->queries && p->given && p->sums ? CLKV_OK : fail_memory(queries + given + sums, error);
}

static clkv_status init_copy(clkv_cache *cache, clkv_error *error)
{
	const struct clkv__sizes *s = &cache->sizes;
	const clkv_allocator *a = &cache->context->allocator;
	struct clkv__place *p = cache->place;
	size_t bytes = (size_t)clkv__place_bytes(&cache->shape, s).records;
	uint32_t heads = (uint32_t)clkv__place_heads(&cache->shape, &cache->plan, s);
	cl_int code;
	CLKV_TRY(clkv__row_cache_init(&cache->rows, a, heads, s->row_slots, error));
	p->records = clkv__calloc(a, 1, bytes);
	if (!p->records)
		return fail_memory(bytes, error);
	p->arrived = clCreateBuffer(cache->context->cl, CL_MEM_READ_ONLY, bytes, NULL, &code);
	if (code != CL_SUCCESS)
		p->arrived = NULL;
	CLKV_CL_CODE(error, code, "clCreateBuffer");
	return CLKV_OK;
}

clkv_status clkv__place_init(clkv_cache *cache, clkv_error *error)
{
	const clkv_allocator *a = &cache->context->allocator;
	size_t bytes = (size_t)clkv__place_bytes(&cache->shape, &cache->sizes).lists;
	cl_int code;
	struct clkv__place *p = cache->place = clkv__calloc(a, 1, sizeof *p);
	if (!p)
		return fail_memory(sizeof *p, error);
	if (!cache->sizes.moves)
		return CLKV_OK;
	p->queue = clCreateCommandQueue(cache->context->cl, cache->context->device, 0, &code);
	if (code != CL_SUCCESS)
		p->queue = NULL;
	CLKV_CL_CODE(error, code, "clCreateCommandQueue");
	p->lists = clkv__calloc(a, 1, bytes);
	if (!p->lists)
		return fail_memory(bytes, error);
	return clkv__host_attends(&cache->plan.place) ? init_attend(cache, error)
	                                              : init_copy(cache, error);
}

void clkv__place_free(clkv_cache *cache)
{
	const clkv_allocator *a = &cache->context->allocator;
	struct clkv__place *p = cache->place;
	if (!p)
		return;
	if (p->queue) {
		clFinish(p->queue);
		clReleaseCommandQueue(p->queue);
	}
	if (p->last)
		clReleaseEvent(p->last);
	if (p->arrived)
		clReleaseMemObject(p->arrived);
	clkv__row_cache_free(&cache->rows, a);
	clkv__free(a, p->lists);
	clkv__free(a, p->records);
	clkv__free(a, p->queries);
	clkv__free(a, p->given);
	clkv__free(a, p->sums);
	clkv__free(a, p);
	cache->place = NULL;
}

/* ---- where ---- */

unsigned char *clkv__place_page(const clkv_seq *seq, int layer, int stream, uint32_t entry)
{
	const clkv_cache *cache = seq->cache;
	uint32_t word = clkv__seq_row(seq, layer, stream) + ABI_ROW_ENTRY(entry) + ABI_ENTRY_ADDR;
	return cache->pool.layers[layer].pages_at +
	       (size_t)clkv__tables_get(&cache->tables, word) * ABI_UNIT;
}

uint32_t clkv__place_landing(const clkv_cache *cache, int layer, uint32_t job, int stream)
{
	return cache->pool.layers[layer].landing +
	       (job * (uint32_t)cache->shape.streams + (uint32_t)stream) * cache->sizes.sealed_units;
}

/* ---- moves ---- */

clkv_status clkv__place_wait(clkv_cache *cache, clkv_error *error)
{
	struct clkv__place *p = cache->place;
	if (!p->last)
		return CLKV_OK;
	/* An event of a read that failed stays: what it should have brought is missing for good. */
	CLKV_CL(error, clWaitForEvents(1, &p->last));
	clReleaseEvent(p->last);
	p->last = NULL;
	return CLKV_OK;
}

clkv_status clkv__place_reserve(clkv_cache *cache, struct clkv__chain *chain, clkv_error *error)
{
	if (!cache->place->last)
		return CLKV_OK;
	/* What another queue waits for never comes if it isn't on its way. */
	CLKV_CL(error, clFlush(cache->place->queue));
	return clkv__chain_wait(chain, cache->place->last, error);
}

/* Blocks that lie behind each other in the landing zone and in a layer's pages. */
struct run {
	uint32_t from, to, units;
};

static clkv_status read_run(clkv_cache *cache, int layer, const struct run *run, cl_event sealed,
                            clkv_error *error)
{
	const struct clkv__layer_pool *pool = &cache->pool.layers[layer];
	struct clkv__place *p = cache->place;
	size_t bytes = (size_t)run->units * ABI_UNIT;
	cl_event event = NULL;
	CLKV_CL(error,
	        clEnqueueReadBuffer(p->queue, pool->mem, CL_FALSE, (size_t)run->from * ABI_UNIT, bytes,
	                            pool->pages_at + (size_t)run->to * ABI_UNIT, 1, &sealed, &event));
	if (p->last)
		clReleaseEvent(p->last);
	p->last = event; /* the queue is in order: it stands for all before it */
	return CLKV_OK;
}

static clkv_status read_layer(clkv_cache *cache, int layer, const uint32_t *dst, uint32_t n,
                              cl_event sealed, clkv_error *error)
{
	const uint32_t streams = (uint32_t)cache->shape.streams, units = cache->sizes.sealed_units;
	const uint32_t n_dst = (uint32_t)cache->shape.layers * streams * ABI_DST_WORDS;
	struct run run = {0, 0, 0};
	for (uint32_t i = 0; i < n * streams; i++) {
		uint32_t job = i / streams, s = i % streams;
		uint32_t to =
			dst[job * n_dst + ((uint32_t)layer * streams + s) * ABI_DST_WORDS + ABI_DST_ADDR];
		if (run.units > 0 && to == run.to + run.units) {
			run.units += units;
			continue;
		}
		if (run.units > 0)
			CLKV_TRY(read_run(cache, layer, &run, sealed, error));
		run = (struct run){clkv__place_landing(cache, layer, job, (int)s), to, units};
	}
	return read_run(cache, layer, &run, sealed, error);
}

clkv_status clkv__place_leave(clkv_cache *cache, struct clkv__chain *chain, const uint32_t *dst,
                              uint32_t n, clkv_error *error)
{
	cl_event sealed = NULL;
	CLKV_TRY(clkv__chain_end(chain, &sealed, error));
	clkv_status status = clkv__cl_check(error, clFlush(chain->queue), "clFlush");
	for (int l = cache->plan.general.skip; l < cache->shape.layers && status == CLKV_OK; l++)
		status = read_layer(cache, l, dst, n, sealed, error);
	clReleaseEvent(sealed);
	CLKV_TRY(status);
	CLKV_CL(error, clFlush(cache->place->queue));
	return CLKV_OK;
}

clkv_status clkv__place_return(clkv_seq *seq, struct clkv__chain *chain, int layer, uint32_t entry,
                               uint32_t n, clkv_error *error)
{
	clkv_cache *cache = seq->cache;
	size_t bytes = (size_t)cache->sizes.sealed_units * ABI_UNIT;
	for (uint32_t i = 0; i < n; i++)
		for (int s = 0; s < cache->shape.streams; s++)
			CLKV_TRY(clkv__chain_write(chain, cache->pool.layers[layer].mem,
			                           (size_t)clkv__place_landing(cache, layer, i, s) * ABI_UNIT,
			                           bytes, clkv__place_page(seq, layer, s, entry + i), NULL,
			                           error));
	return CLKV_OK;
}
