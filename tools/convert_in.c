/* SPDX-License-Identifier: MIT */
/**
 * \file    convert_in.c
 * \brief   A sequence of a state file into a snapshot.
 *
 * Rows go into a cache of the recipe as a prompt that nobody attends to, and the cache saves them.
 */
#include <stdlib.h>
#include <string.h>

#include "convert.h"

/* Rows of a step: what caches take unless told otherwise. */
enum { STEP_ROWS = 512 };

/* Largest number of half. */
#define LARGEST_HALF 65504.0F

struct import {
	const struct convert *convert;
	const struct llama_state *state;
	struct llama_sequence sequence;
	struct convert_cache cache;
	void *rows[LLAMA_SIDES]; /* of a step in one layer */
	struct tool_error *error;
};

/* ---------------------------------------------------------------- geometry ---- */

static bool divide(const struct llama_rows *rows, size_t heads, int *dim, struct tool_error *error)
{
	*dim = (int)(rows->width / heads);
	return (rows->width % heads == 0 && *dim % 16 == 0 && *dim <= 256) ||
	       tool_fail(error,
	                 "rows of %zu values can't be %zu KV heads: head sizes are multiples of 16 up "
	                 "to 256",
	                 rows->width, heads);
}

static bool geometry_alone(struct import *im)
{
	const struct convert *convert = im->convert;
	const struct llama_stream *stream = im->sequence.stream;
	clkv_geometry *g = &im->cache.geometry;
	const size_t heads = convert->kv_heads;
	if (heads == 0)
		return tool_fail(im->error,
		                 "the state has rows of %zu values; --kv-heads or --model says how many "
		                 "heads that is",
		                 stream->rows[LLAMA_K].width);
	*g = (clkv_geometry)CLKV_INIT(clkv_geometry);
	g->layers = (int)stream->n_layers;
	g->kv_heads = (int)heads;
	g->q_heads = (int)(convert->q_heads > 0 ? convert->q_heads : heads);
	return divide(&stream->rows[LLAMA_K], heads, &g->head_dim_k, im->error) &&
	       divide(&stream->rows[LLAMA_V], heads, &g->head_dim_v, im->error);
}

static bool fits_model(const struct import *im)
{
	const struct model *m = im->cache.model;
	const struct llama_stream *stream = im->sequence.stream;
	const size_t width = (size_t)m->kv_heads * (size_t)m->head_dim;
	if (im->convert->kv_heads > 0 || im->convert->q_heads > 0)
		return tool_fail(im->error, "--model says how many heads there are; leave --kv-heads and "
		                            "--q-heads away");
	return (stream->n_layers == (size_t)m->n_layers && stream->rows[LLAMA_K].width == width &&
	        stream->rows[LLAMA_V].width == width) ||
	       tool_fail(im->error,
	                 "the state has %zu layers with rows of %zu and %zu values, the model %d with "
	                 "%zu",
	                 stream->n_layers, stream->rows[LLAMA_K].width, stream->rows[LLAMA_V].width,
	                 m->n_layers, width);
}

static bool find_geometry(struct import *im)
{
	if (!convert_cache_model(im->convert, &im->cache, im->error))
		return false;
	return im->cache.model != NULL ? fits_model(im) : geometry_alone(im);
}

/* ---------------------------------------------------------------- rows ---- */

/* Halves are exact; other values must be numbers that half has room for. */
static bool is_half(const unsigned char *at, enum llama_type type)
{
	uint32_t bits = 0;
	float value;
	if (type == LLAMA_F32) {
		memcpy(&bits, at, 4);
	} else {
		uint16_t low;
		memcpy(&low, at, 2);
		if (type == LLAMA_F16)
			return (low & 0x7c00) != 0x7c00;
		bits = (uint32_t)low << 16;
	}
	memcpy(&value, &bits, sizeof value);
	return value >= -LARGEST_HALF && value <= LARGEST_HALF;
}

static bool read_rows(struct import *im, size_t layer, enum llama_side side, size_t from, size_t n)
{
	const struct llama_rows *r = &im->sequence.stream->rows[side];
	llama_state_read(im->state, &im->sequence, layer, side, from, n, im->rows[side]);
	for (size_t i = 0; i < n * r->width; i++)
		if (!is_half((const unsigned char *)im->rows[side] + i * r->value_bytes, r->type))
			return tool_fail(im->error,
			                 "%s of layer %zu has a value at position %zu that isn't finite, or "
			                 "beyond half (65504)",
			                 side == LLAMA_K ? "K" : "V", layer, from + i / r->width);
	return true;
}

static bool append_layer(struct import *im, clkv_step *step, size_t layer, size_t from, size_t n)
{
	clkv_error cause = {0};
	clkv_tensor tensors[LLAMA_SIDES];
	for (int side = LLAMA_K; side < LLAMA_SIDES; side++) {
		if (!read_rows(im, layer, (enum llama_side)side, from, n))
			return false;
		tensors[side] = (clkv_tensor){.host = im->rows[side],
		                              .dtype = convert_dtype(im->sequence.stream->rows[side].type)};
	}
	clkv_status status = clkv_step_append(step, (int)layer, &tensors[LLAMA_K], &tensors[LLAMA_V], 0,
	                                      NULL, NULL, &cause);
	(void)clFinish(im->cache.queue); /* the rows are the next layer's */
	return status == CLKV_OK || tool_fail_clkv(im->error, "storing rows", &cause);
}

static bool append_step(struct import *im, size_t from, size_t n)
{
	clkv_error cause = {0};
	clkv_step *step;
	const bool last = from + n == im->sequence.n;
	const clkv_step_item item = {im->cache.seq, n, last ? CLKV_PROMPT_END : CLKV_PROMPT};
	if (clkv_step_begin(im->cache.cache, &item, 1, im->cache.queue, &step, &cause) != CLKV_OK)
		return tool_fail_clkv(im->error, "beginning a step", &cause);
	bool done = true;
	for (size_t i = 0; done && i < im->sequence.stream->n_layers; i++)
		done = append_layer(im, step, i, from, n);
	if (done && clkv_step_commit(step, NULL, &cause) == CLKV_OK)
		return true;
	if (done)
		tool_fail_clkv(im->error, "sealing rows", &cause);
	clkv_step_abort(step);
	return false;
}

static bool append_all(struct import *im)
{
	for (size_t from = 0, n; from < im->sequence.n; from += n) {
		n = im->sequence.n - from < STEP_ROWS ? im->sequence.n - from : STEP_ROWS;
		if (!append_step(im, from, n))
			return false;
	}
	return true;
}

/* ---------------------------------------------------------------- a file ---- */

static bool open_cache(struct import *im)
{
	clkv_error cause = {0};
	const char *recipe = im->convert->recipe != NULL ? im->convert->recipe : "f16";
	struct convert_cache *c = &im->cache;
	if (!find_geometry(im) ||
	    !convert_cache_open(im->convert, c, recipe, im->sequence.n, im->error))
		return false;
	if (clkv_cache_observes(c->cache) > 0 || clkv_cache_rereads(c->cache))
		return tool_fail(im->error,
		                 "recipe '%s' judges channels or tokens by queries, and a state has none; "
		                 "allowed are " CONVERT_RECIPES,
		                 recipe);
	for (int side = LLAMA_K; side < LLAMA_SIDES; side++) {
		const struct llama_rows *r = &im->sequence.stream->rows[side];
		im->rows[side] = malloc(STEP_ROWS * r->width * r->value_bytes);
		if (im->rows[side] == NULL)
			return tool_fail(im->error, "out of memory");
	}
	return clkv_seq_create(c->cache, &c->seq, &cause) == CLKV_OK ||
	       tool_fail_clkv(im->error, "creating a sequence", &cause);
}

static size_t write_bytes(void *file, const void *data, size_t size)
{
	return fwrite(data, 1, size, file);
}

static bool save(void *opaque, FILE *file, struct tool_error *error)
{
	const struct import *im = opaque;
	clkv_error cause = {0};
	return clkv_seq_save(im->cache.seq, NULL, im->cache.queue, write_bytes, file, &cause) ==
	           CLKV_OK ||
	       tool_fail_clkv(error, "saving the snapshot", &cause);
}

bool convert_to_snapshot(const struct convert *convert, const struct llama_state *state,
                         struct tool_error *error)
{
	struct import im = {.convert = convert, .state = state, .error = error};
	bool done = llama_state_find(state, convert->sequence, &im.sequence, error) &&
	            open_cache(&im) && append_all(&im) &&
	            convert_write(convert->out, save, &im, error) &&
	            (convert->tokens == NULL || convert_write_tokens(convert->tokens, state, error));
	convert_cache_close(&im.cache);
	llama_sequence_close(&im.sequence);
	for (int side = LLAMA_K; side < LLAMA_SIDES; side++)
		free(im.rows[side]);
	return done;
}
