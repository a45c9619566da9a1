/* SPDX-License-Identifier: MIT */
/**
 * \file    dictionary_fit.h
 * \brief   A dictionary whose sums of a few atoms lose little of rows.
 */
#ifndef DICTIONARY_FIT_H
#define DICTIONARY_FIT_H

#include <stddef.h>

#include "tool_error.h"

/** Rows that a dictionary is fitted to, whitened: what an error costs is its square. */
struct dictionary_rows {
	size_t n, dim;
	const float *rows; /**< [n][dim] */
};

/** atoms [n_atoms][dim] of length 1, those that hold most of the rows first, which `pairs` of for each row come close to. n_atoms:
 *  a multiple of 16. The same rows make the same atoms. loss: what is left of the rows' squares, a part of them. */
bool dictionary_fit(const struct dictionary_rows *rows, size_t n_atoms, size_t pairs, float *atoms,
                    double *loss, struct tool_error *error);

/** left [n][dim]: what `pairs` of these atoms leave of each row. loss: as above. */
bool dictionary_left(const struct dictionary_rows *rows, size_t n_atoms, size_t pairs,
                     const float *atoms, float *left, double *loss, struct tool_error *error);

#endif
