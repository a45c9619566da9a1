/* SPDX-License-Identifier: MIT */
/**
 * \file    llama_state_write.c
 * \brief   Writes one sequence as a state file of llama.cpp.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "llama_state.h"
#include "llama_state_format.h"

struct writer {
	const struct llama_shape *shape;
	FILE *file;
	struct tool_error *error;
	unsigned char *rows, *turned; /* of one side of one layer; turned: channel by channel */
};

static bool put(struct writer *w, const void *data, size_t size)
{
	return size == 0 || fwrite(data, size, 1, w->file) == 1 ||
	       tool_fail(w->error, "the state can't be written: %s", strerror(errno));
}

static bool put_u32(struct writer *w, size_t value)
{
	const uint32_t word = (uint32_t)value;
	return put(w, &word, sizeof word);
}

static size_t value_bytes(const struct llama_shape *shape)
{
	return shape->type == LLAMA_F32 ? 4 : 2;
}

static bool put_head(struct writer *w)
{
	const struct llama_shape *s = w->shape;
	const size_t letters = s->session ? strlen(s->model) : 0;
	return put_u32(w, s->session ? LLAMA_SESSION_MAGIC : LLAMA_SEQUENCE_MAGIC) &&
	       put_u32(w, s->session ? LLAMA_SESSION_VERSION : LLAMA_SEQUENCE_VERSION) &&
	       put_u32(w, s->n_tokens) && put(w, s->tokens, s->n_tokens * sizeof *s->tokens) &&
	       (!s->session || (put_u32(w, letters) && put(w, s->model, letters))) &&
	       put_u32(w, s->n_streams);
}

static bool put_cells(struct writer *w)
{
	const struct llama_shape *s = w->shape;
	for (size_t i = 0; i < s->n_cells; i++)
		if (!put_u32(w, i) || !put_u32(w, 1) || !put_u32(w, (size_t)s->sequence))
			return false;
	return true;
}

/* Rows [cells][width] to [width][cells]. */
static void turn(const struct writer *w, size_t width)
{
	const size_t value = value_bytes(w->shape), n = w->shape->n_cells;
	for (size_t i = 0; i < n; i++)
		for (size_t d = 0; d < width; d++)
			memcpy(w->turned + (d * n + i) * value, w->rows + (i * width + d) * value, value);
}

static bool put_layer(struct writer *w, size_t layer, enum llama_side side, llama_rows_fn rows,
                      void *opaque)
{
	const struct llama_shape *s = w->shape;
	const bool turned = side == LLAMA_V && s->transposed;
	const size_t width = s->width[side], value = value_bytes(s);
	const uint64_t row = width * value;
	if (!put_u32(w, (size_t)s->type) || (turned && (!put_u32(w, value) || !put_u32(w, width))) ||
	    (!turned && !put(w, &row, sizeof row)) || !rows(opaque, layer, side, w->rows, w->error))
		return false;
	if (turned)
		turn(w, width);
	return put(w, turned ? w->turned : w->rows, s->n_cells * width * value);
}

static bool put_stream(struct writer *w, llama_rows_fn rows, void *opaque)
{
	const struct llama_shape *s = w->shape;
	if (!put_u32(w, s->n_cells))
		return false;
	if (s->n_cells == 0)
		return true;
	if (!put_cells(w) || !put_u32(w, s->transposed) || !put_u32(w, s->n_layers))
		return false;
	for (int side = LLAMA_K; side < LLAMA_SIDES; side++)
		for (size_t i = 0; i < s->n_layers; i++)
			if (!put_layer(w, i, (enum llama_side)side, rows, opaque))
				return false;
	return true;
}

static bool put_streams(struct writer *w, llama_rows_fn rows, void *opaque)
{
	for (size_t i = 0; i < w->shape->n_streams; i++)
		if (i == w->shape->stream ? !put_stream(w, rows, opaque) : !put_u32(w, 0))
			return false;
	return true;
}

bool llama_state_write(const struct llama_shape *shape, llama_rows_fn rows, void *opaque,
                       FILE *file, struct tool_error *error)
{
	struct writer w = {.shape = shape, .file = file, .error = error};
	const size_t *width = shape->width;
	const size_t widest = width[LLAMA_K] > width[LLAMA_V] ? width[LLAMA_K] : width[LLAMA_V];
	const size_t bytes = shape->n_cells * widest * value_bytes(shape);
	w.rows = malloc(bytes > 0 ? bytes : 1);
	w.turned = malloc(bytes > 0 && shape->transposed ? bytes : 1);
	bool done = w.rows != NULL && w.turned != NULL;
	if (!done)
		tool_set_error(error, "out of memory");
	done = done && put_head(&w) && put_streams(&w, rows, opaque);
	free(w.rows);
	free(w.turned);
	return done;
}
