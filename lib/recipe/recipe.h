/* SPDX-License-Identifier: MIT */
/**
 * \file    recipe.h
 * \brief   A parsed recipe: stages in order, their options, the general keys.
 *
 * Grammar: stage ('|' stage)* (';' keys)?   stage: name (':' keys)?   keys: key=value (',' key=value)*
 * Blanks are allowed around every word.
 */
#ifndef CLKV__RECIPE_H
#define CLKV__RECIPE_H

#include "stage/stage.h"

#define CLKV__MAX_STAGES 8
#define CLKV__MAX_OPTIONS 16

struct clkv__recipe_stage {
	const struct clkv__stage *stage;
	int position; /**< in the string, for errors found later */
	int options[CLKV__MAX_OPTIONS];
};

struct clkv__recipe {
	size_t n_stages;
	struct clkv__recipe_stage stages[CLKV__MAX_STAGES];
	struct clkv__general general;
};

/** The general keys and their values of default; the printer and lister use them too. */
extern const struct clkv__key clkv__general_keys[];
extern const size_t clkv__n_general_keys;

/** Errors: CLKV_ERROR_INVALID_RECIPE with the position in the string and what is allowed there. */
clkv_status clkv__recipe_parse(const char *text, struct clkv__recipe *recipe, clkv_error *error);

/** Appends the canonical form to text; false if it doesn't fit. */
bool clkv__recipe_format(const struct clkv__recipe *recipe, char *text, size_t n);

/** Fills error with a recipe error at position. Returns CLKV_ERROR_INVALID_RECIPE. */
clkv_status clkv__recipe_fail(clkv_error *error, int position, const char *format, ...)
#if defined(__GNUC__)
	__attribute__((format(printf, 3, 4)))
#endif
	;

static inline int *clkv__key_at(void *options, const struct clkv__key *key)
{
	return (int *)(void *)((char *)options + key->offset);
}

static inline int clkv__key_get(const void *options, const struct clkv__key *key)
{
	return *(const int *)(const void *)((const char *)options + key->offset);
}

#endif
