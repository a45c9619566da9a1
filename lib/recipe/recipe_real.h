/* SPDX-License-Identifier: MIT */
/** \file recipe_real.h \brief Real numbers in recipes: the same text in every locale. */
#ifndef CLKV__RECIPE_REAL_H
#define CLKV__RECIPE_REAL_H

#include <stdbool.h>
#include <stddef.h>

/** Characters of a printed number at most, with the end. */
#define CLKV__REAL_TEXT 24

/** Reads all of text[0 .. n): digits with at most one point, and an exponent if wanted: "0.1", ".5", "1e-3";
 *  no sign, no blanks. False, with value as it was, if it is anything else or more than FLT_MAX. */
bool clkv__real_parse(const char *text, size_t n, float *value);

/** Prints a finite value >= 0 with the fewest digits that clkv__real_parse reads as the same value. */
void clkv__real_format(float value, char text[CLKV__REAL_TEXT]);

#endif
