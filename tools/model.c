/* SPDX-License-Identifier: MIT */
/**
 * \file    model.c
 * \brief   Hyperparameters and tensors of a Llama GGUF, checked against each other.
 */
#include "model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weight_format.h"

/* Reads llama.<name> into *out, from 1 to `most`; fallback < 0 makes it obligatory. */
static bool get_int(const struct gguf *gguf, const char *name, int fallback, int most, int *out,
                    struct tool_error *error)
{
	char key[96];
	uint64_t value;
	(void)snprintf(key, sizeof key, "llama.%s", name);
	if (gguf_find(gguf, key) == NULL && fallback >= 0) {
		*out = fallback;
		return true;
	}
	if (!gguf_get_u64(gguf, key, &value) || value < 1 || value > (uint64_t)most)
		return tool_fail(error, "the model file's %s is missing, or not an integer from 1 to %d",
		                 key, most);
	*out = (int)value;
	return true;
}

static bool get_float(const struct gguf *gguf, const char *key, float fallback, float *out,
                      struct tool_error *error)
{
	*out = fallback;
	if (gguf_find(gguf, key) == NULL)
		return true;
	if (!gguf_get_f32(gguf, key, out) || !isfinite(*out) || *out <= 0.0F)
		return tool_fail(error, "the model file's %s is not a positive number", key);
	return true;
}

/* A file that names no type scales linearly, as other readers of the format take it. */
static bool get_rope_scaling(struct model *model, struct tool_error *error)
{
	struct gguf_string type;
	bool named = gguf_get_string(model->gguf, "llama.rope.scaling.type", &type);
	model->rope_scale = 1.0F;
	if (named && gguf_string_is(type, "none"))
		return true;
	if (named && !gguf_string_is(type, "linear"))
		return tool_fail(error, "the model scales RoPE by '%.*s'; only 'linear' is known here",
		                 (int)(type.size < 64 ? type.size : 64), type.data);
	return get_float(model->gguf, "llama.rope.scaling.factor", 1.0F, &model->rope_scale, error);
}

static bool get_shape(struct model *model, struct tool_error *error)
{
	const struct gguf *gguf = model->gguf;
	int value_dim;
	if (!get_int(gguf, "block_count", -1, 1024, &model->n_layers, error) ||
	    !get_int(gguf, "embedding_length", -1, 1 << 16, &model->dim, error) ||
	    !get_int(gguf, "feed_forward_length", -1, 1 << 18, &model->ff_dim, error) ||
	    !get_int(gguf, "attention.head_count", -1, 1024, &model->q_heads, error) ||
	    !get_int(gguf, "attention.head_count_kv", model->q_heads, 1024, &model->kv_heads, error) ||
	    !get_int(gguf, "context_length", 1 << 20, 1 << 24, &model->context, error) ||
	    !get_int(gguf, "attention.key_length", model->dim / model->q_heads, 1024, &model->head_dim,
	             error) ||
	    !get_int(gguf, "attention.value_length", model->head_dim, 1024, &value_dim, error) ||
	    !get_int(gguf, "rope.dimension_count", model->head_dim, 1024, &model->rope_dims, error))
		return false;
	if (model->q_heads % model->kv_heads != 0)
		return tool_fail(error, "%d query heads are no multiple of %d KV heads", model->q_heads,
		                 model->kv_heads);
	if (value_dim != model->head_dim || model->head_dim < 2 || model->head_dim % 2 != 0)
		return tool_fail(error,
		                 "head sizes %d (keys) and %d (values): this engine needs them equal and "
		                 "even",
		                 model->head_dim, value_dim);
	if (model->rope_dims > model->head_dim || model->rope_dims % 2 != 0)
		return tool_fail(error, "RoPE over %d dimensions doesn't fit heads of %d", model->rope_dims,
		                 model->head_dim);
	if (gguf_find(gguf, "llama.expert_count") != NULL)
		return tool_fail(error, "the model is a mixture of experts, which this engine can't run");
	return get_float(gguf, "llama.rope.freq_base", 10000.0F, &model->rope_base, error) &&
	       get_float(gguf, "llama.attention.layer_norm_rms_epsilon", 1e-5F, &model->rms_epsilon,
	                 error) &&
	       get_rope_scaling(model, error);
}

/* Windows of all layers alike are known here; 0 is none. */
static bool get_window(struct model *model, struct tool_error *error)
{
	uint64_t none;
	if (gguf_get_u64(model->gguf, "llama.attention.sliding_window", &none) && none == 0)
		return true;
	if (!get_int(model->gguf, "attention.sliding_window", 0, 1 << 24, &model->window, error))
		return false;
	if (model->window == 0)
		return true;
	if (gguf_find(model->gguf, "llama.attention.sliding_window_pattern") != NULL)
		return tool_fail(error, "the model's layers have different windows (llama.attention."
		                        "sliding_window_pattern), which this engine can't run");
	model->windows = calloc((size_t)model->n_layers, sizeof *model->windows);
	if (model->windows == NULL)
		return tool_fail(error, "out of memory");
	for (int i = 0; i < model->n_layers; i++)
		model->windows[i] = model->window;
	return true;
}

/* Finds a tensor of [rows][columns] (rows 1: a vector) and checks that the engine can read it. */
static bool get_tensor(const struct model *model, const char *name, int columns, int rows,
                       const struct gguf_tensor **out, struct tool_error *error)
{
	const struct gguf_tensor *tensor = gguf_find_tensor(model->gguf, name);
	if (tensor == NULL)
		return tool_fail(error, "the model file has no tensor '%s'", name);
	if (weight_format(tensor->type) == NULL)
		return tool_fail(error,
		                 "tensor '%s' has type %s (%u); F32, F16, Q8_0, Q4_0, Q4_1, Q4_K and "
		                 "Q6_K can be read",
		                 name, weight_type_name(tensor->type), tensor->type);
	if (tensor->dims[0] != (uint64_t)columns || tensor->dims[1] != (uint64_t)rows ||
	    tensor->dims[2] != 1 || tensor->dims[3] != 1)
		return tool_fail(error, "tensor '%s' is %llu x %llu, but %d x %d is needed", name,
		                 (unsigned long long)tensor->dims[1], (unsigned long long)tensor->dims[0],
		                 rows, columns);
	if (rows > 1 && columns % 32 != 0)
		return tool_fail(error,
		                 "tensor '%s' has rows of %d weights; this engine needs a multiple of 32",
		                 name, columns);
	*out = tensor;
	return true;
}

static bool get_layer(const struct model *model, int i, struct model_layer *layer,
                      struct tool_error *error)
{
	int q_dim = model->q_heads * model->head_dim;
	int kv_dim = model->kv_heads * model->head_dim;
	const struct {
		const char *name;
		int columns, rows;
		const struct gguf_tensor **out;
	} wanted[] = {
		{"attn_norm", model->dim, 1, &layer->attn_norm},
		{"attn_q", model->dim, q_dim, &layer->q},
		{"attn_k", model->dim, kv_dim, &layer->k},
		{"attn_v", model->dim, kv_dim, &layer->v},
		{"attn_output", q_dim, model->dim, &layer->attn_out},
		{"ffn_norm", model->dim, 1, &layer->ffn_norm},
		{"ffn_gate", model->dim, model->ff_dim, &layer->gate},
		{"ffn_up", model->dim, model->ff_dim, &layer->up},
		{"ffn_down", model->ff_dim, model->dim, &layer->down},
	};
	char name[64];
	for (size_t j = 0; j < sizeof wanted / sizeof wanted[0]; j++) {
		(void)snprintf(name, sizeof name, "blk.%d.%s.weight", i, wanted[j].name);
		if (!get_tensor(model, name, wanted[j].columns, wanted[j].rows, wanted[j].out, error))
			return false;
		(void)snprintf(name, sizeof name, "blk.%d.%s.bias", i, wanted[j].name);
		if (gguf_find_tensor(model->gguf, name) != NULL)
			return tool_fail(error, "the model has biases ('%s'), which this engine can't run",
			                 name);
	}
	return true;
}

static bool get_rope_factors(struct model *model, struct tool_error *error)
{
	const struct gguf_tensor *tensor;
	size_t pairs = (size_t)model->rope_dims / 2;
	if (gguf_find_tensor(model->gguf, "rope_freqs.weight") == NULL)
		return true;
	if (!get_tensor(model, "rope_freqs.weight", (int)pairs, 1, &tensor, error))
		return false;
	if (tensor->type != WEIGHT_F32)
		return tool_fail(error, "tensor 'rope_freqs.weight' has type %s; F32 is needed",
		                 weight_type_name(tensor->type));
	model->rope_factors = calloc(pairs, sizeof *model->rope_factors);
	if (model->rope_factors == NULL)
		return tool_fail(error, "out of memory");
	memcpy(model->rope_factors, tensor->data, pairs * sizeof *model->rope_factors);
	for (size_t i = 0; i < pairs; i++)
		if (!isfinite(model->rope_factors[i]) || model->rope_factors[i] <= 0.0F)
			return tool_fail(error, "rope_freqs.weight holds %g: positive factors are needed",
			                 (double)model->rope_factors[i]);
	return true;
}

static bool get_tensors(struct model *model, struct tool_error *error)
{
	const struct gguf_tensor *embedding = gguf_find_tensor(model->gguf, "token_embd.weight");
	if (embedding == NULL || embedding->dims[1] < 2 || embedding->dims[1] > 1U << 24)
		return tool_fail(error, "the model file has no usable tensor 'token_embd.weight'");
	model->vocabulary = (int)embedding->dims[1];
	if (!get_tensor(model, "token_embd.weight", model->dim, model->vocabulary, &model->embedding,
	                error) ||
	    !get_tensor(model, "output_norm.weight", model->dim, 1, &model->output_norm, error))
		return false;
	model->output = model->embedding; /* tied, unless the file has an output of its own */
	if (gguf_find_tensor(model->gguf, "output.weight") != NULL &&
	    !get_tensor(model, "output.weight", model->dim, model->vocabulary, &model->output, error))
		return false;
	model->layers = calloc((size_t)model->n_layers, sizeof *model->layers);
	if (model->layers == NULL)
		return tool_fail(error, "out of memory");
	for (int i = 0; i < model->n_layers; i++) {
		if (!get_layer(model, i, &model->layers[i], error))
			return false;
	}
	return get_rope_factors(model, error);
}

static bool fill_model(struct model *model, const char *name, struct tool_error *error)
{
	struct gguf_string architecture;
	if (!gguf_get_string(model->gguf, "general.architecture", &architecture))
		return tool_fail(error, "'%s' doesn't name its architecture", name);
	if (!gguf_string_is(architecture, "llama"))
		return tool_fail(error,
		                 "'%s' is a model of architecture '%.*s'; only 'llama' is known here", name,
		                 (int)(architecture.size < 64 ? architecture.size : 64), architecture.data);
	return get_shape(model, error) && get_window(model, error) && get_tensors(model, error);
}

bool model_read(struct gguf *gguf, const char *name, struct model **out, struct tool_error *error)
{
	struct model *model = calloc(1, sizeof *model);
	if (model == NULL) {
		gguf_close(gguf);
		return tool_fail(error, "out of memory");
	}
	model->gguf = gguf;
	if (!fill_model(model, name, error)) {
		model_close(model);
		return false;
	}
	*out = model;
	return true;
}

bool model_open(const char *path, struct model **out, struct tool_error *error)
{
	struct gguf *gguf;
	return gguf_open(path, &gguf, error) && model_read(gguf, path, out, error);
}

static uint64_t hash_tensor(uint64_t hash, const struct gguf_tensor *tensor)
{
	for (size_t i = 0; i < tensor->size_bytes; i++) /* FNV-1a */
		hash = (hash ^ tensor->data[i]) * UINT64_C(0x100000001b3);
	return hash;
}

uint64_t model_fingerprint(const struct model *model)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);
	for (int i = 0; i < model->n_layers; i++) {
		hash = hash_tensor(hash, model->layers[i].q);
		hash = hash_tensor(hash, model->layers[i].k);
	}
	return hash;
}

void model_close(struct model *model)
{
	if (model == NULL)
		return;
	gguf_close(model->gguf);
	free(model->layers);
	free(model->windows);
	free(model->rope_factors);
	free(model);
}

int model_row_bytes(const struct gguf_tensor *tensor)
{
	const struct weight_format *format = weight_format(tensor->type);
	return (int)(tensor->dims[0] / format->block_weights * format->block_bytes);
}
