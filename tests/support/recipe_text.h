/* SPDX-License-Identifier: MIT */
/**
 * \file    recipe_text.h
 * \brief   Reads keys in the text of a recipe, by no code of the library: a table's row is a recipe, and says what it means.
 *
 * The first place of the text that has `key=` at the beginning of a word counts.
 */
#ifndef TEST_RECIPE_TEXT_H
#define TEST_RECIPE_TEXT_H

double recipe_number(const char *text, const char *key, double fallback);

/** The number of the word that the key has, of n; fallback if it has another one or isn't there. */
int recipe_word(const char *text, const char *key, const char *const *words, int n, int fallback);

#endif
