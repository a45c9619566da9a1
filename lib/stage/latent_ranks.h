/* SPDX-License-Identifier: MIT */
/** \file latent_ranks.h \brief From a key of a stage to a rank. */
#ifndef CLKV__LATENT_RANKS_H
#define CLKV__LATENT_RANKS_H

#include <clkv.h>

/** The rank that a key says, a part of the head size up to 1 or a number: of parts the nearest multiple of 16, at least one.
 *  Errors: INVALID_RECIPE (a number that is no multiple of 16, or above the head size). */
clkv_status clkv__latent_rank(const char *stage, char side, float value, int dim, int *rank,
                              clkv_error *error);

#endif
