/* SPDX-License-Identifier: MIT */
/**
 * \file    gguf_split.c
 * \brief   A model in several files: NAME-00001-of-00003.gguf and on, as llama-gguf-split writes them.
 *
 * Each part is a GGUF file with some of the tensors and the numbers split.no (from 0) and split.count; what else
 * there is to know stands in the first.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gguf_private.h"

#define MOST_PARTS 1024
#define MOST_PATH 4096
#define END_BYTES (sizeof "-00001-of-00003.gguf" - 1)

static bool end_text(char end[END_BYTES + 1], unsigned i, unsigned count)
{
	return snprintf(end, END_BYTES + 1, "-%05u-of-%05u.gguf", i + 1, count) == (int)END_BYTES;
}

/* The path of part i beside that of part `no`; false if that isn't named as a part is. */
static bool part_path(const char *path, unsigned no, unsigned i, unsigned count, char *out)
{
	char end[END_BYTES + 1];
	size_t n = strlen(path);
	if (n < END_BYTES || n >= MOST_PATH || !end_text(end, no, count) ||
	    strcmp(path + n - END_BYTES, end) != 0 || !end_text(end, i, count))
		return false;
	memcpy(out, path, n - END_BYTES);
	memcpy(out + n - END_BYTES, end, END_BYTES + 1);
	return true;
}

/* What a part says of itself; one without split.count is no part. */
static bool read_numbers(const struct gguf *gguf, const char *path, unsigned *no, unsigned *count,
                         struct tool_error *error)
{
	uint64_t i = 0, n = 1;
	*no = 0;
	*count = 1;
	if (gguf_find(gguf, "split.count") == NULL)
		return true;
	if (!gguf_get_u64(gguf, "split.count", &n) || n > MOST_PARTS ||
	    (n > 1 && (!gguf_get_u64(gguf, "split.no", &i) || i >= n)))
		return tool_fail(error,
		                 "'%s' is a part of a split model, but its split.no and split.count are no "
		                 "numbers of one of at most %d parts",
		                 path, MOST_PARTS);
	*no = (unsigned)i;
	*count = n == 0 ? 1 : (unsigned)n;
	return true;
}

/* Opens part i, which must say that it is. */
static bool open_part(const char *path, unsigned i, unsigned count, struct gguf **out,
                      struct tool_error *error)
{
	unsigned no, n;
	struct gguf *gguf;
	if (!gguf_open_file(path, &gguf, error))
		return false;
	bool done = read_numbers(gguf, path, &no, &n, error);
	if (done && (no != i || n != count))
		done = tool_fail(error, "'%s' says that it's part %u of %u, but part %u of %u is needed",
		                 path, no + 1, n, i + 1, count);
	if (done)
		*out = gguf;
	else
		gguf_close(gguf);
	return done;
}

/* The parts behind the first, which owns them. */
static bool open_others(struct gguf *first, const char *path, unsigned no, unsigned count,
                        struct tool_error *error)
{
	char other[MOST_PATH];
	uint64_t tensors;
	first->parts = calloc(count, sizeof(struct gguf *));
	if (first->parts == NULL)
		return tool_fail(error, "out of memory");
	for (unsigned i = 1; i < count; i++) {
		if (!part_path(path, no, i, count, other) ||
		    !open_part(other, i, count, &first->parts[first->n_parts], error))
			return false;
		first->n_parts++;
	}
	if (gguf_get_u64(first, "split.tensors.count", &tensors) && tensors != gguf_n_tensors(first))
		return tool_fail(error, "'%s' and its other parts have %zu tensors; %llu are announced",
		                 path, gguf_n_tensors(first), (unsigned long long)tensors);
	return true;
}

bool gguf_open(const char *path, struct gguf **out, struct tool_error *error)
{
	char first_path[MOST_PATH];
	struct gguf *first;
	unsigned no, count;
	if (!gguf_open_file(path, &first, error))
		return false;
	bool done = read_numbers(first, path, &no, &count, error);
	if (done && count > 1 && !part_path(path, no, 0, count, first_path))
		done = tool_fail(error,
		                 "'%s' is part %u of a model in %u files, but isn't named NAME-%05u-of-%05u"
		                 ".gguf, by which the others are found: rename it, or join the parts "
		                 "(llama-gguf-split --merge)",
		                 path, no + 1, count, no + 1, count);
	if (done && no > 0) {
		gguf_close(first);
		first = NULL;
		done = open_part(first_path, 0, count, &first, error);
	}
	if (done && count > 1)
		done = open_others(first, path, no, count, error);
	if (done)
		*out = first;
	else
		gguf_close(first);
	return done;
}
