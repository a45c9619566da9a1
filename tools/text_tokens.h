/* SPDX-License-Identifier: MIT */
/** \file text_tokens.h \brief A text file as tokens of a model. */
#ifndef TEXT_TOKENS_H
#define TEXT_TOKENS_H

#include "tokenizer.h"

/** All of its tokens, without one for the begin of a text; *ids is the caller's to free. "-" is standard input. */
bool text_tokens_read(struct tokenizer *tokenizer, const char *path, int32_t **ids, size_t *n,
                      struct tool_error *error);

#endif
