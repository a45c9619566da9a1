/* SPDX-License-Identifier: MIT */
/**
 * \file    snapshot_copy.c
 * \brief   From one recipe to another: rows are decoded to half and appended as a prompt.
 *
 * Half holds what the codecs of this library decode to within half a unit in its last place, far below
 * what they lose themselves.
 */
#include "snapshot/snapshot.h"

#include "cache/create.h"
#include "cache/idle.h"
#include "step/step_layer.h"

/* Rows of K and V of one layer between the two caches. */
struct rows {
	clkv_tensor k, v;
	size_t n;
	bool ends; /* the prompt ends with the last of them */
};

clkv_status clkv__snapshot_cache(const clkv_cache *like, enum clkv__cache_use use,
                                 const char *recipe, size_t tokens, size_t blocks, size_t block,
                                 clkv_cache **out, clkv_error *error)
{
	clkv_geometry g = clkv__cache_geometry(like);
	clkv_cache_options o = CLKV_INIT(clkv_cache_options);
	o.max_tokens = tokens > blocks * block ? tokens : blocks * block;
	o.max_tokens = o.max_tokens > 0 ? o.max_tokens : 1;
	return clkv__cache_create(like->context, &g, recipe, &o, use, like, out, error);
}

static clkv_status create_buffer(const clkv_cache *cache, size_t bytes, cl_mem *mem,
                                 clkv_error *error)
{
	cl_int code;
	cl_mem made = clCreateBuffer(cache->context->cl, CL_MEM_READ_WRITE, bytes, NULL, &code);
	CLKV_CL_CODE(error, code, "clCreateBuffer");
	*mem = made;
	return CLKV_OK;
}

static clkv_status copy_layer(clkv_seq *from, clkv_step *step, int layer, size_t first,
                              const struct rows *rows, cl_command_queue queue, clkv_error *error)
{
	cl_event done = NULL;
	CLKV_TRY(clkv_seq_read(from, layer, first, rows->n, &rows->k, &rows->v, queue, error));
	CLKV_TRY(clkv__append_stored(step, layer, &rows->k, &rows->v, &done, error));
	/* The next layer's rows come into the same buffers. */
	clkv_status status = clkv__cl_check(error, clWaitForEvents(1, &done), "clWaitForEvents");
	clReleaseEvent(done);
	return status;
}

static clkv_status copy_rows(clkv_seq *from, clkv_seq *to, size_t first, const struct rows *rows,
                             cl_command_queue queue, clkv_error *error)
{
	clkv_step *step = NULL;
	bool last = rows->ends && first + rows->n == from->length;
	clkv_step_item item = {to, rows->n, last ? CLKV_PROMPT_END : CLKV_PROMPT};
	CLKV_TRY(clkv_step_begin(to->cache, &item, 1, queue, &step, error));
	clkv_status status = CLKV_OK;
	for (int l = 0; l < clkv__cache_layers(to->cache) && status == CLKV_OK; l++)
		status = copy_layer(from, step, l, first, rows, queue, error);
	if (status == CLKV_OK)
		status = clkv_step_commit(step, NULL, error);
	if (status != CLKV_OK)
		clkv_step_abort(step);
	return status;
}

clkv_status clkv__snapshot_copy(clkv_seq *from, size_t first, clkv_seq *to, bool ends,
                                cl_command_queue queue, clkv_error *error)
{
	enum { MOST = 512 }; /* rows at a time: the buffers stay small */
	const clkv_cache *cache = to->cache;
	size_t most = cache->sizes.max_step_tokens < MOST ? cache->sizes.max_step_tokens : MOST;
	size_t head = most * (size_t)cache->shape.streams * 2; /* bytes of a channel of all heads */
	struct rows rows = {.k = {.dtype = CLKV_F16}, .v = {.dtype = CLKV_F16}, .ends = ends};
	clkv_status status = create_buffer(cache, head * (size_t)cache->shape.dk, &rows.k.mem, error);
	if (status == CLKV_OK)
		status = create_buffer(cache, head * (size_t)cache->shape.dv, &rows.v.mem, error);
	for (; first < from->length && status == CLKV_OK; first += rows.n) {
		rows.n = from->length - first < most ? from->length - first : most;
		status = copy_rows(from, to, first, &rows, queue, error);
	}
	if (rows.k.mem)
		clReleaseMemObject(rows.k.mem);
	if (rows.v.mem)
		clReleaseMemObject(rows.v.mem);
	return status;
}

clkv_status clkv__snapshot_check(const struct clkv__plan *plan, clkv_error *error)
{
	if (plan->slides > 0)
		CLKV_FAIL(
			error, CLKV_ERROR_UNSUPPORTED,
			"layers= with f16 keeps only the window of %u tokens in layers that slide: files hold "
			"sequences with all of their tokens; allowed: f16 for all layers, or stages that "
			"encode for these",
			plan->slides);
	if (clkv__selects(&plan->select))
		CLKV_FAIL(error, CLKV_ERROR_UNSUPPORTED,
		          "stage '%s' keeps some tokens of each head: files hold sequences with all of "
		          "them; allowed: recipes without a stage that selects or merges",
		          plan->select.stage);
	return CLKV_OK;
}

clkv_status clkv__snapshot_check_cache(clkv_cache *cache, clkv_error *error)
{
	for (const clkv_cache *c = cache; c; c = c->next_band)
		CLKV_TRY(clkv__snapshot_check(&c->plan, error));
	CLKV_TRY(clkv__cache_lock_idle(cache, error));
	pthread_mutex_unlock(&cache->mutex);
	return CLKV_OK;
}
