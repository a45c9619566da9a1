/* SPDX-License-Identifier: MIT */
/** \file read.c \brief Rows of a sequence, decoded for the caller: clkv_seq_read. */
#include "attend/host_tensor.h"
#include "attend/launch.h"
#include "attend/tensor.h"
#include "base/error.h"
#include "cache/idle.h"
#include "cache/read_placed.h"
#include "step/step.h"
#include "store/cache.h"

/* Rows of a layer of a sequence, and where they go; either tensor may be NULL. */
struct reading {
	clkv_seq *seq;
	int layer;
	size_t from, n;
	const clkv_tensor *k, *v;
};

/* A tensor in host memory gets a buffer. */
static clkv_status take(struct clkv__host_tensors *host, const struct reading *r,
                        const clkv_tensor *from, clkv_tensor *to, const char *name, int dim,
                        clkv_error *error)
{
	const struct clkv__extent extent = {r->n, (size_t)r->seq->cache->shape.streams, (size_t)dim,
	                                    false};
	if (!from)
		return CLKV_OK;
	*to = *from;
	return clkv__host_tensor_take(host, to, name, &extent, true, error);
}

static clkv_status launch(const struct reading *r, struct clkv__chain *chain, clkv_error *error)
{
	clkv_cache *cache = r->seq->cache;
	struct clkv__host_tensors host = {.context = cache->context, .chain = chain};
	clkv_tensor k, v;
	CLKV_TRY(clkv__step_send_tables(cache, chain, error));
	clkv_status status = take(&host, r, r->k, &k, "k", cache->shape.dk, error);
	if (status == CLKV_OK)
		status = take(&host, r, r->v, &v, "v", cache->shape.dv, error);
	if (status == CLKV_OK)
		status = (cache->sizes.moves ? clkv__place_read : clkv__launch_read)(
			r->seq, chain, r->layer, (cl_uint)r->from, (cl_uint)r->n, r->k ? &k : NULL,
			r->v ? &v : NULL, error);
	return clkv__host_tensors_end(&host, status, NULL, error);
}

static clkv_status read_rows(const struct reading *r, cl_command_queue queue, clkv_error *error)
{
	clkv_cache *cache = r->seq->cache;
	struct clkv__chain chain;
	CLKV_TRY(clkv__cache_join(cache, &chain, queue, error));
	clkv_status status = launch(r, &chain, error);
	clkv__cache_leave(cache, &chain);
	if (status == CLKV_OK)
		status = clkv__cl_check(error, clFinish(queue), "clFinish");
	return status;
}

clkv_status clkv_seq_read(clkv_seq *seq, int layer, size_t from, size_t n, const clkv_tensor *k,
                          const clkv_tensor *v, cl_command_queue queue, clkv_error *error)
{
	clkv__error_clear(error);
	if (!seq || (!k && !v))
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT, "%s",
		          seq ? "k and v are NULL" : "seq is NULL");
	int layers = clkv__cache_layers(seq->cache);
	if (layer < 0 || layer >= layers)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT, "layer is %d; allowed: 0 to %d", layer,
		          layers - 1);
	seq = clkv__seq_at(seq, &layer);
	clkv_cache *cache = seq->cache;
	const struct clkv__shape *shape = &cache->shape;
	if (n == 0 || from > seq->length || n > seq->length - from)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT,
		          "rows %zu to %zu + %zu; allowed: at least one, within the sequence's %u", from,
		          from, n, seq->length);
	if (cache->plan.slides > 0 && from < seq->tail)
		CLKV_FAIL(
			error, CLKV_ERROR_INVALID_ARGUMENT,
			"rows %zu to %zu + %zu: those before %u have left the window of layer %d; allowed: "
			"others",
			from, from, n, seq->tail, clkv__shape_layer(&cache->shape, layer));
	uint32_t sinks = clkv__sinks(cache, seq->length);
	if (seq->kept.selected && !clkv__layer_is_dense(&cache->plan, layer) && from < seq->tail &&
	    from + n > sinks)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT,
		          "rows %zu to %zu + %zu: of those from %u to %u only some were kept; allowed: "
		          "others, or clkv_seq_get_kept",
		          from, from, n, sinks, seq->tail - 1);
	clkv_tensor kt = {0}, vt = {0};
	if (k) {
		kt = *k;
		CLKV_TRY(clkv__tensor_check(&kt, "k", n, shape->streams, shape->dk, error));
	}
	if (v) {
		vt = *v;
		CLKV_TRY(clkv__tensor_check(&vt, "v", n, shape->streams, shape->dv, error));
	}
	const struct reading r = {seq, layer, from, n, k ? &kt : NULL, v ? &vt : NULL};
	CLKV_TRY(clkv__cache_lock_idle(cache, error));
	clkv_status status = read_rows(&r, queue, error);
	pthread_mutex_unlock(&cache->mutex);
	return status;
}
