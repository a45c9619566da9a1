/* SPDX-License-Identifier: MIT */
/** \file cache.c \brief A cache: created, destroyed. */
#include "store/cache.h"

#include "attend/fallback.h"
#include "attend/kernels.h"
#include "base/alloc.h"
#include "base/error.h"
#include "cache/create.h"
#include "cache/demand.h"
#include "cache/given.h"
#include "place/place.h"
#include "plan/codebook.h"
#include "plan/given_file.h"
#include "shape/rope.h"
#include "step/seal_select.h"
#include "step/step.h"

#include <string.h>

static clkv_status copy_windows(clkv_cache *cache, clkv_error *error)
{
	if (!cache->shape.window)
		return CLKV_OK;
	size_t n = (size_t)cache->shape.layers;
	cache->window = clkv__calloc(&cache->context->allocator, n, sizeof(int));
	if (!cache->window)
		CLKV_FAIL(error, CLKV_ERROR_NO_HOST_MEMORY, "no host memory for %zu windows", n);
	memcpy(cache->window, cache->shape.window, n * sizeof(int));
	cache->shape.window = cache->window;
	return CLKV_OK;
}

static clkv_status copy_factors(clkv_cache *cache, clkv_error *error)
{
	clkv_rope *rope = &cache->shape.rope;
	if (!rope->factors)
		return CLKV_OK;
	size_t n = (size_t)rope->dims / 2;
	cache->factors = clkv__calloc(&cache->context->allocator, n, sizeof(float));
	if (!cache->factors)
		CLKV_FAIL(error, CLKV_ERROR_NO_HOST_MEMORY, "no host memory for %zu factors of RoPE", n);
	memcpy(cache->factors, rope->factors, n * sizeof(float));
	rope->factors = cache->factors;
	return CLKV_OK;
}

static clkv_status create_buffer(clkv_cache *cache, cl_mem *mem, size_t bytes, clkv_error *error)
{
	cl_int code;
	/* OpenCL has no empty buffers. */
	*mem =
		clCreateBuffer(cache->context->cl, CL_MEM_READ_WRITE, bytes > 0 ? bytes : 4, NULL, &code);
	if (code != CL_SUCCESS)
		*mem = NULL;
	CLKV_CL_CODE(error, code, "clCreateBuffer");
	return CLKV_OK;
}

static clkv_status create_seen(clkv_cache *cache, clkv_error *error)
{
	const struct clkv__sizes *s = &cache->sizes;
	struct clkv__seen *seen = &cache->seen;
	size_t observe = (size_t)clkv__plan_observe(&cache->plan);
	seen->tag_bytes = (size_t)cache->shape.layers * observe * sizeof(uint32_t);
	CLKV_TRY(clkv__slots_init(&seen->slots, &cache->context->allocator, 0, s->seen_units,
	                          s->max_sequences, error));
	return create_buffer(cache, &seen->mem, (size_t)s->seen_units * ABI_UNIT * s->max_sequences,
	                     error);
}

static clkv_status create_index(clkv_cache *cache, clkv_error *error)
{
	const struct clkv__sizes *s = &cache->sizes;
	struct clkv__index *index = &cache->index;
	size_t scores = (size_t)s->asks * (size_t)cache->shape.q_heads * s->max_places;
	size_t lists = (size_t)s->asks * (size_t)cache->shape.streams * (1 + (size_t)s->listed);
	size_t build = (size_t)s->build_bytes * s->build_layers * (size_t)cache->shape.streams;
	CLKV_TRY(create_buffer(cache, &index->scores, scores * 4, error));
	CLKV_TRY(create_buffer(cache, &index->takes, scores * 2, error));
	CLKV_TRY(create_buffer(cache, &index->lists, lists * 4, error));
	if (s->probe_bytes > 0)
		CLKV_TRY(create_buffer(cache, &index->probes, (size_t)s->probe_bytes, error));
	if (s->budget_bytes > 0)
		CLKV_TRY(create_buffer(cache, &index->budgets, (size_t)s->budget_bytes, error));
	if (build > 0)
		CLKV_TRY(create_buffer(cache, &index->build, build, error));
	if (s->index_units > 0) {
		CLKV_TRY(
			clkv__pages_init(&index->pages, &cache->context->allocator, 0, s->index_units, error));
		CLKV_TRY(create_buffer(cache, &index->mem, (size_t)s->index_units * ABI_UNIT, error));
	}
	if (s->book_units == 0)
		return CLKV_OK;
	CLKV_TRY(clkv__slots_init(&index->book_slots, &cache->context->allocator, 0, s->book_units,
	                          s->books, error));
	return create_buffer(cache, &index->books, (size_t)s->book_units * ABI_UNIT * s->books, error);
}

static clkv_status create_buffers(clkv_cache *cache, clkv_error *error)
{
	const struct clkv__sizes *s = &cache->sizes;
	size_t parts = (size_t)s->part_rows * (size_t)cache->shape.q_heads * sizeof(float);
	CLKV_TRY(create_buffer(cache, &cache->plan_mem, s->plan_words * 4ul, error));
	CLKV_TRY(create_buffer(cache, &cache->jobs_mem, s->jobs_words * 4ul, error));
	CLKV_TRY(create_buffer(cache, &cache->pairs_mem, s->update_pairs * 8ul, error));
	CLKV_TRY(create_buffer(cache, &cache->part_acc, parts * (size_t)cache->shape.dv, error));
	CLKV_TRY(create_buffer(cache, &cache->part_ml, parts * 2, error));
	if (s->sized)
		CLKV_TRY(create_buffer(cache, &cache->histograms,
		                       (size_t)cache->shape.layers * 2 * ABI_SYMBOLS * 4, error));
	if (s->section_bytes > 0)
		CLKV_TRY(create_buffer(cache, &cache->sections, (size_t)s->section_bytes, error));
	if (s->turns_bytes > 0)
		CLKV_TRY(create_buffer(cache, &cache->turns, s->turns_bytes, error));
	if (s->projections_bytes > 0)
		CLKV_TRY(create_buffer(cache, &cache->projections, (size_t)s->projections_bytes, error));
	if (s->calibration_bytes > 0)
		CLKV_TRY(create_buffer(cache, &cache->calibration, (size_t)s->calibration_bytes, error));
	if (s->seen_units > 0)
		CLKV_TRY(create_seen(cache, error));
	if (s->segs > 0)
		CLKV_TRY(create_index(cache, error));
	CLKV_TRY(clkv__selection_init(&cache->selection, cache->context, &cache->shape, &cache->plan, s,
	                              error));
	CLKV_TRY(clkv__place_init(cache, error));
	return create_buffer(cache, &cache->counters.mem, ABI_COUNTERS * 4, error);
}

static clkv_status write_turns(clkv_cache *cache, cl_command_queue queue, clkv_error *error)
{
	cl_ulong turns[CLKV__ROPE_MOST];
	if (!cache->turns)
		return CLKV_OK;
	clkv__rope_turns(&cache->shape.rope, turns);
	CLKV_CL(error, clEnqueueWriteBuffer(queue, cache->turns, CL_TRUE, 0, cache->sizes.turns_bytes,
	                                    turns, 0, NULL, NULL));
	return CLKV_OK;
}

/* The codebook of the options, if there is one, on the device for all sequences to come. */
static clkv_status write_given(clkv_cache *cache, const clkv_cache_options *o,
                               cl_command_queue queue, clkv_error *error)
{
	const clkv_allocator *a = &cache->context->allocator;
	size_t units = cache->sizes.book_units;
	if (!o->codebook)
		return CLKV_OK;
	unsigned char *books = clkv__calloc(a, units, ABI_UNIT);
	if (!books)
		CLKV_FAIL(error, CLKV_ERROR_NO_HOST_MEMORY, "no host memory for the codebook's %zu units",
		          units);
	clkv__codebook_unpack(&cache->plan, &cache->shape, o->codebook, books);
	clkv_status status =
		clkv__cl_check(error,
	                   clEnqueueWriteBuffer(queue, cache->index.books, CL_TRUE, 0, units * ABI_UNIT,
	                                        books, 0, NULL, NULL),
	                   "clEnqueueWriteBuffer");
	clkv__free(a, books);
	if (status == CLKV_OK)
		cache->index.given = clkv__slots_take(&cache->index.book_slots);
	cache->index.number = clkv__given_checksum(o->codebook, o->codebook_size);
	return status;
}

/* Fills in what kernels read before anything has been written there: zeroes, tables, what options give. */
static clkv_status fill_buffers(clkv_cache *cache, const clkv_cache_options *o,
                                const clkv_cache *like, clkv_error *error)
{
	cl_int code;
	const cl_uint zero = 0;
	cl_command_queue queue =
		clCreateCommandQueue(cache->context->cl, cache->context->device, 0, &code);
	CLKV_CL_CODE(error, code, "clCreateCommandQueue");
	clkv_status status = clkv__pool_clear(&cache->pool, queue, error);
	if (status == CLKV_OK)
		status = clkv__cl_check(error,
		                        clEnqueueFillBuffer(queue, cache->counters.mem, &zero, sizeof zero,
		                                            0, ABI_COUNTERS * 4, 0, NULL, NULL),
		                        "clEnqueueFillBuffer");
	if (status == CLKV_OK)
		status = write_turns(cache, queue, error);
	if (status == CLKV_OK)
		status = write_given(cache, o, queue, error);
	if (status == CLKV_OK)
		status = clkv__cache_given_fill(cache, o, like, queue, error);
	if (status == CLKV_OK)
		status = clkv__code_tables_init(&cache->code_tables, cache->context,
		                                &cache->plan.sealing.layout, queue, error);
	if (status == CLKV_OK)
		status = clkv__cl_check(error, clFinish(queue), "clFinish");
	clReleaseCommandQueue(queue);
	return status;
}

static clkv_status build(clkv_cache *cache, const clkv_cache_options *o, const clkv_cache *like,
                         clkv_error *error)
{
	clkv_context *context = cache->context;
	CLKV_TRY(copy_windows(cache, error));
	CLKV_TRY(copy_factors(cache, error));
	CLKV_TRY(
		clkv__pool_init(&cache->pool, context, &cache->shape, &cache->plan, &cache->sizes, error));
	CLKV_TRY(
		clkv__tables_init(&cache->tables, &context->allocator, context->cl, &cache->sizes, error));
	CLKV_TRY(create_buffers(cache, error));
	CLKV_TRY(clkv__stagings_init(&cache->staging, &context->allocator, cache->sizes.staging_words,
	                             error));
	CLKV_TRY(clkv__step_init(cache, error));
	if (cache->use != CLKV__CACHE_READS)
		CLKV_TRY(clkv__kernels_build_any(cache, error));
	return fill_buffers(cache, o, like, error);
}

/* What a cache is made of. */
struct making {
	clkv_context *context;
	const struct clkv__division *division;
	const char *recipe;
	const clkv_cache_options *options;
	enum clkv__cache_use use;
	const clkv_cache *like; /* has what files give; NULL: the options do */
};

/* What a band is given beside, distrusted: a codebook, or what the other cache has. */
static clkv_status check_given(const struct making *m, const struct clkv__demand *d,
                               clkv_error *error)
{
	const struct clkv__resolved *r = &d->resolved;
	const clkv_cache_options *o = &d->options;
	if (o->codebook)
		CLKV_TRY(clkv__codebook_check(&r->plan, &r->shape, o->codebook, o->codebook_size, o->model,
		                              error));
	return m->like ? clkv__cache_given_like(m->like, &r->shape, &r->plan, error) : CLKV_OK;
}

/* The cache of one band. */
static clkv_status create_band(const struct making *m, const struct clkv__demand *demand,
                               clkv_cache **out, clkv_error *error)
{
	clkv_context *context = m->context;
	const struct clkv__resolved *r = &demand->resolved;
	clkv_cache *cache = clkv__calloc(&context->allocator, 1, sizeof *cache);
	if (!cache)
		CLKV_FAIL(error, CLKV_ERROR_NO_HOST_MEMORY, "no host memory for a cache");
	cache->context = context;
	cache->use = m->use;
	cache->shape = r->shape;
	cache->plan = r->plan;
	memcpy(cache->recipe, r->recipe, sizeof r->recipe);
	cache->tuning = r->tuning;
	cache->cut = r->cut;
	cache->sizes = demand->sizes;
	pthread_mutex_init(&cache->mutex, NULL);
	cache->index.given = CLKV__NO_SLOT;
	cache->given = clkv__cache_given_number(cache, &demand->options, m->like);
	clkv_status status = build(cache, &demand->options, m->like, error);
	if (status == CLKV_OK)
		*out = cache;
	else
		clkv_cache_destroy(cache);
	return status;
}

/* What the first of several bands knows of all; the bands' caches refer to it. */
static clkv_status describe(clkv_cache *first, const struct clkv__division *division,
                            const char *recipe, clkv_error *error)
{
	const struct clkv__shape *all = &division->whole;
	if (!division->parts.layered)
		return CLKV_OK;
	struct clkv__whole *whole = clkv__calloc(&first->context->allocator, 1, sizeof *whole);
	if (!whole)
		CLKV_FAIL(error, CLKV_ERROR_NO_HOST_MEMORY, "no host memory for the bands of %d layers",
		          all->layers);
	first->whole = whole;
	whole->bands = division->bands;
	whole->has_windows = all->window != NULL;
	if (all->window)
		memcpy(whole->window, all->window, (size_t)all->layers * sizeof *whole->window);
	for (clkv_cache *c = first; c; c = c->next_band)
		c->shape.bands = &whole->bands;
	return clkv__division_print(first->context, division, recipe, whole->recipe, error);
}

static clkv_status create_all(const struct making *m, clkv_cache **out, clkv_error *error)
{
	clkv_cache *first = NULL, **last = &first;
	clkv_status status = CLKV_OK;
	for (int i = 0; i < m->division->bands.n && status == CLKV_OK; i++) {
		struct clkv__demand d;
		status =
			clkv__demand_band(m->context, m->division, m->recipe, m->options, i, m->use, &d, error);
		if (status == CLKV_OK)
			status = check_given(m, &d, error);
		if (status == CLKV_OK)
			status = create_band(m, &d, last, error);
		if (status == CLKV_OK)
			last = &(*last)->next_band;
	}
	if (status == CLKV_OK)
		status = describe(first, m->division, m->recipe, error);
	if (status != CLKV_OK) {
		clkv_cache_destroy(first);
		return status;
	}
	for (clkv_cache *c = first; c->next_band; c = c->next_band)
		c->step->next_band = c->next_band->step;
	*out = first;
	return CLKV_OK;
}

clkv_status clkv__cache_create(clkv_context *context, const clkv_geometry *geometry,
                               const char *recipe, const clkv_cache_options *options,
                               enum clkv__cache_use use, const clkv_cache *like, clkv_cache **out,
                               clkv_error *error)
{
	struct clkv__division division;
	const struct making m = {context, &division, recipe, options, use, like};
	struct clkv__demands all;
	if (!context)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT, "context is NULL");
	CLKV_TRY(clkv__divide(geometry, recipe, &division, error));
	CLKV_TRY(clkv__demand_all(context, &division, recipe, options, use, &all, error));
	if (!like)
		CLKV_TRY(clkv__cache_given_check(&division.whole, &all, error));
	CLKV_TRY(create_all(&m, out, error));
	clkv__log(context, CLKV_LOG_CACHE, "cache", "'%s': %llu device bytes, %.1f per token", recipe,
	          (unsigned long long)all.bytes.device, all.bytes.per_token);
	return CLKV_OK;
}

clkv_status clkv_cache_create(clkv_context *context, const clkv_geometry *geometry,
                              const char *recipe, const clkv_cache_options *options,
                              clkv_cache **out, clkv_error *error)
{
	clkv__error_clear(error);
	if (!out)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT, "out is NULL");
	return clkv__cache_create(context, geometry, recipe, options, CLKV__CACHE_ATTENDS, NULL, out,
	                          error);
}

static void release_mem(cl_mem mem)
{
	if (mem)
		clReleaseMemObject(mem);
}

static void destroy_band(clkv_cache *cache)
{
	if (cache->last_event) {
		clWaitForEvents(1, &cache->last_event);
		clReleaseEvent(cache->last_event);
	}
	while (cache->sequences)
		clkv__seq_drop(cache->sequences);
	clkv__step_free(cache);
	clkv__stagings_free(&cache->staging, &cache->context->allocator);
	clkv__kernels_free(cache);
	clkv__place_free(cache);
	release_mem(cache->plan_mem);
	release_mem(cache->jobs_mem);
	release_mem(cache->pairs_mem);
	release_mem(cache->part_acc);
	release_mem(cache->part_ml);
	release_mem(cache->histograms);
	release_mem(cache->sections);
	release_mem(cache->turns);
	release_mem(cache->projections);
	release_mem(cache->calibration);
	release_mem(cache->seen.mem);
	clkv__select_free(cache);
	clkv__selection_free(&cache->selection);
	release_mem(cache->index.mem);
	release_mem(cache->index.books);
	release_mem(cache->index.build);
	release_mem(cache->index.scores);
	release_mem(cache->index.takes);
	release_mem(cache->index.lists);
	release_mem(cache->index.probes);
	release_mem(cache->index.budgets);
	clkv__pages_free(&cache->index.pages, &cache->context->allocator);
	clkv__slots_free(&cache->index.book_slots, &cache->context->allocator);
	clkv__slots_free(&cache->seen.slots, &cache->context->allocator);
	clkv__code_tables_free(&cache->code_tables);
	clkv__counters_free(&cache->counters);
	if (cache->tables.allocator)
		clkv__tables_free(&cache->tables);
	clkv__pool_free(&cache->pool, cache->context);
	clkv__free(&cache->context->allocator, cache->window);
	clkv__free(&cache->context->allocator, cache->factors);
	pthread_mutex_destroy(&cache->mutex);
	clkv__free(&cache->context->allocator, cache->whole);
	clkv__free(&cache->context->allocator, cache);
}

void clkv_cache_destroy(clkv_cache *cache)
{
	if (cache)
		clkv_step_abort(cache->step);
	for (clkv_cache *next; cache; cache = next) {
		next = cache->next_band;
		destroy_band(cache);
	}
}
