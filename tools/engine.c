/* SPDX-License-Identifier: MIT */
/**
 * \file    engine.c
 * \brief   Buffers of the engine, made once for the longest pass.
 */
#include <math.h>
#include <stdlib.h>

#include "engine_private.h"
#include "weight_format.h"

static bool buffer(struct engine *e, size_t size, cl_mem *out, struct tool_error *error)
{
	cl_int code;
	*out = clCreateBuffer(e->context, CL_MEM_READ_WRITE, size, NULL, &code);
	if (code != CL_SUCCESS)
		return tool_fail_cl(error, "clCreateBuffer", code);
	e->device_bytes += size;
	return true;
}

static bool make_buffers(struct engine *e, struct tool_error *error)
{
	const struct model *m = e->model;
	size_t rows = e->max_rows;
	size_t dim = (size_t)m->dim;
	size_t ff = (size_t)m->ff_dim;
	size_t q_dim = (size_t)m->q_heads * (size_t)m->head_dim;
	size_t kv_dim = (size_t)m->kv_heads * (size_t)m->head_dim;
	size_t largest = ff * dim > q_dim * dim ? ff * dim : q_dim * dim;
	const struct {
		size_t size;
		cl_mem *out;
	} wanted[] = {
		{rows * dim * 4, &e->x},
		{rows * dim * 4, &e->xw},
		{rows * q_dim * 4, &e->q},
		{rows * q_dim * 4, &e->attended},
		{rows * kv_dim * 4, &e->k},
		{rows * kv_dim * 4, &e->v},
		{rows * ff * 4, &e->gate},
		{rows * ff * 4, &e->up},
		{rows * kv_dim * 2, &e->copy_k},
		{rows * kv_dim * 2, &e->copy_v},
		{rows * 4, &e->tokens},
		{rows * (size_t)m->rope_dims * 4, &e->rope},
		{rows * (size_t)m->q_heads * 4, &e->lse},
	};
	for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
		if (!buffer(e, wanted[i].size, wanted[i].out, error))
			return false;
	}
	return !e->uses_blas || buffer(e, largest * 4, &e->widened, error);
}

/* Frequencies in double: at a position of 8,000 an f32 product would lose the third decimal. */
static bool make_frequencies(struct engine *e, struct tool_error *error)
{
	const struct model *m = e->model;
	size_t pairs = (size_t)m->rope_dims / 2;
	e->frequencies = calloc(pairs, sizeof *e->frequencies);
	e->angles = calloc(e->max_rows * pairs * 2, sizeof *e->angles);
	e->host_tokens = calloc(e->max_rows, sizeof *e->host_tokens);
	if (e->frequencies == NULL || e->angles == NULL || e->host_tokens == NULL)
		return tool_fail(error, "out of memory");
	for (size_t i = 0; i < pairs; i++) {
		float factor = m->rope_factors != NULL ? m->rope_factors[i] : 1.0F;
		e->frequencies[i] = pow((double)m->rope_base, -2.0 * (double)i / (double)m->rope_dims) /
		                    (double)factor / (double)m->rope_scale;
	}
	return true;
}

static bool make_queue(struct engine *e, bool profile, struct tool_error *error)
{
	cl_int code;
	if (profile && !engine_profile_create(&e->profile, error))
		return false;
	e->queue =
		clCreateCommandQueue(e->context, e->device, profile ? CL_QUEUE_PROFILING_ENABLE : 0, &code);
	return code == CL_SUCCESS || tool_fail_cl(error, "clCreateCommandQueue", code);
}

/* One work-item per group on CPUs, where its vectors are the parallel part. Four groups per unit
 * even out what the units do besides; GPUs hide latency behind many more. */
static bool choose_shape(struct engine *e, const struct engine_options *options,
                         struct tool_error *error)
{
	clkv_device_info info = CLKV_INIT(clkv_device_info);
	if (clkv_context_get_info(e->clkv, &info, NULL) != CLKV_OK)
		return tool_fail(error, "clkv_context_get_info failed");
	size_t units = info.compute_units > 0 ? info.compute_units : 1;
	e->lanes = options->lanes > 0 ? options->lanes : info.is_gpu ? 32 : 1;
	e->n_groups = units * (info.is_gpu ? 32 : 4);
	e->uses_blas =
		options->products == ENGINE_BLAS || (options->products == ENGINE_AUTO && e->lanes > 1);
	if (e->lanes > 1 && !e->uses_blas)
		return tool_fail(error, "blocked products are for CPUs; this device takes the BLAS");
	size_t rows = options->max_rows > 0 ? options->max_rows : 512;
	e->max_rows = (rows + ENGINE_ROW_PADDING - 1) / ENGINE_ROW_PADDING * ENGINE_ROW_PADDING;
	return true;
}

bool engine_create(clkv_context *context, const struct model *model,
                   const struct engine_options *options, struct engine **out,
                   struct tool_error *error)
{
	struct engine *e = calloc(1, sizeof *e);
	if (e == NULL)
		return tool_fail(error, "out of memory");
	e->model = model;
	e->clkv = context;
	e->context = clkv_context_cl(context);
	e->device = clkv_context_device(context);
	if (!choose_shape(e, options, error) || !make_queue(e, options->profile, error) ||
	    !make_frequencies(e, error) || !engine_build(e, error) || !engine_upload(e, error) ||
	    !make_buffers(e, error)) {
		engine_destroy(e);
		return false;
	}
	*out = e;
	return true;
}

void engine_destroy(struct engine *e)
{
	if (e == NULL)
		return;
	if (e->queue != NULL)
		(void)clFinish(e->queue);
	cl_mem all[] = {e->x,      e->xw,      e->q,      e->attended, e->k,
	                e->v,      e->gate,    e->up,     e->tokens,   e->rope,
	                e->logits, e->widened, e->copy_k, e->copy_v,   e->lse};
	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
		if (all[i] != NULL)
			(void)clReleaseMemObject(all[i]);
	}
	engine_profile_destroy(e->profile);
	engine_release_weights(e);
	engine_release_programs(e);
	if (e->queue != NULL)
		(void)clReleaseCommandQueue(e->queue);
	free(e->frequencies);
	free(e->angles);
	free(e->host_tokens);
	free(e);
}

bool engine_finish(struct engine *e, struct tool_error *error)
{
	cl_int code = clFinish(e->queue);
	return code == CL_SUCCESS || tool_fail_cl(error, "clFinish", code);
}

/* The engine rotates q and k itself. */
static clkv_rope geometry_rope(const struct model *model)
{
	clkv_rope rope = {.kind = CLKV_ROPE_PAIRS, .dims = model->rope_dims, .base = model->rope_base};
	rope.factors = model->rope_factors;
	if (model->rope_scale != 1.0F) {
		rope.scaling = CLKV_ROPE_LINEAR;
		rope.factor = model->rope_scale;
	}
	return rope;
}

clkv_geometry engine_geometry(const struct model *model)
{
	clkv_geometry g = CLKV_INIT(clkv_geometry);
	g.layers = model->n_layers;
	g.q_heads = model->q_heads;
	g.kv_heads = model->kv_heads;
	g.head_dim_k = model->head_dim;
	g.head_dim_v = model->head_dim;
	g.window = model->windows;
	g.rope = geometry_rope(model);
	return g;
}

cl_command_queue engine_queue(const struct engine *e)
{
	return e->queue;
}

size_t engine_max_rows(const struct engine *e)
{
	return e->max_rows;
}

size_t engine_device_bytes(const struct engine *e)
{
	return e->device_bytes;
}

struct engine_profile *engine_profile_of(const struct engine *e)
{
	return e->profile;
}
