/* SPDX-License-Identifier: MIT */
/**
 * \file    advise_budget.h
 * \brief   Bits by layer, and K against V: from what one layer's codes cost alone, at the bytes of the same bits for all.
 *
 * A unit is K or V of a layer: unit 2 l is K of layer l, unit 2 l + 1 its V. A level is a fineness that a codec has.
 */
#ifndef ADVISE_BUDGET_H
#define ADVISE_BUDGET_H

#include <stdbool.h>
#include <stddef.h>

enum { BUDGET_MOST_LEVELS = 8 };

struct budget_level {
	const char *text; /**< as the codec's key takes it */
	double bits;      /**< of a value, but for what all levels have; rising */
};

/** A codec with keys for K and for V. */
struct budget_codec {
	const char *name, *before_k, *before_v, *behind; /**< stages: before_k K before_v V behind */
	struct budget_level levels[BUDGET_MOST_LEVELS];  /**< from the coarsest on */
	size_t n_levels;
	size_t quiet;        /**< a level whose errors are nothing beside the coarsest one's */
	size_t rival;        /**< the level for all layers whose bits are shared out anew */
	const char *uniform; /**< stages that give it to all layers */
};

/** The codecs; *n of them. */
const struct budget_codec *budget_codecs(size_t *n);

/**
 * Gives each of n units a level so that their bits are no more than n times `bits`. Unit u at level l costs
 * sensitivity[u] * law[l] (law: loss at each level, of the same unit); costs add up. Greedy: time and again the step of a unit
 * to a finer level that takes the most cost off per bit. Of costs that are convex in bits that is the least sum, but for the
 * last step. Source: H. Everett, Operations Research 11 (1963), on sharing out by one price.
 */
void budget_share(const struct budget_codec *codec, const double *law, const double *sensitivity,
                  size_t n, double bits, size_t *levels);

/** Writes the recipe that gives layers their levels [2 layers], of those that are the same one part; keys: the sinks and window
 *  of each. False: it doesn't fit in `size` bytes. */
bool budget_recipe(const struct budget_codec *codec, const size_t *levels, size_t layers,
                   const char *keys, char *text, size_t size);

/** Writes the recipe in which one unit alone has the coarsest level, the other side of its layer the quiet one, all other layers
 *  half. */
bool budget_probe(const struct budget_codec *codec, size_t unit, size_t layers, const char *keys,
                  char *text, size_t size);

/** Writes the recipe of one level for all layers. */
bool budget_uniform(const struct budget_codec *codec, size_t level, const char *keys, char *text,
                    size_t size);

#endif
