/* SPDX-License-Identifier: MIT */
/** \file step_layer.c \brief The two calls of each layer: append its rows, attend with them. */
#include "step/step_layer.h"

#include "attend/host_tensor.h"
#include "attend/launch.h"
#include "attend/tensor.h"
#include "base/error.h"
#include "base/struct_io.h"
#include "step/step.h"
#include "store/cache.h"

/* The step in the band of a layer of the model, which becomes its number there. What is wrong with either is left as it
 * is, for check_layer to say. */
static clkv_step *band_of(clkv_step *step, int *layer)
{
	if (!step || !step->open || !step->next_band || *layer < 0 ||
	    *layer >= clkv__cache_layers(step->cache))
		return step;
	for (int band = clkv__cache_band(step->cache, layer); band > 0; band--)
		step = step->next_band;
	return step;
}

static clkv_status check_layer(const clkv_step *step, int layer, int state, const char *what,
                               clkv_error *error)
{
	if (!step || !step->open)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT, "step is %s", step ? "not open" : "NULL");
	if (layer < 0 || layer >= step->cache->shape.layers)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT, "layer is %d; allowed: 0 to %d", layer,
		          clkv__cache_layers(step->cache) - 1);
	if (step->layers[layer] != state)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_STATE, "layer %d: %s",
		          clkv__shape_layer(&step->cache->shape, layer), what);
	return CLKV_OK;
}

static uint64_t started(const clkv_step *step)
{
	return step ? clkv__meter_now(&step->cache->meter) : 0;
}

/* Counts the time since start as the step's. */
static clkv_status metered(const clkv_step *step, uint64_t start, clkv_status status)
{
	if (step && step->open)
		step->cache->meter.host_ns += started(step) - start;
	return status;
}

/* Rows of a probe have no K and V, and leave no queries. */
static clkv_status check_adds(const clkv_step *step, clkv_error *error)
{
	if (step && step->open && step->probes)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_STATE,
		          "the step's items have phase CLKV_PROBE; allowed: clkv_step_attend");
	return CLKV_OK;
}

/* The caller's tensors of a call. */
static clkv_status start_host(clkv_step *step, struct clkv__host_tensors *all, bool any,
                              cl_uint n_wait, const cl_event *wait, clkv_error *error)
{
	return clkv__host_tensors_start(all, step->cache->context, &step->chain, any, n_wait, wait,
	                                error);
}

/* Checks one of them and has it in a buffer. */
static clkv_status take(const clkv_step *step, struct clkv__host_tensors *all, clkv_tensor *tensor,
                        const char *name, int heads, int dim, bool writes, clkv_error *error)
{
	const struct clkv__pass *pass = &step->pass;
	const struct clkv__extent extent = {pass->tensor_rows, (size_t)heads, (size_t)dim,
	                                    pass->tensor_rows != pass->n_rows};
	CLKV_TRY(clkv__tensor_check(tensor, name, pass->tensor_rows, heads, dim, error));
	return clkv__host_tensor_take(all, tensor, name, &extent, writes, error);
}

/* The same of an array of floats [rows][heads]: rows 0 is none of the step's. */
static clkv_status take_floats(const clkv_step *step, struct clkv__host_tensors *all, cl_mem *mem,
                               const float *host, const char *name, size_t *offset, size_t rows,
                               bool writes, clkv_error *error)
{
	const size_t heads = (size_t)step->cache->shape.q_heads;
	const struct clkv__extent extent = {rows > 0 ? rows : 1, heads, 1, rows > step->pass.n_rows};
	return clkv__host_floats_take(all, mem, host, name, offset, &extent, writes, error);
}

static clkv_status append(clkv_step *step, int layer, const clkv_tensor *k, const clkv_tensor *v,
                          bool stored, cl_uint n_wait, const cl_event *wait, cl_event *done,
                          clkv_error *error)
{
	CLKV_TRY(check_adds(step, error));
	CLKV_TRY(check_layer(step, layer, CLKV__LAYER_NEW, "its rows were appended already", error));
	CLKV_TRY(clkv__wait_check(n_wait, wait, error));
	if (!k || !v)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT, "%s is NULL", k ? "v" : "k");
	const struct clkv__shape *shape = &step->cache->shape;
	clkv_tensor kt = *k, vt = *v;
	struct clkv__host_tensors host;
	CLKV_TRY(start_host(step, &host, k->host || v->host, n_wait, wait, error));
	clkv_status status = take(step, &host, &kt, "k", shape->streams, shape->dk, false, error);
	if (status == CLKV_OK)
		status = take(step, &host, &vt, "v", shape->streams, shape->dv, false, error);
	if (status == CLKV_OK)
		status = clkv__launch_append(step->cache, &step->chain, &step->pass, layer, &kt, &vt,
		                             stored, n_wait, wait, done, error);
	CLKV_TRY(clkv__host_tensors_end(&host, status, NULL, error));
	step->layers[layer] = CLKV__LAYER_APPENDED;
	return CLKV_OK;
}

clkv_status clkv_step_append(clkv_step *step, int layer, const clkv_tensor *k, const clkv_tensor *v,
                             cl_uint n_wait, const cl_event *wait, cl_event *done,
                             clkv_error *error)
{
	step = band_of(step, &layer);
	uint64_t start = started(step);
	clkv__error_clear(error);
	clkv_status status = append(step, layer, k, v, false, n_wait, wait, done, error);
	return metered(step, start, status);
}

clkv_status clkv__append_stored(clkv_step *step, int layer, const clkv_tensor *k,
                                const clkv_tensor *v, cl_event *done, clkv_error *error)
{
	step = band_of(step, &layer);
	uint64_t start = started(step);
	clkv_status status = append(step, layer, k, v, true, 0, NULL, done, error);
	return metered(step, start, status);
}

static clkv_status take_attend(const clkv_step *step, struct clkv__host_tensors *host,
                               clkv_attend_args *a, clkv_error *error)
{
	const struct clkv__shape *shape = &step->cache->shape;
	CLKV_TRY(take(step, host, &a->q, "q", shape->q_heads, shape->dk, false, error));
	CLKV_TRY(take(step, host, &a->out, "out", shape->q_heads, shape->dv, true, error));
	CLKV_TRY(take_floats(step, host, &a->lse, a->lse_host, "lse", &a->lse_offset,
	                     step->pass.tensor_rows, true, error));
	return take_floats(step, host, &a->sinks, a->sinks_host, "sinks", &a->sinks_offset, 0, false,
	                   error);
}

/* Layers that seal and were attended with in this step. */
static uint32_t count_attended(const clkv_step *step)
{
	uint32_t n = 0;
	for (int l = step->cache->plan.general.skip; l < step->cache->shape.layers; l++)
		n += step->attended[l];
	return n;
}

static clkv_status attend(clkv_step *step, int layer, const clkv_attend_args *args, cl_uint n_wait,
                          const cl_event *wait, cl_event *done, clkv_error *error)
{
	CLKV_TRY(
		check_layer(step, layer, CLKV__LAYER_APPENDED, "its rows must be appended first", error));
	CLKV_TRY(clkv__wait_check(n_wait, wait, error));
	clkv_attend_args a;
	struct clkv__host_tensors host;
	CLKV_TRY(clkv__struct_read(&a, sizeof a, args, "clkv_attend_args", error));
	step->pass.attended = count_attended(step);
	bool any = a.q.host || a.out.host || a.lse_host || a.sinks_host;
	CLKV_TRY(start_host(step, &host, any, n_wait, wait, error));
	clkv_status status = take_attend(step, &host, &a, error);
	cl_event *at_once = clkv__host_tensors_return(&host) ? NULL : done;
	if (status == CLKV_OK)
		status = clkv__launch_attend(step->cache, &step->chain, &step->pass, layer, &a, n_wait,
		                             wait, at_once, error);
	CLKV_TRY(clkv__host_tensors_end(&host, status, done, error));
	step->attended[layer] = true;
	step->weighed[layer] = step->pass.left.works.n > 0;
	return CLKV_OK;
}

clkv_status clkv_step_attend(clkv_step *step, int layer, const clkv_attend_args *args,
                             cl_uint n_wait, const cl_event *wait, cl_event *done,
                             clkv_error *error)
{
	step = band_of(step, &layer);
	uint64_t start = started(step);
	clkv__error_clear(error);
	clkv_status status = attend(step, layer, args, n_wait, wait, done, error);
	return metered(step, start, status);
}

static clkv_status observe(clkv_step *step, int layer, const clkv_observe_args *args,
                           cl_uint n_wait, const cl_event *wait, cl_event *done, clkv_error *error)
{
	CLKV_TRY(check_adds(step, error));
	CLKV_TRY(
		check_layer(step, layer, CLKV__LAYER_APPENDED, "its rows must be appended first", error));
	CLKV_TRY(clkv__wait_check(n_wait, wait, error));
	clkv_observe_args a;
	CLKV_TRY(clkv__struct_read(&a, sizeof a, args, "clkv_observe_args", error));
	const clkv_cache *cache = step->cache;
	struct clkv__host_tensors host;
	if (!a.lse && !a.lse_host && clkv__plan_weigher(&cache->plan))
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT,
		          "lse is NULL: stage '%s' weighs tokens by logits and their log-sum-exp",
		          clkv__plan_weigher(&cache->plan));
	CLKV_TRY(start_host(step, &host, a.q.host || a.lse_host, n_wait, wait, error));
	clkv_status status =
		take(step, &host, &a.q, "q", cache->shape.q_heads, cache->shape.dk, false, error);
	if (status == CLKV_OK)
		status = take_floats(step, &host, &a.lse, a.lse_host, "lse", &a.lse_offset,
		                     step->pass.tensor_rows, false, error);
	if (status == CLKV_OK)
		status = clkv__launch_observe(step->cache, &step->chain, &step->pass, layer, &a, n_wait,
		                              wait, done, error);
	CLKV_TRY(clkv__host_tensors_end(&host, status, NULL, error));
	step->attended[layer] = true;
	step->weighed[layer] = false; /* whose rows attention hasn't seen */
	return CLKV_OK;
}

clkv_status clkv_step_observe(clkv_step *step, int layer, const clkv_observe_args *args,
                              cl_uint n_wait, const cl_event *wait, cl_event *done,
                              clkv_error *error)
{
	step = band_of(step, &layer);
	uint64_t start = started(step);
	clkv__error_clear(error);
	clkv_status status = observe(step, layer, args, n_wait, wait, done, error);
	return metered(step, start, status);
}
