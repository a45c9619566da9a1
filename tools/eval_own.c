/* SPDX-License-Identifier: MIT */
/** \file eval_own.c \brief "RECIPE @ FILE": no recipe has the sign in it. */
#include "eval_own.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

/* Behind the name of a recipe in --resume's file: which file it was decides what the recipe does. */
static char *key_of(const char *alone, const struct given_file *file)
{
	const size_t room = strlen(alone) + 24;
	char *key = malloc(room);
	if (key != NULL)
		(void)snprintf(key, room, "%s @ %016" PRIx64, alone,
		               clkv__hash(CLKV__HASH_START, file->data, file->size));
	return key;
}

static bool read_own(struct eval_own *own, struct eval_options *o, size_t i, const char *sign,
                     struct tool_error *error)
{
	const char *path = sign + 1 + strspn(sign + 1, " ");
	size_t n = (size_t)(sign - o->recipes[i]);
	while (n > 0 && o->recipes[i][n - 1] == ' ')
		n--;
	if (n == 0 || *path == '\0')
		return tool_fail(error, "'%s': a recipe with a file of its own is written RECIPE @ FILE",
		                 o->recipes[i]);
	own->alone[i] = strndup(o->recipes[i], n);
	if (own->alone[i] == NULL)
		return tool_fail(error, "out of memory");
	const struct given_paths paths = {path, path, path, path};
	if (!given_files_read(&paths, &own->files[i], error))
		return false;
	own->key[i] = key_of(own->alone[i], &own->files[i].calibration);
	if (own->key[i] == NULL)
		return tool_fail(error, "out of memory");
	o->alone[i] = own->alone[i];
	o->key[i] = own->key[i];
	o->given_of[i] = &own->files[i];
	return true;
}

bool eval_own_open(struct eval_own *own, struct eval_options *options, struct tool_error *error)
{
	*own = (struct eval_own){0};
	for (size_t i = 0; i < options->n_recipes; i++) {
		const char *sign = strchr(options->recipes[i], '@');
		if (sign != NULL && !read_own(own, options, i, sign, error))
			return false;
	}
	return true;
}

void eval_own_close(struct eval_own *own)
{
	for (size_t i = 0; i < EVAL_MOST_RECIPES; i++) {
		given_files_close(&own->files[i]);
		free(own->alone[i]);
		free(own->key[i]);
	}
}
