/* SPDX-License-Identifier: MIT */
/**
 * \file    convert_tokens.c
 * \brief   The ids of tokens that state files hold beside the cache, as text.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "convert.h"
#include "text_file.h"

bool convert_write_tokens(const char *path, const struct llama_state *state,
                          struct tool_error *error)
{
	FILE *file = fopen(path, "w");
	if (file == NULL)
		return tool_fail(error, "can't write tokens to '%s': %s", path, strerror(errno));
	for (size_t i = 0; i < state->n_tokens; i++)
		(void)fprintf(file, "%d\n", (int)llama_state_token(state, i));
	const bool written = ferror(file) == 0;
	return (fclose(file) == 0 && written) ||
	       tool_fail(error, "'%s' can't be written to its end", path);
}

static bool is_space(char c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* Reads one id at *at, which moves behind it. */
static bool read_id(const char *path, const char **at, int32_t *id, struct tool_error *error)
{
	char *end;
	errno = 0;
	const long value = strtol(*at, &end, 10);
	if (end == *at || errno != 0 || value < INT32_MIN || value > INT32_MAX ||
	    (*end != '\0' && !is_space(*end)))
		return tool_fail(error, "'%s' has '%.20s' for a token; whole numbers are known", path, *at);
	*id = (int32_t)value;
	*at = end;
	return true;
}

/* Ids of text that ends with a 0; ids has room for one in two letters. */
static bool read_ids(const char *path, const char *text, int32_t *ids, size_t *n,
                     struct tool_error *error)
{
	for (*n = 0;; (*n)++) {
		while (is_space(*text))
			text++;
		if (*text == '\0')
			return true;
		if (!read_id(path, &text, &ids[*n], error))
			return false;
	}
}

bool convert_read_tokens(const char *path, int32_t **ids, size_t *n, struct tool_error *error)
{
	char *text;
	size_t size;
	if (!text_file_read(path, &text, &size, error))
		return false;
	char *ended = realloc(text, size + 1);
	int32_t *read = malloc((size / 2 + 1) * sizeof *read);
	bool done = ended != NULL && read != NULL;
	if (done) {
		ended[size] = '\0';
		done = read_ids(path, ended, read, n, error) &&
		       (strlen(ended) == size || tool_fail(error, "'%s' is no text", path));
	} else {
		tool_set_error(error, "out of memory");
	}
	free(ended != NULL ? ended : text);
	if (!done)
		free(read);
	*ids = done ? read : NULL;
	return done;
}
