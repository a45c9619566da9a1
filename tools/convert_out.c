/* SPDX-License-Identifier: MIT */
/**
 * \file    convert_out.c
 * \brief   A snapshot into a state file of one sequence.
 */
#include <stdlib.h>
#include <string.h>

#include "convert.h"

struct export
{
	const struct convert *convert;
	const unsigned char *data; /* the snapshot */
	size_t size, at;
	struct snapshot_look look;
	struct convert_cache cache;
	struct llama_shape shape;
	int32_t *tokens;
	struct tool_error *error;
};

static bool find_geometry(struct export *ex)
{
	const struct snapshot_look *look = &ex->look;
	clkv_geometry *g = &ex->cache.geometry;
	if (!convert_cache_model(ex->convert, &ex->cache, ex->error))
		return false;
	if (ex->cache.model == NULL) {
		*g = (clkv_geometry)CLKV_INIT(clkv_geometry);
		g->layers = (int)look->layers;
		g->q_heads = g->kv_heads = (int)look->kv_heads;
		g->head_dim_k = (int)look->dim_k;
		g->head_dim_v = (int)look->dim_v;
		return true;
	}
	return ((uint32_t)g->layers == look->layers && (uint32_t)g->kv_heads == look->kv_heads &&
	        (uint32_t)g->head_dim_k == look->dim_k && (uint32_t)g->head_dim_v == look->dim_v) ||
	       tool_fail(ex->error,
	                 "the snapshot has %u layers of %u KV heads of %u and %u channels, the model "
	                 "%d of %d of %d",
	                 look->layers, look->kv_heads, look->dim_k, look->dim_v, g->layers, g->kv_heads,
	                 g->head_dim_k);
}

/* ---------------------------------------------------------------- snapshot ---- */

static size_t read_bytes(void *opaque, void *data, size_t size)
{
	struct export *ex = opaque;
	const size_t n = size < ex->size - ex->at ? size : ex->size - ex->at;
	memcpy(data, ex->data + ex->at, n);
	ex->at += n;
	return n;
}

static bool load(struct export *ex)
{
	clkv_error cause = {0};
	struct convert_cache *c = &ex->cache;
	if (!convert_cache_open(ex->convert, c, ex->look.recipe, ex->look.length, ex->error))
		return false;
	if (clkv_seq_load(c->cache, c->queue, read_bytes, ex, &c->seq, &cause) != CLKV_OK)
		return tool_fail_clkv(ex->error, "loading the snapshot", &cause);
	return ex->at == ex->size ||
	       tool_fail(ex->error, "%zu bytes are left behind the snapshot", ex->size - ex->at);
}

/* ---------------------------------------------------------------- state ---- */

static bool set_shape(struct export *ex)
{
	const struct convert *convert = ex->convert;
	const size_t sequence = convert->sequence == SIZE_MAX ? 0 : convert->sequence;
	const size_t streams = convert->streams > 0 ? convert->streams : 1;
	const struct snapshot_look *look = &ex->look;
	if (!convert->session && convert->arch != NULL)
		return tool_fail(ex->error, "--arch is for --session: other files don't name a model");
	if (convert->session && convert->arch == NULL && convert->model == NULL)
		return tool_fail(ex->error, "a session names its model: --arch or --model says which");
	if (streams > 1 && sequence >= streams)
		return tool_fail(ex->error, "--seq %zu has no stream among --streams %zu", sequence,
		                 streams);
	ex->shape = (struct llama_shape){
		.session = convert->session,
		.model = convert->arch != NULL ? convert->arch : "llama",
		.n_streams = streams,
		.stream = streams > 1 ? sequence : 0,
		.sequence = (int32_t)sequence,
		.n_cells = look->length,
		.transposed = convert->transposed,
		.n_layers = look->layers,
		.type = convert->type_given ? convert->type : LLAMA_F16,
		.width = {(size_t)look->kv_heads * look->dim_k, (size_t)look->kv_heads * look->dim_v}};
	if (!convert_read_tokens(convert->tokens, &ex->tokens, &ex->shape.n_tokens, ex->error))
		return false;
	ex->shape.tokens = ex->tokens;
	return true;
}

static bool decode(void *opaque, size_t layer, enum llama_side side, void *rows,
                   struct tool_error *error)
{
	struct export *ex = opaque;
	clkv_error cause = {0};
	const clkv_tensor tensor = {.host = rows, .dtype = convert_dtype(ex->shape.type)};
	return clkv_seq_read(ex->cache.seq, (int)layer, 0, ex->shape.n_cells,
	                     side == LLAMA_K ? &tensor : NULL, side == LLAMA_V ? &tensor : NULL,
	                     ex->cache.queue, &cause) == CLKV_OK ||
	       tool_fail_clkv(error, "reading rows", &cause);
}

static bool save(void *opaque, FILE *file, struct tool_error *error)
{
	struct export *ex = opaque;
	return llama_state_write(&ex->shape, decode, ex, file, error);
}

bool convert_to_state(const struct convert *convert, const void *snapshot, size_t size,
                      struct tool_error *error)
{
	struct export ex = {.convert = convert, .data = snapshot, .size = size, .error = error};
	bool done = snapshot_look(snapshot, size, &ex.look, error) && set_shape(&ex) &&
	            find_geometry(&ex) && load(&ex) && convert_write(convert->out, save, &ex, error);
	convert_cache_close(&ex.cache);
	free(ex.tokens);
	return done;
}
