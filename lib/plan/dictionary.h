/* SPDX-License-Identifier: MIT */
/**
 * \file    dictionary.h
 * \brief   What recipes make of a file of factors: latents of at most the head size, or a dictionary of atoms.
 *
 * Factors of rank n are a dictionary of n atoms: rows of B, of which the columns of A tell how much a row has. Each of a row's even
 * chunks has its own, in its channels. To take off an atom leaves nothing of it if column n times row n of a chunk is 1.
 */
#ifndef CLKV__DICTIONARY_H
#define CLKV__DICTIONARY_H

#include "plan/plan.h"

/** What the product of an atom and its column may differ from 1. */
#define CLKV__ATOM_SLACK (1.0 / 1024)

/** What the bands of a recipe ask of a file of factors. */
struct clkv__factors_use {
	struct clkv__latents ranks; /**< the largest of any band */
	bool latents;               /**< one seals latents */
	struct clkv__groups groups; /**< whose, of the first that does */
	bool
		mixed; /**< bands ask for factors of different groups, or for a dictionary beside those of groups */
	bool atoms;         /**< one seals sums of atoms */
	unsigned chunks[2]; /**< of K and V: bit c, a band has atoms of c chunks */
};

/** Adds what a band asks. */
void clkv__factors_use_add(struct clkv__factors_use *use, const struct clkv__variant *band);

/** Whether a file serves all bands. Errors: as clkv__factors_check, and INVALID_ARGUMENT (atoms, or a rank above the head size,
 *  for latents; factors of other groups, or of groups and others in one recipe; an atom whose product isn't 1). */
clkv_status clkv__factors_use_check(const struct clkv__shape *shape,
                                    const struct clkv__factors_use *use, const void *file,
                                    size_t size, uint64_t model, clkv_error *error);

#endif
