/* SPDX-License-Identifier: MIT */
/** \file recipe_text.c \brief Keys in the text of a recipe. */
#include "recipe_text.h"

#include <stdlib.h>
#include <string.h>

static const char *value_of(const char *text, const char *key)
{
	size_t n = strlen(key);
	for (const char *at = strstr(text, key); at; at = strstr(at + n, key))
		if (at > text && strchr(" :,", at[-1]) && at[n] == '=')
			return at + n + 1;
	return NULL;
}

double recipe_number(const char *text, const char *key, double fallback)
{
	const char *value = value_of(text, key);
	return value ? strtod(value, NULL) : fallback;
}

int recipe_word(const char *text, const char *key, const char *const *words, int n, int fallback)
{
	const char *value = value_of(text, key);
	for (int i = 0; value && i < n; i++)
		if (strncmp(value, words[i], strlen(words[i])) == 0)
			return i;
	return fallback;
}
