/* SPDX-License-Identifier: MIT */
/**
 * \file    tokenizer.h
 * \brief   Byte-level BPE from a GGUF's tables: text to token ids and back.
 */
#ifndef TOKENIZER_H
#define TOKENIZER_H

#include "gguf.h"

struct tokenizer;

/** Keeps pointers into gguf, which must outlive it. Refused: a tokenizer.ggml.model other than
 *  "gpt2", an unknown pre-tokenizer, missing or wrong tables. */
bool tokenizer_create(const struct gguf *gguf, struct tokenizer **out, struct tool_error *error);

void tokenizer_destroy(struct tokenizer *tokenizer);

/** special: control tokens written in the text ("<|im_start|>") become their ids, else plain text.
 *  *ids is the caller's to free. Text that is not UTF-8 is refused with the byte's offset. */
bool tokenizer_encode(struct tokenizer *tokenizer, const char *text, size_t size, bool special,
                      int32_t **ids, size_t *n, struct tool_error *error);

/** The bytes of a token; a control token has none. out is scratch of the tokenizer, valid until the
 *  next call. Bytes of one token may be a part of a character: see utf8_incomplete_tail(). */
struct gguf_string tokenizer_decode(struct tokenizer *tokenizer, int32_t id);

/** The id of a control or ordinary token by its text, or -1. */
int32_t tokenizer_find(const struct tokenizer *tokenizer, const char *text);

/** The token that ends a text or a turn, or -1. */
int32_t tokenizer_eos(const struct tokenizer *tokenizer);

size_t tokenizer_size(const struct tokenizer *tokenizer);

#endif
