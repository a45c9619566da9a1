/* SPDX-License-Identifier: MIT */
/**
 * \file    model.h
 * \brief   A Llama model in a GGUF file: its shape, checked, and where its tensors lie.
 */
#ifndef MODEL_H
#define MODEL_H

#include "gguf.h"

struct model_layer {
	const struct gguf_tensor *attn_norm, *q, *k, *v, *attn_out;
	const struct gguf_tensor *ffn_norm, *gate, *up, *down;
};

struct model {
	struct gguf *gguf;
	int n_layers;
	int dim;    /**< of a residual row */
	int ff_dim; /**< inside the feed-forward layer */
	int q_heads, kv_heads, head_dim;
	int rope_dims; /**< leading dimensions of a head that RoPE turns */
	int context;   /**< tokens that the model was trained for */
	int window;    /**< tokens that a row attends to, itself included; 0: all */
	int vocabulary;
	float rope_base;
	float rope_scale; /**< positions are divided by it */
	float rms_epsilon;
	const struct gguf_tensor *embedding, *output_norm,
		*output;         /**< output is embedding when tied */
	float *rope_factors; /**< [rope_dims / 2] that frequencies are divided by, or NULL */
	struct model_layer *layers;
	int *windows; /**< [n_layers], each `window`; NULL without one */
};

/** Opens and checks a file; an architecture other than "llama", a missing tensor, a shape or type
 * that doesn't fit is named in the error. */
bool model_open(const char *path, struct model **out, struct tool_error *error);

/** The same for an open file, which becomes the model's, on failure too; name is for errors. */
bool model_read(struct gguf *gguf, const char *name, struct model **out, struct tool_error *error);

/** A number that tells its weights from those of others: of what makes keys and queries. */
uint64_t model_fingerprint(const struct model *model);

void model_close(struct model *model);

/** Bytes of one row (dims[0] weights) of a supported tensor. */
int model_row_bytes(const struct gguf_tensor *tensor);

#endif
