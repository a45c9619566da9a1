/* SPDX-License-Identifier: MIT */
/**
 * \file    rows.c
 * \brief   Rows of no sequence as bytes, and back: clkv_encode, clkv_decode.
 *
 * Each call makes a cache for its rows alone, so that whatever a recipe does is done as ever.
 */
#include "attend/fallback.h"
#include "attend/tensor.h"
#include "base/struct_io.h"
#include "cache/create.h"
#include "cache/demand.h"
#include "snapshot/snapshot.h"
#include "step/step_layer.h"

#include <stdio.h>
#include <string.h>

/* The caller's rows. */
struct rows {
	size_t n;
	const clkv_tensor *k, *v; /* [layers] */
	cl_command_queue queue;
};

/* Rows of a tensor from number first on. */
static clkv_status tensor_from(const clkv_tensor *all, const char *name, const struct rows *rows,
                               size_t first, const struct clkv__shape *shape, int dim,
                               clkv_tensor *out, clkv_error *error)
{
	*out = *all;
	CLKV_TRY(clkv__tensor_check(out, name, rows->n, shape->streams, dim, error));
	out->offset += first * out->token_stride;
	return CLKV_OK;
}

static clkv_status append_layer(clkv_step *step, const clkv_cache *cache, const struct rows *rows,
                                size_t first, int layer, clkv_error *error)
{
	clkv_tensor k, v;
	const struct clkv__shape *shape = &cache->shape;
	CLKV_TRY(tensor_from(&rows->k[layer], "k", rows, first, shape, shape->dk, &k, error));
	CLKV_TRY(tensor_from(&rows->v[layer], "v", rows, first, shape, shape->dv, &v, error));
	return clkv__append_stored(step, layer, &k, &v, NULL, error);
}

static clkv_status append_rows(clkv_seq *seq, const struct rows *rows, size_t first, size_t n,
                               clkv_error *error)
{
	clkv_step *step = NULL;
	const clkv_cache *cache = seq->cache;
	const clkv_step_item item = {seq, n, first + n == rows->n ? CLKV_PROMPT_END : CLKV_PROMPT};
	CLKV_TRY(clkv_step_begin(seq->cache, &item, 1, rows->queue, &step, error));
	clkv_status status = CLKV_OK;
	for (int l = 0; l < clkv__cache_layers(cache) && status == CLKV_OK; l++)
		status = append_layer(step, cache, rows, first, l, error);
	if (status == CLKV_OK)
		status = clkv_step_commit(step, NULL, error);
	if (status != CLKV_OK)
		clkv_step_abort(step);
	return status;
}

static clkv_status append_all(clkv_seq *seq, const struct rows *rows, clkv_error *error)
{
	size_t most = seq->cache->sizes.max_step_tokens;
	for (size_t first = 0, n; first < rows->n; first += n) {
		n = rows->n - first < most ? rows->n - first : most;
		CLKV_TRY(append_rows(seq, rows, first, n, error));
	}
	return CLKV_OK;
}

/* A cache for n tokens of one sequence. */
static clkv_status create(clkv_context *context, const clkv_geometry *geometry, const char *recipe,
                          const clkv_cache_options *options, size_t n, enum clkv__cache_use use,
                          clkv_cache **out, clkv_error *error)
{
	clkv_cache_options o = CLKV_INIT(clkv_cache_options);
	if (options)
		CLKV_TRY(clkv__struct_read(&o, sizeof o, options, "clkv_cache_options", error));
	o.struct_size = sizeof o;
	o.max_tokens = n;
	o.max_step_tokens = o.max_sequences = o.max_seq_tokens = o.max_open_tokens = 0;
	return clkv__cache_create(context, geometry, recipe, &o, use, NULL, out, error);
}

static clkv_status check(const clkv_context *context, const clkv_geometry *geometry,
                         const struct rows *rows, bool function, clkv_error *error)
{
	if (!context || !geometry || !rows->k || !rows->v || !function)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT, "%s is NULL",
		          !context    ? "context"
		          : !geometry ? "geometry"
		          : !rows->k  ? "k"
		          : !rows->v  ? "v"
		                      : "the function");
	if (rows->n == 0)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT, "n_tokens is 0; allowed: 1 and up");
	return CLKV_OK;
}

clkv_status clkv_encode(clkv_context *context, const clkv_geometry *geometry, const char *recipe,
                        const clkv_cache_options *options, size_t n_tokens, const clkv_tensor *k,
                        const clkv_tensor *v, cl_command_queue queue, clkv_write_fn write,
                        void *opaque, clkv_error *error)
{
	struct clkv__snapshot_out out = CLKV__SNAPSHOT_STREAM(write, opaque);
	const struct rows rows = {n_tokens, k, v, queue};
	char text[CLKV__RECIPE_TEXT];
	clkv_cache *cache = NULL;
	clkv_seq *seq = NULL;
	clkv__error_clear(error);
	CLKV_TRY(check(context, geometry, &rows, write, error));
	CLKV_TRY(clkv__snapshot_check_recipe(context, geometry, recipe, text, error));
	CLKV_TRY(
		create(context, geometry, recipe, options, n_tokens, CLKV__CACHE_SEALS, &cache, error));
	clkv_status status = clkv_seq_create(cache, &seq, error);
	if (status == CLKV_OK)
		status = append_all(seq, &rows, error);
	if (status == CLKV_OK)
		status = clkv__snapshot_write(seq, queue, &out, error);
	clkv_cache_destroy(cache);
	return status;
}

static clkv_status read_layers(clkv_seq *seq, const struct rows *rows, clkv_error *error)
{
	clkv_status status = CLKV_OK;
	for (clkv_cache *c = seq->cache; c && status == CLKV_OK; c = c->next_band)
		status = clkv__kernels_build_any(c, error);
	for (int l = 0; l < clkv__cache_layers(seq->cache) && status == CLKV_OK; l++)
		status = clkv_seq_read(seq, l, 0, rows->n, &rows->k[l], &rows->v[l], rows->queue, error);
	return status;
}

clkv_status clkv_decode(clkv_context *context, const clkv_geometry *geometry,
                        const clkv_cache_options *options, size_t n_tokens, const clkv_tensor *k,
                        const clkv_tensor *v, cl_command_queue queue, clkv_read_fn read,
                        void *opaque, clkv_error *error)
{
	struct clkv__snapshot_in in = CLKV__SNAPSHOT_STREAM(read, opaque);
	const struct rows rows = {n_tokens, k, v, queue};
	struct clkv__snapshot_head head;
	char text[CLKV__RECIPE_TEXT];
	clkv_cache *cache = NULL;
	clkv_seq *seq = NULL;
	clkv_error why = {.position = -1};
	clkv__error_clear(error);
	CLKV_TRY(check(context, geometry, &rows, read, error));
	CLKV_TRY(clkv__head_get(&in, &head, error));
	if (head.from > 0 || head.length != n_tokens)
		CLKV_FAIL(error, CLKV_ERROR_UNSUPPORTED,
		          "the file holds tokens %u to %u; n_tokens is %zu: allowed are all of a file that "
		          "begins at 0",
		          head.from, head.length, n_tokens);
	if (clkv__snapshot_check_recipe(context, geometry, head.recipe, text, &why) != CLKV_OK)
		CLKV_FAIL(error, CLKV_ERROR_UNSUPPORTED, "the file's recipe isn't allowed here: %s",
		          why.text);
	CLKV_TRY(create(context, geometry, head.recipe, options, n_tokens, CLKV__CACHE_READS, &cache,
	                error));
	clkv_status status = clkv__snapshot_load(cache, &head, &in, queue, &seq, error);
	if (status == CLKV_OK)
		status = read_layers(seq, &rows, error);
	clkv_cache_destroy(cache);
	return status;
}

/* The header of n rows whose prompt has ended, as far as bytes depend on it; none: as if nothing were sealed. */
static struct clkv__snapshot_head head_of(const struct clkv__resolved *r, size_t n, bool none)
{
	const struct clkv__general *g = &r->plan.general;
	uint32_t open = (uint32_t)(g->sinks + g->window), bt = (uint32_t)g->block;
	struct clkv__snapshot_head head = {
		.layers = (uint32_t)r->shape.layers,
		.kv_heads = (uint32_t)r->shape.streams,
		.dk = (uint32_t)r->shape.dk,
		.dv = (uint32_t)r->shape.dv,
		.length = (uint32_t)n,
	};
	if (!r->plan.sealing.dense && n > open && !none) {
		head.tail = (uint32_t)n - (uint32_t)g->window;
		head.blocks = ((uint32_t)n - open + bt - 1) / bt;
	}
	snprintf(head.recipe, sizeof head.recipe, "%s", r->recipe);
	return head;
}

/* Where tokens wait until there are enough for an index, none may be sealed. */
static uint64_t most_of(const struct clkv__resolved *r, size_t n)
{
	const struct clkv__snapshot_head sealed = head_of(r, n, false), none = head_of(r, n, true);
	uint64_t most = clkv__head_most(&sealed, &r->plan), open = clkv__head_most(&none, &r->plan);
	return clkv__recalls(&r->plan.recall) && open > most ? open : most;
}

clkv_status clkv_encode_bound(clkv_context *context, const clkv_geometry *geometry,
                              const char *recipe, size_t n_tokens, uint64_t *bytes,
                              clkv_error *error)
{
	struct clkv__division d;
	struct clkv__resolved r;
	char text[CLKV__RECIPE_TEXT];
	clkv__error_clear(error);
	if (!context || !geometry || !bytes)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT, "%s is NULL",
		          !context    ? "context"
		          : !geometry ? "geometry"
		                      : "bytes");
	if (n_tokens == 0 || n_tokens > CLKV__MAX_TOKENS)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT, "n_tokens is %zu; allowed: 1 to %d", n_tokens,
		          (int)CLKV__MAX_TOKENS);
	CLKV_TRY(clkv__snapshot_check_recipe(context, geometry, recipe, text, error));
	CLKV_TRY(clkv__divide(geometry, recipe, &d, error));
	*bytes = d.parts.layered ? CLKV__HEAD_BYTES + strlen(text) : 0;
	for (int i = 0; i < d.bands.n; i++) {
		CLKV_TRY(clkv__resolve_band(context, &d, recipe, i, &r, error));
		*bytes += most_of(&r, n_tokens);
	}
	return CLKV_OK;
}
