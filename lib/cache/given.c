/* SPDX-License-Identifier: MIT */
/** \file given.c \brief Rotations, calibrations and factors of a cache: from its options, or from another cache. */
#include "cache/given.h"

#include "base/alloc.h"
#include "base/error.h"
#include "plan/calibration.h"
#include "plan/calibration_image.h"
#include "plan/factors.h"
#include "plan/given_file.h"
#include "plan/group_factors.h"

clkv_status clkv__cache_given_check(const struct clkv__shape *whole,
                                    const struct clkv__demands *all, clkv_error *error)
{
	const clkv_cache_options *o = &all->options;
	if (all->asks[CLKV__GIVEN_ROTATION])
		CLKV_TRY(clkv__rotation_check(whole, o->rotation, o->rotation_size, o->model, error));
	if (all->asks[CLKV__GIVEN_CALIBRATION])
		CLKV_TRY(
			clkv__calibration_check(whole, o->calibration, o->calibration_size, o->model, error));
	if (all->asks[CLKV__GIVEN_FACTORS])
		CLKV_TRY(clkv__factors_use_check(whole, &all->factors, o->factors, o->factors_size,
		                                 o->model, error));
	return CLKV_OK;
}

static bool same_latents(const struct clkv__plan *a, const struct clkv__plan *b)
{
	const struct clkv__latents *x = &a->sealing.latents, *y = &b->sealing.latents;
	return x->k == y->k && x->v == y->v &&
	       clkv__groups_same(&a->sealing.groups, &b->sealing.groups);
}

clkv_status clkv__cache_given_like(const clkv_cache *like, const struct clkv__shape *shape,
                                   const struct clkv__plan *plan, clkv_error *error)
{
	enum clkv__given given = clkv__projection_given(plan);
	for (int i = 0; i < shape->layers && given != CLKV__GIVEN_NOTHING; i++) {
		int layer = clkv__shape_layer(shape, i);
		const struct clkv__plan *theirs = &clkv__cache_at(like, &layer)->plan;
		if (clkv__projection_given(theirs) != given || !same_latents(theirs, plan))
			CLKV_FAIL(error, CLKV_ERROR_UNSUPPORTED,
			          "a recipe with %s needs its %s, and the cache has none of layer %d, or of "
			          "other ranks or groups; allowed: caches that have one",
			          clkv__given_asked(given), clkv__given_name(given),
			          clkv__shape_layer(shape, i));
	}
	return CLKV_OK;
}

uint64_t clkv__cache_given_number(const clkv_cache *cache, const clkv_cache_options *o,
                                  const clkv_cache *like)
{
	int layer = clkv__shape_layer(&cache->shape, 0);
	enum clkv__given given = clkv__projection_given(&cache->plan);
	if (given == CLKV__GIVEN_NOTHING)
		return 0;
	if (like)
		return clkv__cache_at(like, &layer)->given;
	size_t size;
	const void *file = clkv__options_file(o, given, &size);
	return clkv__given_checksum(file, size);
}

static clkv_status write_all(cl_command_queue queue, cl_mem mem, size_t bytes, const void *data,
                             clkv_error *error)
{
	CLKV_CL(error, clEnqueueWriteBuffer(queue, mem, CL_TRUE, 0, bytes, data, 0, NULL, NULL));
	return CLKV_OK;
}

static void unpack_factors(const clkv_cache *cache, const void *file, float *rows)
{
	const struct clkv__variant *v = &cache->plan.sealing;
	if (clkv__groups_own(&v->groups))
		clkv__factors_unpack(&cache->shape, &v->latents, file, rows);
	else
		clkv__group_factors_unpack(&cache->shape, &v->latents, &v->groups, file, rows);
}

/* What a file of the options gives, in the device's order. */
static void unpack(const clkv_cache *cache, const clkv_cache_options *o, float *rows)
{
	switch (clkv__projection_given(&cache->plan)) {
	case CLKV__GIVEN_ROTATION:
		clkv__rotation_unpack(&cache->shape, o->rotation, rows);
		break;
	case CLKV__GIVEN_CALIBRATION:
		clkv__calibration_steps(&cache->shape, o->calibration, rows);
		break;
	default:
		unpack_factors(cache, o->factors, rows);
	}
}

/* Matrices, steps or factors of the options, of the cache's layers. */
static clkv_status write_projections(clkv_cache *cache, const clkv_cache_options *o,
                                     cl_command_queue queue, clkv_error *error)
{
	const clkv_allocator *a = &cache->context->allocator;
	size_t bytes = (size_t)cache->sizes.projections_bytes;
	float *rows = clkv__calloc(a, bytes, 1);
	if (!rows)
		CLKV_FAIL(error, CLKV_ERROR_NO_HOST_MEMORY, "no host memory for %zu bytes of matrices",
		          bytes);
	unpack(cache, o, rows);
	clkv_status status = write_all(queue, cache->projections, bytes, rows, error);
	clkv__free(a, rows);
	return status;
}

/* Those of another cache. */
static clkv_status copy_projections(clkv_cache *cache, const clkv_cache *like,
                                    cl_command_queue queue, clkv_error *error)
{
	size_t size = (size_t)cache->sizes.projections_bytes / (size_t)cache->shape.layers;
	for (int i = 0; i < cache->shape.layers; i++) {
		int layer = clkv__shape_layer(&cache->shape, i);
		const clkv_cache *from = clkv__cache_at(like, &layer);
		CLKV_CL(error,
		        clEnqueueCopyBuffer(queue, from->projections, cache->projections,
		                            (size_t)layer * size, (size_t)i * size, size, 0, NULL, NULL));
	}
	return CLKV_OK;
}

/* The code tables of another cache, with its layers' heads. */
static clkv_status read_image(const clkv_cache *cache, const clkv_cache *like,
                              cl_command_queue queue, uint32_t *words, clkv_error *error)
{
	const struct clkv__shape *s = &cache->shape;
	size_t size = (size_t)s->streams * (size_t)ABI_QTC_WORDS(s->dk, s->dv);
	for (int i = 0; i < s->layers; i++) {
		int layer = clkv__shape_layer(s, i);
		const clkv_cache *from = clkv__cache_at(like, &layer);
		if (i == 0)
			CLKV_CL(error, clEnqueueReadBuffer(queue, from->calibration, CL_TRUE, 0,
			                                   (size_t)ABI_QTC_HEADS * 4, words, 0, NULL, NULL));
		CLKV_CL(error,
		        clEnqueueReadBuffer(queue, from->calibration, CL_TRUE,
		                            ((size_t)ABI_QTC_HEADS + (size_t)layer * size) * 4, size * 4,
		                            words + ABI_QTC_HEADS + (size_t)i * size, 0, NULL, NULL));
	}
	clkv__calibration_place(s, words);
	return CLKV_OK;
}

static clkv_status write_image(clkv_cache *cache, const clkv_cache_options *o,
                               const clkv_cache *like, cl_command_queue queue, clkv_error *error)
{
	const clkv_allocator *a = &cache->context->allocator;
	size_t bytes = (size_t)cache->sizes.calibration_bytes;
	uint32_t *words = clkv__calloc(a, bytes, 1);
	if (!words)
		CLKV_FAIL(error, CLKV_ERROR_NO_HOST_MEMORY, "no host memory for %zu bytes of code tables",
		          bytes);
	clkv_status status =
		like ? read_image(cache, like, queue, words, error)
			 : clkv__calibration_image(&cache->shape, o->calibration, a, words, error);
	if (status == CLKV_OK)
		status = write_all(queue, cache->calibration, bytes, words, error);
	clkv__free(a, words);
	return status;
}

clkv_status clkv__cache_given_fill(clkv_cache *cache, const clkv_cache_options *o,
                                   const clkv_cache *like, cl_command_queue queue,
                                   clkv_error *error)
{
	if (cache->sizes.calibration_bytes > 0)
		CLKV_TRY(write_image(cache, o, like, queue, error));
	if (cache->sizes.projections_bytes == 0)
		return CLKV_OK;
	return like ? copy_projections(cache, like, queue, error)
	            : write_projections(cache, o, queue, error);
}
