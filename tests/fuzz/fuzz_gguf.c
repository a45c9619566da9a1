/* SPDX-License-Identifier: MIT */
/**
 * \file    fuzz_gguf.c
 * \brief   Any bytes as a GGUF file: refused with a sentence, or a model and a tokenizer within its bytes.
 */
#include "fuzz.h"

#include "model.h"
#include "tokenizer.h"
#include "utf8.h"
#include "weight_format.h"

#include <string.h>

static volatile unsigned sum;

static void touch(const void *data, size_t n)
{
	const unsigned char *bytes = data;
	for (size_t i = 0; i < n; i++)
		sum += bytes[i];
}

static void encode(struct tokenizer *t, const char *text, size_t n, bool special)
{
	struct tool_error error = {""};
	int32_t *ids = NULL;
	size_t n_ids = 0;
	if (!tokenizer_encode(t, text, n, special, &ids, &n_ids, &error)) {
		fuzz_require(error.text[0] != '\0', "refused without a sentence");
		return;
	}
	for (size_t i = 0; i < n_ids; i++) {
		fuzz_require(ids[i] >= 0 && (size_t)ids[i] < tokenizer_size(t), "an id lies outside");
		struct gguf_string s = tokenizer_decode(t, ids[i]);
		touch(s.data, s.size);
	}
	free(ids);
}

/* A text of its own, and what the file has for a text. */
static void use_tokenizer(const struct gguf *gguf)
{
	static const char text[] = "ab abc, can't <|e|>  \n 12345 \xc3\xa4\xe2\x82\xac";
	struct tool_error error = {""};
	struct tokenizer *t;
	struct gguf_string name;
	if (!tokenizer_create(gguf, &t, &error)) {
		fuzz_require(error.text[0] != '\0', "refused without a sentence");
		return;
	}
	encode(t, text, sizeof text - 1, false);
	encode(t, text, sizeof text - 1, true);
	if (gguf_get_string(gguf, "general.name", &name) && name.size < 1000)
		encode(t, name.data, name.size, true);
	for (int32_t i = -1; i < 300; i++) {
		struct gguf_string s = tokenizer_decode(t, i);
		touch(s.data, s.size);
	}
	(void)tokenizer_find(t, "<|e|>");
	tokenizer_destroy(t);
}

static void touch_tensor(const struct gguf_tensor *t)
{
	float row[512];
	const struct weight_format *format = weight_format(t->type);
	touch(t->data, t->size_bytes);
	if (t->dims[0] <= sizeof row / sizeof row[0])
		weights_dequantize(format, t->data, (size_t)t->dims[0], row);
}

static void use_model(const struct model *m)
{
	fuzz_require(m->q_heads % m->kv_heads == 0 && m->head_dim % 2 == 0, "a shape is accepted");
	touch_tensor(m->embedding);
	touch_tensor(m->output_norm);
	touch_tensor(m->output);
	for (int i = 0; i < m->n_layers; i++) {
		touch_tensor(m->layers[i].q);
		touch_tensor(m->layers[i].down);
	}
	if (m->rope_factors)
		touch(m->rope_factors, (size_t)m->rope_dims / 2 * sizeof(float));
	(void)model_fingerprint(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tool_error error = {""};
	struct gguf *gguf;
	struct model *model;
	uint8_t *file = malloc(size > 0 ? size : 1);
	fuzz_require(file != NULL, "no memory");
	if (size > 0)
		memcpy(file, data, size);
	if (!gguf_open_memory(file, size, &gguf, &error)) {
		fuzz_require(error.text[0] != '\0', "refused without a sentence");
	} else {
		use_tokenizer(gguf);
		if (model_read(gguf, "file", &model, &error)) {
			use_model(model);
			model_close(model);
		} else {
			fuzz_require(error.text[0] != '\0', "refused without a sentence");
		}
	}
	free(file);
	return 0;
}
