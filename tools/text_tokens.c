/* SPDX-License-Identifier: MIT */
/** \file text_tokens.c \brief Read, cut into tokens, freed. */
#include "text_tokens.h"

#include <stdlib.h>

#include "text_file.h"

bool text_tokens_read(struct tokenizer *tokenizer, const char *path, int32_t **ids, size_t *n,
                      struct tool_error *error)
{
	char *text;
	size_t size;
	if (!text_file_read(path, &text, &size, error))
		return false;
	bool done = tokenizer_encode(tokenizer, text, size, false, ids, n, error);
	free(text);
	return done;
}
