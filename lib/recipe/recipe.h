/* SPDX-License-Identifier: MIT */
/**
 * \file    recipe.h
 * \brief   A parsed recipe: stages in order, their options, the general keys.
 *
 * Grammar: stage ('|' stage)* (';' keys)?   stage: name (':' keys)?   keys: key=value (',' key=value)*
 * The first key's value may stand alone if it is one of names: place:host.
 * Blanks are allowed around every word.
 */
#ifndef CLKV__RECIPE_H
#define CLKV__RECIPE_H

#include "stage/stage.h"

#include <string.h>

#define CLKV__MAX_STAGES 8
#define CLKV__MAX_OPTIONS 20

/** Characters of an allowed range at most, with the end. */
#define CLKV__RANGE_TEXT 96

struct clkv__recipe_stage {
	const struct clkv__stage *stage;
	int position; /**< in the string, for errors found later */
	/** The stage reads them as its struct of ints and floats. */
	union {
		int whole;
		float real;
	} options[CLKV__MAX_OPTIONS];
};

struct clkv__recipe {
	size_t n_stages;
	struct clkv__recipe_stage stages[CLKV__MAX_STAGES];
	struct clkv__general general;
	struct clkv__list keep; /**< of the stage that prunes channels */
};

/** The general keys and their values of default; the printer and lister use them too. */
extern const struct clkv__key clkv__general_keys[];
extern const size_t clkv__n_general_keys;

/** What wasn't given of the general keys becomes what the recipe's stages want. */
void clkv__general_fill(const struct clkv__recipe *recipe, struct clkv__general *general);

/** Errors: CLKV_ERROR_INVALID_RECIPE with the position in the string and what is allowed there. */
clkv_status clkv__recipe_parse(const char *text, struct clkv__recipe *recipe, clkv_error *error);

/** Refuses what the recipe can't do on this shape, naming stage, key and what is allowed. */
clkv_status clkv__recipe_plan(const struct clkv__recipe *recipe, const struct clkv__shape *shape,
                              struct clkv__plan *plan, clkv_error *error);

/** key=value, ... of text[begin .. end) into options that have their defaults; owner is how errors name
 *  whose keys they are: "stage 'kivi'"; list gets that of a key which has one. On failure options may hold
 *  some of the values. */
clkv_status clkv__recipe_parse_keys(const char *text, int begin, int end, const char *owner,
                                    const struct clkv__key *keys, size_t n_keys, void *options,
                                    struct clkv__list *list, clkv_error *error);

/** What a key may be, "0.004 to 1" or "channel|token": the table's own text, or text filled. */
const char *clkv__key_allowed(const struct clkv__key *key, char text[CLKV__RANGE_TEXT]);

/** Writes the canonical form to text; false if it doesn't fit. */
bool clkv__recipe_format(const struct clkv__recipe *recipe, char *text, size_t n);

/** Fills error with a recipe error at position. Returns CLKV_ERROR_INVALID_RECIPE. */
clkv_status clkv__recipe_fail(clkv_error *error, int position, const char *format, ...)
#if defined(__GNUC__)
	__attribute__((format(printf, 3, 4)))
#endif
	;

_Static_assert(sizeof(float) == sizeof(int), "a value of any key fits the same place");

static inline bool clkv__key_is_real(const struct clkv__key *key)
{
	return key->type == CLKV__KEY_REAL || key->type == CLKV__KEY_PART ||
	       key->type == CLKV__KEY_REALS;
}

/** What the options hold for value: an int, or the bits of a float. */
static inline int clkv__key_slot(const struct clkv__key *key, double value)
{
	int slot = (int)value;
	float real = (float)value;
	if (clkv__key_is_real(key))
		memcpy(&slot, &real, sizeof slot);
	return slot;
}

static inline float clkv__slot_real(int slot)
{
	float real;
	memcpy(&real, &slot, sizeof real);
	return real;
}

static inline void clkv__key_set(void *options, const struct clkv__key *key, int slot)
{
	memcpy((char *)options + key->offset, &slot, sizeof slot);
}

static inline int clkv__key_get(const void *options, const struct clkv__key *key)
{
	int slot;
	memcpy(&slot, (const char *)options + key->offset, sizeof slot);
	return slot;
}

#endif
