/* SPDX-License-Identifier: MIT */
/** \file args.h \brief A kernel's arguments and launch, for the files that launch a cache's kernels. */
#ifndef CLKV__ARGS_H
#define CLKV__ARGS_H

#include "attend/kernels.h"
#include "attend/span.h"
#include "base/error.h"
#include "shape/rope.h"
#include "store/cache.h"

/* Arguments are set in order; the first error sticks. */
struct args {
	cl_kernel kernel;
	cl_uint next;
	cl_int code;
	clkv_status made; /* whether there is a kernel */
};

/* Begins the arguments of a kernel, which is made if this is its first launch. */
static inline struct args args_of(clkv_cache *cache, struct clkv__kernel *kernel, clkv_error *error)
{
	struct args a = {NULL, 0, CL_SUCCESS, CLKV_OK};
	a.made = clkv__kernel_make(cache, kernel, NULL, error);
	a.kernel = kernel->made;
	return a;
}

static inline void put(struct args *a, size_t size, const void *value)
{
	if (a->made == CLKV_OK && a->code == CL_SUCCESS)
		a->code = clSetKernelArg(a->kernel, a->next, size, value);
	a->next++;
}

static inline void put_mem(struct args *a, cl_mem mem)
{
	put(a, sizeof mem, &mem);
}

static inline void put_uint(struct args *a, cl_uint value)
{
	put(a, sizeof value, &value);
}

static inline void put_float(struct args *a, float value)
{
	cl_float f = value;
	put(a, sizeof f, &f);
}

static inline void put_ulong(struct args *a, size_t value)
{
	cl_ulong u = value;
	put(a, sizeof u, &u);
}

static inline void put_tensor(struct args *a, const clkv_tensor *t)
{
	put_mem(a, t->mem);
	put_uint(a, (cl_uint)t->dtype);
	put_ulong(a, t->offset);
	put_ulong(a, t->token_stride);
	put_ulong(a, t->head_stride);
}

static inline clkv_status run(struct args *a, struct clkv__chain *chain, cl_uint dims,
                              const size_t *groups, size_t lanes, cl_uint n_wait,
                              const cl_event *wait, cl_event *done, clkv_error *error)
{
	size_t global[3] = {groups[0] * lanes, groups[1], groups[2]}, local[3] = {lanes, 1, 1};
	CLKV_TRY(a->made);
	CLKV_CL_CODE(error, a->code, "clSetKernelArg");
	return clkv__chain_kernel(chain, a->kernel, dims, global, local, n_wait, wait, done, error);
}

/* Buffers that a kernel doesn't touch stand in for those that there are not. */
static inline cl_mem code_tables(const clkv_cache *cache)
{
	return cache->code_tables.mem ? cache->code_tables.mem : cache->pairs_mem;
}

static inline cl_mem seen(const clkv_cache *cache)
{
	return cache->seen.mem ? cache->seen.mem : cache->part_ml;
}

static inline cl_mem sections(const clkv_cache *cache)
{
	return cache->sections ? cache->sections : cache->pairs_mem;
}

/* The turns of RoPE and what it multiplies by: of kernels that rotate. */
static inline void put_rope(struct args *a, const clkv_cache *cache)
{
	put_mem(a, cache->turns ? cache->turns : cache->pairs_mem);
	put_float(a, clkv__rope_magnitude(&cache->shape.rope));
}

/* The matrices by which rows are turned, those of a launch's first layer ahead: of kernels that include project.clh. */
static inline void put_projections(struct args *a, const clkv_cache *cache, int layer)
{
	put_mem(a, cache->projections ? cache->projections : cache->pairs_mem);
	put_uint(a, (cl_uint)(layer * cache->shape.streams));
}

static inline size_t lanes_of(const clkv_cache *cache)
{
	return cache->tuning.lanes;
}

static inline struct clkv__variant_kernels *span_kernels(clkv_cache *cache,
                                                         const struct clkv__span *span)
{
	bool dense = span->first_layer < cache->plan.general.skip;
	return dense ? &cache->kernels->dense : &cache->kernels->sealing[span->which];
}

#endif
