/* SPDX-License-Identifier: MIT */
/** \file
 *  Graphs of two layers of attention, as llama.cpp builds them, for check_llama.py: of shapes, biases and masks that the test model
 *  doesn't have. Built as a library whose symbols ggml_* come from the process that loads it. */
#include <ggml-alloc.h>
#include <ggml-backend.h>
#include <ggml.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { LAYERS = 2, TENSORS = 256 };

struct graph_case {
	int dim_k, dim_v, q_heads, kv_heads;
	int cells, first, rows; /**< rows go into cells first, first + 1 ... */
	float softcap, max_bias;
	int sinks;      /**< 1: a logit per head */
	int window;     /**< of the mask; 0: none */
	int other_dims; /**< 1: the second layer has half the KV heads */
	int no_rows;    /**< 1: the second layer attends without rows of its own */
};

/** A device's graph, its cache kept from one run to the next. */
struct graph {
	struct ggml_context *cache_context, *context;
	ggml_backend_t backends[2];
	int n_backends;
	ggml_backend_buffer_t cache;
	struct ggml_tensor *k[LAYERS], *v[LAYERS];
};

#define CASES __attribute__((visibility("default")))
CASES struct graph *graph_open(const struct graph_case *c, int clkv);
CASES int graph_run(struct graph *g, const struct graph_case *c, float *out);
CASES void graph_close(struct graph *g);

static struct ggml_context *context_of(int n)
{
	return ggml_init((struct ggml_init_params){
		.mem_size = (size_t)n * ggml_tensor_overhead() + ggml_graph_overhead(), .no_alloc = true});
}

static int kv_heads_of(const struct graph_case *c, int layer)
{
	return layer && c->other_dims ? c->kv_heads / 2 : c->kv_heads;
}

CASES void graph_close(struct graph *g)
{
	ggml_backend_buffer_free(g->cache);
	for (int i = 0; i < g->n_backends; i++)
		ggml_backend_free(g->backends[i]);
	ggml_free(g->cache_context);
	free(g);
}

CASES struct graph *graph_open(const struct graph_case *c, int clkv)
{
	struct graph *g = calloc(1, sizeof(*g));
	if (!g)
		return NULL;
	if (clkv)
		g->backends[g->n_backends++] = ggml_backend_init_by_name("CLKV0", NULL);
	g->backends[g->n_backends++] = ggml_backend_init_by_type(GGML_BACKEND_DEVICE_TYPE_CPU, NULL);
	g->cache_context = context_of(2 * LAYERS);
	for (int i = 0; i < LAYERS; i++) {
		g->k[i] = ggml_new_tensor_3d(g->cache_context, GGML_TYPE_F16, c->dim_k * kv_heads_of(c, i),
		                             c->cells, 1);
		g->v[i] = ggml_new_tensor_3d(g->cache_context, GGML_TYPE_F16, c->dim_v * kv_heads_of(c, i),
		                             c->cells, 1);
		ggml_format_name(g->k[i], "cache_k_l%d", i);
		ggml_format_name(g->v[i], "cache_v_l%d", i);
	}
	g->cache = ggml_backend_alloc_ctx_tensors(g->cache_context, g->backends[0]);
	ggml_backend_buffer_clear(g->cache, 0);
	return g;
}

/** Numbers of a uniform distribution in [-1, 1), the same for the same seed. */
static void fill(struct ggml_tensor *t, uint32_t seed)
{
	const size_t n = (size_t)ggml_nelements(t);
	float *values = malloc(n * sizeof(*values));
	for (size_t i = 0; values && i < n; i++) {
		seed = seed * 1664525u + 1013904223u;
		values[i] = (float)(seed >> 8) / (float)(1 << 23) - 1;
	}
	ggml_backend_tensor_set(t, values, 0, n * sizeof(*values));
	free(values);
}

static void fill_mask(struct ggml_tensor *mask, const struct graph_case *c)
{
	for (int r = 0; r < c->rows; r++) {
		for (int j = 0; j < c->cells; j++) {
			const int at = c->first + r, seen = j <= at && (!c->window || j > at - c->window);
			const ggml_fp16_t value = ggml_fp32_to_fp16(seen ? 0 : -INFINITY);
			ggml_backend_tensor_set(mask, &value, (size_t)(r * c->cells + j) * sizeof(value),
			                        sizeof(value));
		}
	}
}

static struct ggml_tensor *input(struct ggml_context *x, enum ggml_type type, int a, int b, int d)
{
	struct ggml_tensor *t = ggml_new_tensor_3d(x, type, a, b, d);
	ggml_set_input(t);
	return t;
}

struct inputs {
	struct ggml_tensor *q[LAYERS], *rows_k[LAYERS], *rows_v[LAYERS], *cells, *mask, *sinks;
};

/** Writes a layer's rows, and attends. Returns the result. */
static struct ggml_tensor *build_layer(struct graph *g, struct ggml_cgraph *graph,
                                       const struct graph_case *c, struct inputs *in, int i)
{
	struct ggml_context *x = g->context;
	const int heads = kv_heads_of(c, i);
	in->q[i] = input(x, GGML_TYPE_F32, c->dim_k, c->q_heads, c->rows);
	if (!(i && c->no_rows)) {
		in->rows_k[i] = input(x, GGML_TYPE_F32, c->dim_k * heads, c->rows, 1);
		in->rows_v[i] = input(x, GGML_TYPE_F32, c->dim_v * heads, c->rows, 1);
		ggml_build_forward_expand(graph, ggml_set_rows(x, g->k[i], in->rows_k[i], in->cells));
		ggml_build_forward_expand(graph, ggml_set_rows(x, g->v[i], in->rows_v[i], in->cells));
	}
	struct ggml_tensor *k = ggml_view_4d(x, g->k[i], c->dim_k, heads, c->cells, 1,
	                                     (size_t)c->dim_k * 2, g->k[i]->nb[1], g->k[i]->nb[2], 0);
	struct ggml_tensor *v = ggml_view_4d(x, g->v[i], c->dim_v, heads, c->cells, 1,
	                                     (size_t)c->dim_v * 2, g->v[i]->nb[1], g->v[i]->nb[2], 0);
	struct ggml_tensor *out =
		ggml_flash_attn_ext(x, ggml_permute(x, in->q[i], 0, 2, 1, 3),
	                        ggml_permute(x, k, 0, 2, 1, 3), ggml_permute(x, v, 0, 2, 1, 3),
	                        in->mask, 1 / sqrtf((float)c->dim_k), c->max_bias, c->softcap);
	if (c->sinks)
		ggml_flash_attn_ext_add_sinks(out, in->sinks);
	/* an operation of the engine's own behind it, which must get the result */
	out = ggml_scale(x, out, 2);
	ggml_set_output(out);
	ggml_build_forward_expand(graph, out);
	return out;
}

static void fill_inputs(const struct graph_case *c, struct inputs *in)
{
	for (int i = 0; i < LAYERS; i++) {
		const uint32_t seed = (uint32_t)(c->first * 100 + i * 10);
		fill(in->q[i], seed + 1);
		if (in->rows_k[i]) {
			fill(in->rows_k[i], seed + 2);
			fill(in->rows_v[i], seed + 3);
		}
	}
	for (int r = 0; r < c->rows; r++) {
		const int64_t cell = c->first + r;
		ggml_backend_tensor_set(in->cells, &cell, (size_t)r * sizeof(cell), sizeof(cell));
	}
	fill_mask(in->mask, c);
	if (c->sinks)
		fill(in->sinks, 9);
}

/** Runs one batch; out [layers][rows][q_heads][dim_v]. Returns ggml's status. */
CASES int graph_run(struct graph *g, const struct graph_case *c, float *out)
{
	struct inputs in = {.cells = NULL};
	struct ggml_tensor *result[LAYERS];
	g->context = context_of(TENSORS);
	struct ggml_cgraph *graph = ggml_new_graph(g->context);
	in.cells = input(g->context, GGML_TYPE_I64, c->rows, 1, 1);
	in.mask = input(g->context, GGML_TYPE_F16, c->cells, c->rows, 1);
	in.sinks = input(g->context, GGML_TYPE_F32, c->q_heads, 1, 1);
	for (int i = 0; i < LAYERS; i++)
		result[i] = build_layer(g, graph, c, &in, i);
	ggml_backend_sched_t sched = ggml_backend_sched_new(g->backends, NULL, g->n_backends,
	                                                    GGML_DEFAULT_GRAPH_SIZE, false, false);
	int status = GGML_STATUS_ALLOC_FAILED;
	if (ggml_backend_sched_alloc_graph(sched, graph)) {
		fill_inputs(c, &in);
		status = ggml_backend_sched_graph_compute(sched, graph);
		for (int i = 0; i < LAYERS && !status; i++, out += c->rows * c->q_heads * c->dim_v)
			ggml_backend_tensor_get(result[i], out, 0, ggml_nbytes(result[i]));
	}
	ggml_backend_sched_free(sched);
	ggml_free(g->context);
	return status;
}
