/* SPDX-License-Identifier: MIT */
/**
 * \file    engine_copy.c
 * \brief   Rows that reach a cache without a forward pass: from another cache, or noise.
 */
#include <stdlib.h>

#include "engine_private.h"

/* Rows at the end of a copied prompt whose queries are asked as well: more than any stage looks at. */
#define ASKED_ROWS 256

/* Where rows come from: a stream (NULL: the engine's buffers hold them already), but for those of one layer (NULL: of none). */
struct rows_source {
	const struct engine_stream *stream;
	const struct layer_rows *changed;
};

static bool append_changed(struct engine *e, clkv_step *step, const struct layer_rows *changed,
                           size_t from, struct tool_error *error)
{
	const size_t at = from * (size_t)e->model->kv_heads * (size_t)e->model->head_dim;
	clkv_error cause = {0};
	clkv_tensor k = {.host = changed->keys + at, .dtype = CLKV_F32};
	clkv_tensor v = {.host = changed->values + at, .dtype = CLKV_F32};
	return clkv_step_append(step, changed->layer, &k, &v, 0, NULL, NULL, &cause) == CLKV_OK ||
	       tool_fail_clkv(error, "appending rows of a layer", &cause);
}

/* One step of rows of every layer. */
static bool append_layers(struct engine *e, clkv_step *step, const struct rows_source *source,
                          size_t from, size_t n, bool asks, struct tool_error *error)
{
	clkv_tensor k = {.mem = e->copy_k, .dtype = CLKV_F16};
	clkv_tensor v = {.mem = e->copy_v, .dtype = CLKV_F16};
	for (int layer = 0; layer < e->model->n_layers; layer++) {
		clkv_error cause = {0};
		if (source->changed != NULL && source->changed->layer == layer) {
			if (!append_changed(e, step, source->changed, from, error))
				return false;
			continue;
		}
		if (source->stream != NULL &&
		    clkv_seq_read(source->stream->seq, layer, from, n, &k, &v, e->queue, &cause) != CLKV_OK)
			return tool_fail_clkv(error, "reading rows of the prompt", &cause);
		if (clkv_step_append(step, layer, &k, &v, 0, NULL, NULL, &cause) != CLKV_OK)
			return tool_fail_clkv(error, "appending rows of the prompt", &cause);
		if (asks && engine_trace_has(source->stream, from) &&
		    !engine_trace_ask(e, step, source->stream, layer, from, n, error))
			return false;
	}
	return true;
}

static bool append_rows(struct engine *e, struct engine_stream *to,
                        const struct rows_source *source, size_t from, size_t n, clkv_phase phase,
                        bool asks, struct tool_error *error)
{
	clkv_error cause = {0};
	clkv_step *step;
	clkv_step_item item = {to->seq, n, phase};
	if (clkv_step_begin(to->cache, &item, 1, e->queue, &step, &cause) != CLKV_OK)
		return tool_fail_clkv(error, "beginning a step", &cause);
	if (!append_layers(e, step, source, from, n, asks, error)) {
		clkv_step_abort(step);
		return false;
	}
	if (clkv_step_commit(step, NULL, &cause) != CLKV_OK) {
		clkv_step_abort(step);
		return tool_fail_clkv(error, "committing a step", &cause);
	}
	to->length += n;
	return true;
}

static bool copy_rows(struct engine *e, struct engine_stream *to, const struct rows_source *source,
                      size_t from, size_t n, clkv_phase phase, struct tool_error *error)
{
	for (size_t done = 0; done < n;) {
		size_t left = n - done, asked = left < ASKED_ROWS ? left : ASKED_ROWS;
		size_t most = left > asked ? left - asked : left;
		size_t rows = most < e->max_rows ? most : e->max_rows;
		bool last = done + rows == n, asks = n - done - rows < clkv_cache_observes(to->cache);
		if (!append_rows(e, to, source, from + done, rows, last ? phase : CLKV_PROMPT, asks, error))
			return false;
		done += rows;
	}
	return true;
}

bool engine_copy_rows(struct engine *e, struct engine_stream *to,
                      const struct engine_stream *source, size_t from, size_t n, clkv_phase phase,
                      struct tool_error *error)
{
	const struct rows_source all = {source, NULL};
	return copy_rows(e, to, &all, from, n, phase, error);
}

bool engine_copy_changed(struct engine *e, struct engine_stream *to,
                         const struct engine_stream *source, size_t n,
                         const struct layer_rows *changed, struct tool_error *error)
{
	const struct rows_source but = {source, changed};
	return copy_rows(e, to, &but, 0, n, CLKV_PROMPT_END, error);
}

/* Halves of either sign from 2^-3 up to 1: the size of real keys and values. */
static bool write_noise(struct engine *e, cl_mem mem, struct tool_error *error)
{
	size_t n = e->max_rows * (size_t)e->model->kv_heads * (size_t)e->model->head_dim;
	uint16_t *noise = malloc(n * sizeof *noise);
	uint32_t state = 12345;
	if (noise == NULL)
		return tool_fail(error, "out of memory");
	for (size_t i = 0; i < n; i++) {
		state = state * 1664525U + 1013904223U;
		uint32_t exponent = 12 + (state >> 16) % 3;
		noise[i] = (uint16_t)((state >> 31) << 15 | exponent << 10 | (state >> 20 & 1023U));
	}
	cl_int code =
		clEnqueueWriteBuffer(e->queue, mem, CL_TRUE, 0, n * sizeof *noise, noise, 0, NULL, NULL);
	free(noise);
	return code == CL_SUCCESS || tool_fail_cl(error, "clEnqueueWriteBuffer", code);
}

bool engine_fill_noise(struct engine *e, struct engine_stream *to, size_t n, clkv_phase phase,
                       struct tool_error *error)
{
	return write_noise(e, e->copy_k, error) && write_noise(e, e->copy_v, error) &&
	       engine_copy_rows(e, to, NULL, 0, n, phase, error);
}
