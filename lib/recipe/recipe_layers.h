/* SPDX-License-Identifier: MIT */
/**
 * \file    recipe_layers.h
 * \brief   Recipes of which each is for some of a model's layers.
 *
 * Grammar: 'layers=' part (';' part)*   part: which ':' recipe   which: range (',' range)* | 'sliding' | 'full'
 * range: number | number '-' number | number '-'
 * A part's recipe may have general keys of its own behind a ';': what begins with layers and a ':' is the next part.
 * Blanks are allowed around every word.
 */
#ifndef CLKV__RECIPE_LAYERS_H
#define CLKV__RECIPE_LAYERS_H

#include "recipe/recipe.h"
#include "shape/banding.h"
#include "shape/shape.h"

/** One of the recipes: text[begin .. end). */
struct clkv__recipe_part {
	int position; /**< of its layers in the text, for errors found later */
	int begin, end;
};

struct clkv__recipe_parts {
	bool layered; /**< else it's one recipe for all layers */
	int n;
	struct clkv__recipe_part part[CLKV__MAX_BANDS];
	unsigned char of[CLKV__MAX_LAYERS]; /**< part of each layer, or CLKV__NO_BAND */
	int known;                          /**< layers up to the last one that a number names */
	int from;                           /**< first layer of the range without an end, or -1 */
	int sliding, full; /**< parts of layers with a sliding window and without; -1: not by name */
};

/** Finds the parts of a recipe; their recipes are still to be parsed. Errors: INVALID_ARGUMENT (no text, or too long),
 *  INVALID_RECIPE with the position. */
clkv_status clkv__recipe_split(const char *text, struct clkv__recipe_parts *parts,
                               clkv_error *error);

/** Characters of a text that may be a recipe. Errors: INVALID_ARGUMENT (no text, or too long). */
clkv_status clkv__recipe_length(const char *text, int *length, clkv_error *error);

/** Parses text[begin .. end) as a recipe for all layers. */
clkv_status clkv__recipe_parse_part(const char *text, int begin, int end,
                                    struct clkv__recipe *recipe, clkv_error *error);

/** Gives each layer of a model to a band of its part: a part that never seals (plain[part]) has one for each sliding window, as
 *  such bands keep no more than that; others have one. Parts of which no layer is are left out, if they have a name.
 *  Errors: INVALID_RECIPE names the layer that has no recipe, or that the model hasn't; too many bands. */
clkv_status clkv__recipe_bands(const struct clkv__recipe_parts *parts,
                               const struct clkv__shape *shape, const bool *plain,
                               struct clkv__banding *bands, clkv_error *error);

/** Appends "layers=0-1,4: " or " ; 2-3: " for the layers of a band or part; false if it doesn't fit. */
bool clkv__recipe_format_layers(const unsigned char *of, int n, int part, bool open, bool first,
                                char *text, size_t room);

#endif
