/* SPDX-License-Identifier: MIT */
/**
 * \file    plot_family.c
 * \brief   Families of recipes: those with the same stages, whatever their keys.
 */
#include "plot_family.h"

#include <stdbool.h>
#include <string.h>

/* The next character of a recipe's stages, blanks and keys left out; '\0' at their end. */
static char next(const char **recipe)
{
	const char *c = *recipe;
	while (*c == ' ' || *c == '\t')
		c++;
	if (*c == ':')
		c += strcspn(c, "|;");
	if (*c == '\0' || *c == ';')
		return '\0';
	*recipe = c + 1;
	return *c;
}

static bool alike(const char *a, const char *b)
{
	char c;
	do {
		c = next(&a);
		if (c != next(&b))
			return false;
	} while (c != '\0');
	return true;
}

/* The first recipe of the family of recipes[i]. */
static size_t first_of(const char *const *recipes, size_t i)
{
	size_t first = 0;
	while (!alike(recipes[first], recipes[i]))
		first++;
	return first;
}

size_t plot_family(const char *const *recipes, size_t i)
{
	size_t first = first_of(recipes, i);
	size_t before = 0;
	for (size_t k = 0; k < first; k++)
		before += first_of(recipes, k) == k;
	return before;
}
