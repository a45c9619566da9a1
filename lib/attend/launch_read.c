/* SPDX-License-Identifier: MIT */
/** \file launch_read.c \brief Launches that decode rows of a sequence for the caller. */
#include "../cl/attend/attend_args.clh"
#include "attend/args.h"
#include "attend/launch.h"

KERNEL_ARGS(read_rows, READ_ROWS_ARGS)

/* Tokens [from, from + n), or slots. landed: see clkv__launch_read_landed. */
struct reading {
	cl_uint from, n, landed;
	bool slots;
	const clkv_tensor *k, *v;
};

static clkv_status read_span(clkv_seq *seq, struct clkv__chain *chain,
                             const struct clkv__span *span, const struct reading *r,
                             clkv_error *error)
{
	int layer = span->first_layer;
	clkv_cache *cache = seq->cache;
	clkv_tensor none = {cache->part_ml, 0, CLKV_F32, 1, 1, NULL};
	uint32_t sinks = clkv__sinks(cache, seq->length);
	struct args a = args_of(cache, &span_kernels(cache, span)->read, error);
	const struct read_rows_args given = {
		.pool = cache->pool.layers[layer].mem,
		.tables = cache->tables.mem,
		TENSOR_FIELDS(k, r->k ? r->k : &none),
		.has_k = r->k != NULL,
		TENSOR_FIELDS(v, r->v ? r->v : &none),
		.has_v = r->v != NULL,
		.code_tables = code_tables(cache),
		.slab = seq->slab,
		.cap = cache->sizes.cap,
		.tail = seq->tail > sinks ? seq->tail : sinks,
		.sinks = sinks,
		.dense = clkv__layer_is_dense(&cache->plan, layer),
		.layer = (cl_uint)layer,
		.from = r->from,
		.n = r->n,
		.first_stream = (cl_uint)span->first_stream,
		.landing = cache->pool.layers[layer].landing,
		.landed = r->landed,
		.block_units = cache->sizes.sealed_units,
		.slots = r->slots,
		ROPE_FIELDS(cache),
		PROJECTION_FIELDS(cache, layer),
	};
	put_read_rows(&a, &given);
	size_t groups[3] = {r->n, (size_t)span->n_streams, 1};
	return run(&a, chain, 2, groups, lanes_of(cache), 0, NULL, NULL, error);
}

clkv_status clkv__launch_read(clkv_seq *seq, struct clkv__chain *chain, int layer, cl_uint from,
                              cl_uint n, const clkv_tensor *k, const clkv_tensor *v,
                              clkv_error *error)
{
	return clkv__launch_read_landed(seq, chain, layer, from, n, 0, k, v, error);
}

clkv_status clkv__launch_read_landed(clkv_seq *seq, struct clkv__chain *chain, int layer,
                                     cl_uint from, cl_uint n, uint32_t landed, const clkv_tensor *k,
                                     const clkv_tensor *v, clkv_error *error)
{
	const struct reading r = {from, n, landed, false, k, v};
	for (int first = 0; first < seq->cache->shape.streams;) {
		const struct clkv__span span = clkv__span_of(seq->cache, layer, first);
		CLKV_TRY(read_span(seq, chain, &span, &r, error));
		first += span.n_streams;
	}
	return CLKV_OK;
}

clkv_status clkv__launch_read_slots(clkv_seq *seq, struct clkv__chain *chain, int layer, int stream,
                                    cl_uint n, const clkv_tensor *k, const clkv_tensor *v,
                                    clkv_error *error)
{
	const struct reading r = {0, n, 0, true, k, v};
	struct clkv__span span = clkv__span_of(seq->cache, layer, stream);
	span.n_streams = 1;
	return read_span(seq, chain, &span, &r, error);
}
