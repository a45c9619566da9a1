/* SPDX-License-Identifier: MIT */
/**
 * \file    dictionary_prompt.h
 * \brief   Atoms of a prompt's own rows, behind those that were fitted to other texts.
 */
#ifndef DICTIONARY_PROMPT_H
#define DICTIONARY_PROMPT_H

#include "dictionary_fit.h"

/** How many; multiples of 16, as of dictionary_fit. */
struct prompt_atoms {
	size_t online; /**< the newest rows */
	size_t guard;  /**< those of which all others leave most */
};

/** Writes them behind n_atoms of atoms [n_atoms + online + guard][dim]. rows: the prompt's, whitened, oldest first; at least as
 *  many as are wanted that aren't zeros, else it fails and says so. before, after: what is left of their squares with the first
 *  n_atoms alone, and with all. */
bool dictionary_add_prompt(const struct dictionary_rows *rows, size_t n_atoms,
                           const struct prompt_atoms *want, size_t pairs, float *atoms,
                           double *before, double *after, struct tool_error *error);

#endif
