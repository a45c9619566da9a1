/* SPDX-License-Identifier: MIT */
/** \file recipes.h \brief Recipes of random runs: every stage, most of its keys, and stages put together. */
#ifndef RANDOM_RECIPES_H
#define RANDOM_RECIPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** The most characters of a recipe that is drawn, with the zero behind it. */
#define RECIPES_TEXT 800

/** A recipe of the table, or one time in three (always: each time) several of them by layer, for a model of so many layers; up
 *  to 4. */
void recipes_draw(uint64_t seed, int layers, bool always, char text[RECIPES_TEXT]);

/** Recipe i of those that are run without arguments, or NULL: of each kind of stage, with keys for which other suites build
 *  the same programs in the geometry that most of them use. */
const char *recipes_fixed(size_t i);

#endif
