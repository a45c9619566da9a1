/* SPDX-License-Identifier: MIT */
/**
 * \file    tuning.h
 * \brief   How kernels are shaped and attention is cut, as numbers and as text.
 *
 * Text: lanes=L,vec=V[,queries=Q][,groups=N][,min_blocks=B], in this order, without blanks.
 */
#ifndef CLKV__TUNING_H
#define CLKV__TUNING_H

#include <stdbool.h>
#include <stddef.h>

struct clkv__tuning {
	unsigned lanes;      /**< work-items of a group: a power of two, 1 to 256 */
	unsigned vec;        /**< floats of a work-item's vectors: a power of two, 1 to 16 */
	unsigned queries;    /**< most queries of a tile, 1 to 64; local memory may allow fewer */
	unsigned groups;     /**< work-groups per compute unit that splits aim at, 1 to 64 */
	unsigned min_blocks; /**< blocks that a split walks at least, 1 to 64 */
	char source[64];     /**< where it comes from, for people */
};

/** Most characters of a printed tuning, its end included. */
enum { CLKV__TUNING_TEXT = 80, CLKV__MAX_LANES = 256, CLKV__MAX_VEC = 16 };

/** All numbers are in their ranges, and lanes at most `lanes`. */
bool clkv__tuning_is_valid(const struct clkv__tuning *tuning, unsigned lanes);

/** Reads text over *tuning, which keeps what text leaves out; whole: text may leave nothing out.
 *  False, and nothing is changed, unless every character is as printing writes it and every number
 *  is in its range. */
bool clkv__tuning_parse(const char *text, unsigned lanes, bool whole, struct clkv__tuning *tuning);

/** All five numbers. */
void clkv__tuning_print(const struct clkv__tuning *tuning, char text[CLKV__TUNING_TEXT]);

/** The same numbers, wherever they come from. */
bool clkv__tuning_equal(const struct clkv__tuning *a, const struct clkv__tuning *b);

#endif
