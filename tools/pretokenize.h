/* SPDX-License-Identifier: MIT */
/**
 * \file    pretokenize.h
 * \brief   Cuts text into the pieces that byte-pair merges never cross.
 */
#ifndef PRETOKENIZE_H
#define PRETOKENIZE_H

#include "gguf.h"

struct pretokenizer;

/** Called for each piece in turn; false stops. */
typedef bool (*pretokenize_fn)(void *opaque, const char *piece, size_t size,
                               struct tool_error *error);

/** name is that of tokenizer.ggml.pre: "smollm" (digits one by one, then GPT-2's expression), or
 *  "gpt-2", "gpt2" and "default" (GPT-2's expression alone). Others are refused by name. */
bool pretokenizer_create(struct gguf_string name, struct pretokenizer **out,
                         struct tool_error *error);

void pretokenizer_destroy(struct pretokenizer *pre);

/** text must be valid UTF-8. */
bool pretokenize(struct pretokenizer *pre, const char *text, size_t size, pretokenize_fn fn,
                 void *opaque, struct tool_error *error);

#endif
