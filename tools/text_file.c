/* SPDX-License-Identifier: MIT */
/**
 * \file    text_file.c
 * \brief   A whole file in memory.
 */
#include "text_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* More text than any context holds; a limit keeps a wrong path (/dev/zero) from eating the memory.
 */
#define MOST_BYTES ((size_t)1 << 28)

static bool read_all(FILE *file, const char *path, char **text, size_t *size,
                     struct tool_error *error)
{
	size_t capacity = 1 << 16;
	*size = 0;
	for (;;) {
		char *larger = realloc(*text, capacity);
		if (larger == NULL)
			return tool_fail(error, "out of memory reading '%s'", path);
		*text = larger;
		*size += fread(*text + *size, 1, capacity - *size, file);
		if (ferror(file) != 0)
			return tool_fail(error, "can't read '%s': %s", path, strerror(errno));
		if (*size < capacity)
			return true;
		if (capacity >= MOST_BYTES)
			return tool_fail(error, "'%s' is larger than 256 MiB: that is no text for this", path);
		capacity *= 2;
	}
}

bool text_file_read(const char *path, char **text, size_t *size, struct tool_error *error)
{
	bool is_input = strcmp(path, "-") == 0;
	FILE *file = is_input ? stdin : fopen(path, "rb");
	if (file == NULL)
		return tool_fail(error, "can't open text '%s': %s", path, strerror(errno));
	*text = NULL;
	bool done = read_all(file, path, text, size, error);
	if (!is_input)
		(void)fclose(file);
	if (!done) {
		free(*text);
		*text = NULL;
	}
	return done;
}
