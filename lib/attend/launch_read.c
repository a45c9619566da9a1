/* SPDX-License-Identifier: MIT */
/** \file launch_read.c \brief Launches that decode rows of a sequence for the caller. */
#include "attend/args.h"
#include "attend/launch.h"

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
	put_mem(&a, cache->pool.layers[layer].mem);
	put_mem(&a, cache->tables.mem);
	put_tensor(&a, r->k ? r->k : &none);
	put_uint(&a, r->k != NULL);
	put_tensor(&a, r->v ? r->v : &none);
	put_uint(&a, r->v != NULL);
	put_mem(&a, code_tables(cache));
	put_uint(&a, seq->slab);
	put_uint(&a, cache->sizes.cap);
	put_uint(&a, seq->tail > sinks ? seq->tail : sinks);
	put_uint(&a, sinks);
	put_uint(&a, clkv__layer_is_dense(&cache->plan, layer));
	put_uint(&a, (cl_uint)layer);
	put_uint(&a, r->from);
	put_uint(&a, r->n);
	put_uint(&a, (cl_uint)span->first_stream);
	put_uint(&a, cache->pool.layers[layer].landing);
	put_uint(&a, r->landed);
	put_uint(&a, cache->sizes.sealed_units);
	put_uint(&a, r->slots);
	put_projections(&a, cache, layer);
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
