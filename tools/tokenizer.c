/* SPDX-License-Identifier: MIT */
/**
 * \file    tokenizer.c
 * \brief   Text, cut at control tokens, then into pieces, then merged piece by piece.
 */
#include "tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "bpe.h"
#include "byte_level.h"
#include "pretokenize.h"
#include "utf8.h"

/* tokenizer.ggml.token_type */
enum { TOKEN_CONTROL = 3, TOKEN_USER_DEFINED = 4 };

struct tokenizer {
	struct bpe bpe;
	struct byte_level bytes;
	struct pretokenizer *pre;
	int32_t of_byte[256]; /* token of a single byte, -1 when the vocabulary lacks it */
	int32_t *specials;    /* ids of control and user-defined tokens */
	size_t n_specials;
	unsigned char *is_control; /* [n_tokens] */
	int32_t eos;
	char *decoded; /* room for the longest token */
};

struct id_list {
	struct tokenizer *tokenizer;
	int32_t *ids;
	size_t n, capacity;
};

static bool string_array(const struct gguf *gguf, const char *key, const struct gguf_value **out,
                         struct tool_error *error)
{
	*out = gguf_find(gguf, key);
	if (*out == NULL || (*out)->type != GGUF_ARRAY || (*out)->item_type != GGUF_STRING)
		return tool_fail(error, "the model file has no list of strings '%s': no usable tokenizer",
		                 key);
	return true;
}

static bool collect_specials(struct tokenizer *t, const struct gguf *gguf, struct tool_error *error)
{
	const struct gguf_value *types = gguf_find(gguf, "tokenizer.ggml.token_type");
	t->is_control = calloc(t->bpe.n_tokens + 1, 1);
	t->specials = calloc(t->bpe.n_tokens + 1, sizeof *t->specials);
	if (t->is_control == NULL || t->specials == NULL)
		return tool_fail(error, "out of memory for the tokenizer");
	if (types == NULL)
		return true;
	if (types->type != GGUF_ARRAY || types->item_type != GGUF_I32 ||
	    types->n_items != t->bpe.n_tokens)
		return tool_fail(error, "tokenizer.ggml.token_type is not a list of %zu 32-bit integers",
		                 t->bpe.n_tokens);
	for (size_t i = 0; i < types->n_items; i++) {
		int32_t type = gguf_item_i32(types, i);
		t->is_control[i] = type == TOKEN_CONTROL;
		if ((type == TOKEN_CONTROL || type == TOKEN_USER_DEFINED) && t->bpe.tokens[i].size > 0)
			t->specials[t->n_specials++] = (int32_t)i;
	}
	return true;
}

static bool map_bytes(struct tokenizer *t, struct tool_error *error)
{
	size_t longest = 0;
	byte_level_init(&t->bytes);
	for (unsigned byte = 0; byte < 256; byte++) {
		char text[2];
		size_t n = byte_level_encode(&t->bytes, (unsigned char)byte, text);
		t->of_byte[byte] = bpe_find(&t->bpe, text, n);
	}
	for (size_t i = 0; i < t->bpe.n_tokens; i++)
		longest = t->bpe.tokens[i].size > longest ? t->bpe.tokens[i].size : longest;
	t->decoded = malloc(longest + 1);
	return t->decoded != NULL || tool_fail(error, "out of memory for the tokenizer");
}

static bool fill(struct tokenizer *t, const struct gguf *gguf, struct tool_error *error)
{
	struct gguf_string model;
	struct gguf_string pre = {"default", 7};
	const struct gguf_value *tokens;
	const struct gguf_value *merges;
	uint64_t eos;
	if (!gguf_get_string(gguf, "tokenizer.ggml.model", &model))
		return tool_fail(error,
		                 "the model file has no tokenizer (tokenizer.ggml.model is missing)");
	if (!gguf_string_is(model, "gpt2"))
		return tool_fail(error,
		                 "the model's tokenizer is '%.*s'; only 'gpt2' (byte-level BPE) is "
		                 "known here",
		                 (int)(model.size < 64 ? model.size : 64), model.data);
	(void)gguf_get_string(gguf, "tokenizer.ggml.pre", &pre);
	if (!string_array(gguf, "tokenizer.ggml.tokens", &tokens, error) ||
	    !string_array(gguf, "tokenizer.ggml.merges", &merges, error) ||
	    !pretokenizer_create(pre, &t->pre, error) || !bpe_init(&t->bpe, tokens, merges, error) ||
	    !collect_specials(t, gguf, error) || !map_bytes(t, error))
		return false;
	t->eos = -1;
	if (gguf_get_u64(gguf, "tokenizer.ggml.eos_token_id", &eos) && eos < t->bpe.n_tokens)
		t->eos = (int32_t)eos;
	return true;
}

bool tokenizer_create(const struct gguf *gguf, struct tokenizer **out, struct tool_error *error)
{
	struct tokenizer *t = calloc(1, sizeof *t);
	if (t == NULL)
		return tool_fail(error, "out of memory");
	if (!fill(t, gguf, error)) {
		tokenizer_destroy(t);
		return false;
	}
	*out = t;
	return true;
}

void tokenizer_destroy(struct tokenizer *t)
{
	if (t == NULL)
		return;
	bpe_free(&t->bpe);
	pretokenizer_destroy(t->pre);
	free(t->specials);
	free(t->is_control);
	free(t->decoded);
	free(t);
}

static bool reserve(struct id_list *list, size_t more, struct tool_error *error)
{
	if (list->n + more <= list->capacity)
		return true;
	size_t capacity = 2 * (list->n + more) + 256;
	int32_t *ids = realloc(list->ids, capacity * sizeof *ids);
	if (ids == NULL)
		return tool_fail(error, "out of memory for %zu tokens", capacity);
	list->ids = ids;
	list->capacity = capacity;
	return true;
}

static bool add_piece(void *opaque, const char *piece, size_t size, struct tool_error *error)
{
	struct id_list *list = opaque;
	struct tokenizer *t = list->tokenizer;
	if (!reserve(list, size, error))
		return false;
	int32_t *ids = list->ids + list->n;
	for (size_t i = 0; i < size; i++) {
		ids[i] = t->of_byte[(unsigned char)piece[i]];
		if (ids[i] < 0)
			return tool_fail(error, "the model's vocabulary has no token for byte 0x%02x",
			                 (unsigned char)piece[i]);
	}
	size_t n = bpe_merge_piece(&t->bpe, ids, size);
	if (n == 0)
		return tool_fail(error, "out of memory merging %zu bytes", size);
	list->n += n;
	return true;
}

/* The longest special token that text begins with, or -1. */
static int32_t special_at(const struct tokenizer *t, const char *text, size_t size)
{
	int32_t best = -1;
	for (size_t i = 0; i < t->n_specials; i++) {
		struct gguf_string token = t->bpe.tokens[t->specials[i]];
		if (token.size <= size && token.data[0] == text[0] &&
		    memcmp(token.data, text, token.size) == 0 &&
		    (best < 0 || token.size > t->bpe.tokens[best].size))
			best = t->specials[i];
	}
	return best;
}

static bool encode_with_specials(struct id_list *list, const char *text, size_t size,
                                 struct tool_error *error)
{
	struct tokenizer *t = list->tokenizer;
	size_t done = 0;
	for (size_t at = 0; at < size;) {
		int32_t special = special_at(t, text + at, size - at);
		if (special < 0) {
			at++;
			continue;
		}
		if (!pretokenize(t->pre, text + done, at - done, add_piece, list, error) ||
		    !reserve(list, 1, error))
			return false;
		list->ids[list->n++] = special;
		at += t->bpe.tokens[special].size;
		done = at;
	}
	return pretokenize(t->pre, text + done, size - done, add_piece, list, error);
}

bool tokenizer_encode(struct tokenizer *t, const char *text, size_t size, bool special,
                      int32_t **ids, size_t *n, struct tool_error *error)
{
	struct id_list list = {t, NULL, 0, 0};
	size_t valid = utf8_valid_length(text, size);
	if (valid < size)
		return tool_fail(error,
		                 "the text is not UTF-8: byte 0x%02x at offset %zu; convert it first, "
		                 "for example with iconv",
		                 (unsigned char)text[valid], valid);
	if (!reserve(&list, size / 3, error))
		return false;
	bool done = special ? encode_with_specials(&list, text, size, error)
	                    : pretokenize(t->pre, text, size, add_piece, &list, error);
	if (!done) {
		free(list.ids);
		return false;
	}
	*ids = list.ids;
	*n = list.n;
	return true;
}

struct gguf_string tokenizer_decode(struct tokenizer *t, int32_t id)
{
	struct gguf_string none = {"", 0};
	if (id < 0 || (size_t)id >= t->bpe.n_tokens || t->is_control[id] != 0)
		return none;
	struct gguf_string token = t->bpe.tokens[id];
	size_t n = byte_level_decode(&t->bytes, token.data, token.size, t->decoded);
	/* tokens added by hand are plain text, not byte-level */
	if (n > token.size)
		return token;
	return (struct gguf_string){t->decoded, n};
}

int32_t tokenizer_find(const struct tokenizer *t, const char *text)
{
	return bpe_find(&t->bpe, text, strlen(text));
}

int32_t tokenizer_eos(const struct tokenizer *t)
{
	return t->eos;
}

size_t tokenizer_size(const struct tokenizer *t)
{
	return t->bpe.n_tokens;
}
