/* SPDX-License-Identifier: MIT */
/** \file args.h \brief A kernel's arguments and launch, for the files that launch a cache's kernels. */
#ifndef CLKV__ARGS_H
#define CLKV__ARGS_H

#include "args.clh"
#include "attend/kernels.h"
#include "attend/span.h"
#include "base/error.h"
#include "shape/rope.h"
#include "store/cache.h"

/* Sets a kernel's arguments; the first error sticks. */
struct args {
	cl_kernel kernel;
	cl_uint next;
	cl_int code;
	const char *name;    /* the kernel's table */
	const char *missing; /* a buffer that wasn't given */
	clkv_status made;    /* whether there is a kernel */
};

/* Begins the arguments of a kernel, which is made if this is its first launch. */
static inline struct args args_of(clkv_cache *cache, struct clkv__kernel *kernel, clkv_error *error)
{
	struct args a = {NULL, 0, CL_SUCCESS, "", NULL, CLKV_OK};
	a.made = clkv__kernel_make(cache, kernel, NULL, error);
	a.kernel = kernel->made;
	return a;
}

static inline void args_put(struct args *a, size_t size, const void *value)
{
	if (a->made == CLKV_OK && a->code == CL_SUCCESS)
		a->code = clSetKernelArg(a->kernel, a->next, size, value);
	a->next++;
}

static inline void args_put_mem(struct args *a, cl_mem mem, const char *name)
{
	if (!mem && !a->missing)
		a->missing = name;
	args_put(a, sizeof mem, &mem);
}

/* KERNEL_ARGS(recall_list, RECALL_LIST_ARGS) makes struct recall_list_args, with a field for each row of the table in cl/, and
 * put_recall_list(), which hands it to the kernel. Fields are given by name; a buffer that isn't makes run() fail. */
#define HOST_BUFFER(type) cl_mem
#define HOST_VALUE(type) cl_##type
#define HOST_FIELD(kind, type, name) HOST_##kind(type) name;
#define PUT_BUFFER(name) args_put_mem(a, v->name, #name);
#define PUT_VALUE(name) args_put(a, sizeof v->name, &v->name);
#define PUT_FIELD(kind, type, name) PUT_##kind(name)
#define KERNEL_ARGS(kernel, table)                                                                 \
	struct kernel##_args {                                                                         \
		table(HOST_FIELD, HOST_FIELD)                                                              \
	};                                                                                             \
	static inline void put_##kernel(struct args *a, const struct kernel##_args *v)                 \
	{                                                                                              \
		a->name = #kernel;                                                                         \
		table(PUT_FIELD, PUT_FIELD)                                                                \
	}

/* Fields of the rows that many tables have. */
#define TENSOR_FIELDS(field, t)                                                                    \
	.field = (t)->mem, .field##_dtype = (cl_uint)(t)->dtype, .field##_offset = (t)->offset,        \
	.field##_token_stride = (t)->token_stride, .field##_head_stride = (t)->head_stride
#define ROPE_FIELDS(cache)                                                                         \
	.turns = turns(cache), .magnitude = clkv__rope_magnitude(&(cache)->shape.rope)
#define PROJECTION_FIELDS(cache, layer)                                                            \
	.projections = projections(cache),                                                             \
	.first_projection = (cl_uint)((layer) * (cache)->shape.streams)

static inline clkv_status run(struct args *a, struct clkv__chain *chain, cl_uint dims,
                              const size_t *groups, size_t lanes, cl_uint n_wait,
                              const cl_event *wait, cl_event *done, clkv_error *error)
{
	size_t global[3] = {groups[0] * lanes, groups[1], groups[2]}, local[3] = {lanes, 1, 1};
	CLKV_TRY(a->made);
	CLKV_CL_CODE(error, a->code, "clSetKernelArg");
	if (a->missing)
		CLKV_FAIL(error, CLKV_ERROR_INTERNAL, "argument '%s' of %s is no buffer", a->missing,
		          a->name);
	return clkv__chain_kernel(chain, a->kernel, dims, global, local, n_wait, wait, done, error);
}

/* Buffers that a kernel doesn't touch stand in for those that there are not. */
static inline cl_mem code_tables(const clkv_cache *cache)
{
	cl_mem own = cache->calibration ? cache->calibration : cache->code_tables.mem;
	return own ? own : cache->pairs_mem;
}

static inline cl_mem seen(const clkv_cache *cache)
{
	return cache->seen.mem ? cache->seen.mem : cache->part_ml;
}

static inline cl_mem sections(const clkv_cache *cache)
{
	return cache->sections ? cache->sections : cache->pairs_mem;
}

static inline cl_mem turns(const clkv_cache *cache)
{
	return cache->turns ? cache->turns : cache->pairs_mem;
}

static inline cl_mem projections(const clkv_cache *cache)
{
	return cache->projections ? cache->projections : cache->pairs_mem;
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

/* A launch knows one window: layers go one by one where they have some. */
static inline clkv_status by_window(clkv_cache *cache, struct clkv__chain *chain,
                                    clkv__span_launch launch, const void *what,
                                    const struct clkv__span *span, clkv_error *error)
{
	struct clkv__span one = *span;
	if (!cache->shape.window)
		return launch(cache, chain, what, span, error);
	one.n_layers = 1;
	for (; one.first_layer < span->first_layer + span->n_layers; one.first_layer++)
		CLKV_TRY(launch(cache, chain, what, &one, error));
	return CLKV_OK;
}

#endif
