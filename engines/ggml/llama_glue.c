/* SPDX-License-Identifier: MIT */
/** \file
 *  The few calls of llama.h that the comparison and the tests make, with plain arguments, so that a script can make them. Built as a
 *  library of its own whose symbols llama_* come from the process that loads it. */
#include <llama.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GLUE __attribute__((visibility("default")))

struct glue {
	struct llama_model *model;
	struct llama_context *context;
	struct llama_batch batch;
	int n_ubatch, n_threads;
};

struct glue_options {
	int n_ctx, n_ubatch, n_threads;
	int type_k, type_v;       /**< of enum ggml_type */
	int flash;                /**< of enum llama_flash_attn_type */
	int n_seq, unified, clkv; /**< clkv: caches on the device CLKV0 */
	int swa_full;
};

static void quiet(enum ggml_log_level level, const char *text, void *opaque)
{
	(void)opaque;
	if (level >= GGML_LOG_LEVEL_WARN && level != GGML_LOG_LEVEL_CONT)
		fputs(text, stderr);
}

static struct llama_model *load(const char *path, int clkv)
{
	static ggml_backend_dev_t devices[2];
	struct llama_model_params p = llama_model_default_params();
	p.n_gpu_layers = 0;
	if (clkv) {
		devices[0] = ggml_backend_dev_by_name("CLKV0");
		p.devices = devices;
		p.n_gpu_layers = 99;
	}
	return llama_model_load_from_file(path, p);
}

static struct llama_context *make_context(struct llama_model *model, const struct glue_options *o)
{
	struct llama_context_params p = llama_context_default_params();
	p.n_ctx = (uint32_t)o->n_ctx;
	p.n_batch = (uint32_t)o->n_ctx;
	p.n_ubatch = (uint32_t)o->n_ubatch;
	p.n_seq_max = (uint32_t)o->n_seq;
	p.n_threads = p.n_threads_batch = o->n_threads;
	p.flash_attn_type = (enum llama_flash_attn_type)o->flash;
	p.type_k = (enum ggml_type)o->type_k;
	p.type_v = (enum ggml_type)o->type_v;
	p.kv_unified = o->unified != 0;
	p.swa_full = o->swa_full != 0;
	return llama_init_from_model(model, p);
}

GLUE void glue_close(struct glue *g);
GLUE struct glue *glue_open(const char *path, const struct glue_options *o, int verbose);
GLUE int glue_n_vocab(const struct glue *g);
GLUE int glue_tokenize(const struct glue *g, const char *text, int n, int32_t *tokens, int room);
GLUE int glue_piece(const struct glue *g, int32_t token, char *text, int room);
GLUE int glue_decode(struct glue *g, int n_seq, const int32_t *seqs, const int32_t *pos, int n,
                     const int32_t *tokens, int all, float *logits);
GLUE int glue_remove(struct glue *g, int seq, int from, int to);
GLUE void glue_copy(struct glue *g, int from, int to);
GLUE void glue_shift(struct glue *g, int seq, int from, int to, int by);
GLUE void glue_clear(struct glue *g, int data);
GLUE size_t glue_state_get(struct glue *g, int seq, uint8_t *data, size_t room);
GLUE size_t glue_state_set(struct glue *g, int seq, const uint8_t *data, size_t n);
GLUE int glue_save_file(struct glue *g, int seq, const char *path, const int32_t *tokens, size_t n);
GLUE int glue_load_file(struct glue *g, int seq, const char *path, int32_t *tokens, size_t room,
                        size_t *n);

GLUE struct glue *glue_open(const char *path, const struct glue_options *o, int verbose)
{
	if (!verbose)
		llama_log_set(quiet, NULL);
	llama_backend_init();
	struct glue *g = calloc(1, sizeof(*g));
	if (!g)
		return NULL;
	g->model = load(path, o->clkv);
	g->context = g->model ? make_context(g->model, o) : NULL;
	if (g->context) {
		g->batch = llama_batch_init(o->n_ctx, 0, 1);
		return g;
	}
	glue_close(g);
	return NULL;
}

GLUE void glue_close(struct glue *g)
{
	if (!g)
		return;
	if (g->context) {
		llama_batch_free(g->batch);
		llama_free(g->context);
	}
	llama_model_free(g->model);
	free(g);
}

GLUE int glue_n_vocab(const struct glue *g)
{
	return llama_vocab_n_tokens(llama_model_get_vocab(g->model));
}

GLUE int glue_tokenize(const struct glue *g, const char *text, int n, int32_t *tokens, int room)
{
	return llama_tokenize(llama_model_get_vocab(g->model), text, n, tokens, room, false, false);
}

GLUE int glue_piece(const struct glue *g, int32_t token, char *text, int room)
{
	return llama_token_to_piece(llama_model_get_vocab(g->model), token, text, room, 0, true);
}

/** Runs n tokens for each of n_seq sequences: tokens [n_seq][n], first positions pos[n_seq]. logits [n_seq][all ? n : 1][vocab], or
 *  NULL. Returns what llama_decode does. */
GLUE int glue_decode(struct glue *g, int n_seq, const int32_t *seqs, const int32_t *pos, int n,
                     const int32_t *tokens, int all, float *logits)
{
	struct llama_batch *b = &g->batch;
	b->n_tokens = n_seq * n;
	for (int i = 0; i < b->n_tokens; i++) {
		b->token[i] = tokens[i];
		b->pos[i] = pos[i / n] + i % n;
		b->n_seq_id[i] = 1;
		b->seq_id[i][0] = seqs[i / n];
		b->logits[i] = all || i % n == n - 1;
	}
	const int status = llama_decode(g->context, *b);
	llama_synchronize(g->context);
	const size_t vocab = (size_t)glue_n_vocab(g);
	for (int i = 0; !status && logits && i < b->n_tokens; i++) {
		if (!b->logits[i])
			continue;
		memcpy(logits, llama_get_logits_ith(g->context, i), vocab * sizeof(float));
		logits += vocab;
	}
	return status;
}

GLUE int glue_remove(struct glue *g, int seq, int from, int to)
{
	return llama_memory_seq_rm(llama_get_memory(g->context), seq, from, to);
}

GLUE void glue_copy(struct glue *g, int from, int to)
{
	llama_memory_seq_cp(llama_get_memory(g->context), from, to, -1, -1);
}

GLUE void glue_shift(struct glue *g, int seq, int from, int to, int by)
{
	llama_memory_seq_add(llama_get_memory(g->context), seq, from, to, by);
}

GLUE void glue_clear(struct glue *g, int data)
{
	llama_memory_clear(llama_get_memory(g->context), data != 0);
}

/** Sizes and copies a sequence's state. room 0: tells the size. */
GLUE size_t glue_state_get(struct glue *g, int seq, uint8_t *data, size_t room)
{
	return room ? llama_state_seq_get_data(g->context, data, room, seq)
	            : llama_state_seq_get_size(g->context, seq);
}

GLUE size_t glue_state_set(struct glue *g, int seq, const uint8_t *data, size_t n)
{
	return llama_state_seq_set_data(g->context, data, n, seq);
}

/** Writes a sequence to a file, or the whole context if seq is -1. Returns 1 if it's written. */
GLUE int glue_save_file(struct glue *g, int seq, const char *path, const int32_t *tokens, size_t n)
{
	return seq < 0 ? llama_state_save_file(g->context, path, tokens, n)
	               : llama_state_seq_save_file(g->context, path, seq, tokens, n) > 0;
}

/** Reads such a file, and the tokens in it. Returns 1 if it's read. */
GLUE int glue_load_file(struct glue *g, int seq, const char *path, int32_t *tokens, size_t room,
                        size_t *n)
{
	return seq < 0 ? llama_state_load_file(g->context, path, tokens, room, n)
	               : llama_state_seq_load_file(g->context, path, seq, tokens, room, n) > 0;
}
