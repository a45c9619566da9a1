/* SPDX-License-Identifier: MIT */
/** \file recipes.h \brief Recipes of random runs: every stage, most of its keys, and stages put together. */
#ifndef RANDOM_RECIPES_H
#define RANDOM_RECIPES_H

#include <stddef.h>
#include <stdint.h>

const char *recipes_draw(uint64_t seed);

/** Recipe i of those that are run without arguments, or NULL: of each kind of stage, with keys for which other suites build
 *  the same programs in the geometry that most of them use. */
const char *recipes_fixed(size_t i);

#endif
