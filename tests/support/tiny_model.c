/* SPDX-License-Identifier: MIT */
/**
 * \file    tiny_model.c
 * \brief   A small Llama model and its reference: plain loops, no code of the engine's.
 */
#include "support/tiny_model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ref/ref_half.h"
#include "weight_format.h"

/* Heads are those of feed_usual, so that its suites' programs serve here. */
enum { LAYERS = 2, DIM = 256, FF = 512, Q_HEADS = 6, KV_HEADS = 2, HEAD = 64, VOCABULARY = 90 };

struct entry {
	const char *name;
	uint32_t type;
	uint64_t columns, rows;
};

static const struct entry layer_entries[] = {
	{"attn_norm", WEIGHT_F32, DIM, 1},
	{"attn_q", WEIGHT_Q4_0, DIM, Q_HEADS *HEAD},
	{"attn_k", WEIGHT_Q6_K, DIM, KV_HEADS *HEAD},
	{"attn_v", WEIGHT_F16, DIM, KV_HEADS *HEAD},
	{"attn_output", WEIGHT_Q4_1, Q_HEADS *HEAD, DIM},
	{"ffn_norm", WEIGHT_F32, DIM, 1},
	{"ffn_gate", WEIGHT_Q4_K, DIM, FF},
	{"ffn_up", WEIGHT_Q8_0, DIM, FF},
	{"ffn_down", WEIGHT_F32, FF, DIM},
};

#define LAYER_ENTRIES (sizeof layer_entries / sizeof layer_entries[0])

static const struct entry other_entries[] = {
	{"token_embd.weight", WEIGHT_Q8_0, DIM, VOCABULARY},
	{"output_norm.weight", WEIGHT_F32, DIM, 1},
	{"output.weight", WEIGHT_Q6_K, DIM, VOCABULARY},
};

#define OTHER_ENTRIES (sizeof other_entries / sizeof other_entries[0])

static uint32_t draw(uint32_t *state)
{
	*state = *state * 1664525U + 1013904223U;
	return *state >> 8;
}

/* Random bytes, but with scales that keep weights below about one. */
static void random_block(uint32_t type, unsigned char *block, size_t size, uint32_t *state)
{
	for (size_t i = 0; i < size; i++)
		block[i] = (unsigned char)draw(state);
	if (type == WEIGHT_F32) {
		float value = 0.5F + (float)(draw(state) & 1023U) / 1024.0F;
		value *= size == sizeof value && (draw(state) & 1U) != 0 ? 0.1F : -0.1F;
		memcpy(block, &value, sizeof value);
	} else if (type == WEIGHT_F16) {
		block[1] = (unsigned char)((block[1] & 0x80U) | 0x2cU);
	} else if (type == WEIGHT_Q6_K) {
		block[208] = 0x00;
		block[209] = 0x04; /* 2^-14 */
	} else {
		block[1] = type == WEIGHT_Q4_K ? 0x04 : 0x1c;
		if (type == WEIGHT_Q4_1)
			block[3] = 0x9c;
		if (type == WEIGHT_Q4_K)
			block[3] = 0x04;
	}
}

static uint64_t entry_bytes(const struct entry *e)
{
	const struct weight_format *format = weight_format(e->type);
	return e->columns * e->rows / format->block_weights * format->block_bytes;
}

static void put_info(struct gguf_build *b, const char *name, const struct entry *e,
                     uint64_t *offset)
{
	const uint64_t dims[] = {e->columns, e->rows};
	gguf_build_tensor(b, name, e->rows > 1 ? 2 : 1, dims, e->type, *offset);
	*offset += (entry_bytes(e) + 31) / 32 * 32;
}

static void put_data(struct gguf_build *b, const struct entry *e, uint32_t *state)
{
	const struct weight_format *format = weight_format(e->type);
	uint64_t blocks = entry_bytes(e) / format->block_bytes;
	unsigned char block[256];
	for (uint64_t i = 0; i < blocks; i++) {
		random_block(e->type, block, format->block_bytes, state);
		for (unsigned j = 0; j < format->block_bytes; j++)
			gguf_build_u8(b, block[j]);
	}
	gguf_build_data(b, 32, 0);
}

struct gguf_build tiny_model_build(uint32_t seed)
{
	return tiny_model_build_windowed(seed, 0);
}

struct gguf_build tiny_model_build_windowed(uint32_t seed, uint32_t window)
{
	struct gguf_build b = {NULL, 0, 0};
	uint64_t offset = 0;
	char name[64];
	gguf_build_header(&b, 3, LAYERS * LAYER_ENTRIES + OTHER_ENTRIES, window > 0 ? 8 : 7);
	gguf_build_text(&b, "general.architecture", "llama");
	gguf_build_number(&b, "llama.block_count", LAYERS);
	gguf_build_number(&b, "llama.embedding_length", DIM);
	gguf_build_number(&b, "llama.feed_forward_length", FF);
	gguf_build_number(&b, "llama.attention.head_count", Q_HEADS);
	gguf_build_number(&b, "llama.attention.head_count_kv", KV_HEADS);
	gguf_build_number(&b, "llama.attention.key_length", HEAD);
	if (window > 0)
		gguf_build_number(&b, "llama.attention.sliding_window", window);
	for (size_t i = 0; i < LAYERS * LAYER_ENTRIES; i++) {
		(void)snprintf(name, sizeof name, "blk.%zu.%s.weight", i / LAYER_ENTRIES,
		               layer_entries[i % LAYER_ENTRIES].name);
		put_info(&b, name, &layer_entries[i % LAYER_ENTRIES], &offset);
	}
	for (size_t i = 0; i < OTHER_ENTRIES; i++)
		put_info(&b, other_entries[i].name, &other_entries[i], &offset);
	gguf_build_data(&b, 32, 0);
	for (size_t i = 0; i < LAYERS * LAYER_ENTRIES; i++)
		put_data(&b, &layer_entries[i % LAYER_ENTRIES], &seed);
	for (size_t i = 0; i < OTHER_ENTRIES; i++)
		put_data(&b, &other_entries[i], &seed);
	return b;
}

/* out[rows] = w . in, weights widened row by row */
static void multiply(const struct gguf_tensor *w, const double *in, double *out)
{
	const struct weight_format *format = weight_format(w->type);
	size_t n = (size_t)w->dims[0];
	size_t row_bytes = n / format->block_weights * format->block_bytes;
	float *row = malloc(n * sizeof *row);
	if (row == NULL)
		abort();
	for (size_t r = 0; r < w->dims[1]; r++) {
		weights_dequantize(format, w->data + r * row_bytes, n, row);
		out[r] = 0.0;
		for (size_t i = 0; i < n; i++)
			out[r] += (double)row[i] * in[i];
	}
	free(row);
}

static void norm(const struct gguf_tensor *w, double epsilon, const double *x, double *out)
{
	double sum = 0.0;
	for (size_t i = 0; i < DIM; i++)
		sum += x[i] * x[i];
	for (size_t i = 0; i < DIM; i++) {
		float weight;
		memcpy(&weight, w->data + 4 * i, sizeof weight);
		out[i] = x[i] / sqrt(sum / DIM + epsilon) * (double)weight;
	}
}

static void rope(const struct model *m, double *heads, size_t n_heads, size_t position)
{
	for (size_t i = 0; i < n_heads * HEAD; i += 2) {
		double angle = (double)position * pow((double)m->rope_base, -(double)(i % HEAD) / HEAD);
		angle /= (double)m->rope_scale;
		if (m->rope_factors != NULL)
			angle /= (double)m->rope_factors[i % HEAD / 2];
		double a = heads[i];
		double b = heads[i + 1];
		heads[i] = a * cos(angle) - b * sin(angle);
		heads[i + 1] = a * sin(angle) + b * cos(angle);
	}
}

/* k and v [n][KV_HEADS * HEAD]; the row attends to rows from .. n - 1 */
static void attend(const double *q, const double *k, const double *v, size_t from, size_t n,
                   double *out)
{
	double *p = malloc(n * sizeof *p);
	if (p == NULL)
		abort();
	for (size_t h = 0; h < Q_HEADS; h++) {
		size_t at = h / (Q_HEADS / KV_HEADS) * HEAD;
		double sum = 0.0;
		for (size_t t = from; t < n; t++) {
			double logit = 0.0;
			for (size_t d = 0; d < HEAD; d++)
				logit += q[h * HEAD + d] * k[t * KV_HEADS * HEAD + at + d];
			sum += p[t] = exp(logit / sqrt(HEAD));
		}
		for (size_t d = 0; d < HEAD; d++) {
			out[h * HEAD + d] = 0.0;
			for (size_t t = from; t < n; t++)
				out[h * HEAD + d] += p[t] / sum * v[t * KV_HEADS * HEAD + at + d];
		}
	}
	free(p);
}

static void run_layer(const struct model *m, const struct model_layer *l, double *x,
                      size_t position, double *k, double *v)
{
	const size_t kv_dim = KV_HEADS * HEAD;
	double in[DIM], q[Q_HEADS * HEAD], attended[Q_HEADS * HEAD], out[DIM], gate[FF], up[FF];
	norm(l->attn_norm, (double)m->rms_epsilon, x, in);
	multiply(l->q, in, q);
	multiply(l->k, in, k + position * kv_dim);
	multiply(l->v, in, v + position * kv_dim);
	rope(m, q, Q_HEADS, position);
	rope(m, k + position * kv_dim, KV_HEADS, position);
	for (size_t i = position * kv_dim; i < (position + 1) * kv_dim; i++) {
		k[i] = ref_half(k[i]);
		v[i] = ref_half(v[i]);
	}
	size_t all = position + 1, seen = m->window > 0 ? (size_t)m->window : all;
	attend(q, k, v, all > seen ? all - seen : 0, all, attended);
	multiply(l->attn_out, attended, out);
	for (size_t i = 0; i < DIM; i++)
		x[i] += out[i];
	norm(l->ffn_norm, (double)m->rms_epsilon, x, in);
	multiply(l->gate, in, gate);
	multiply(l->up, in, up);
	for (size_t i = 0; i < FF; i++)
		gate[i] = gate[i] / (1.0 + exp(-gate[i])) * up[i];
	multiply(l->down, gate, out);
	for (size_t i = 0; i < DIM; i++)
		x[i] += out[i];
}

void tiny_model_forward(const struct model *m, const int32_t *tokens, size_t n, double *logits)
{
	const struct weight_format *format = weight_format(m->embedding->type);
	const size_t row_bytes = DIM / format->block_weights * format->block_bytes;
	const size_t layer_size = n * KV_HEADS * HEAD;
	double *k = calloc(LAYERS * layer_size, sizeof *k);
	double *v = calloc(LAYERS * layer_size, sizeof *v);
	if (k == NULL || v == NULL)
		abort();
	for (size_t t = 0; t < n; t++) {
		float row[DIM];
		double x[DIM], out[DIM];
		weights_dequantize(format, m->embedding->data + (size_t)tokens[t] * row_bytes, DIM, row);
		for (size_t i = 0; i < DIM; i++)
			x[i] = (double)row[i];
		for (size_t l = 0; l < LAYERS; l++)
			run_layer(m, &m->layers[l], x, t, k + l * layer_size, v + l * layer_size);
		norm(m->output_norm, (double)m->rms_epsilon, x, out);
		multiply(m->output, out, logits + t * VOCABULARY);
	}
	free(k);
	free(v);
}
