/* SPDX-License-Identifier: MIT */
/** \file latent_ranks.h \brief From keys of a stage to ranks and groups. */
#ifndef CLKV__LATENT_RANKS_H
#define CLKV__LATENT_RANKS_H

#include "plan/plan.h"

#include <clkv.h>

/** The rank that a key says, a part of the head size up to 1 or a number: of parts the nearest multiple of 16, at least one.
 *  Errors: INVALID_RECIPE (a number that is no multiple of 16, or above the head size). */
clkv_status clkv__latent_rank(const char *stage, char side, float value, int dim, int *rank,
                              clkv_error *error);

/** How many KV heads have latents together, 0 meaning all of the model's. Errors: INVALID_RECIPE (they don't divide its heads). */
clkv_status clkv__latent_heads(const char *stage, char side, int value,
                               const struct clkv__shape *shape, int *heads, clkv_error *error);

/** How many layers that follow each other have latents together. Their blocks must be alike and reachable from each other. Errors:
 *  INVALID_RECIPE (they don't divide the model's layers; layers of a group with other recipes, or that skip). */
clkv_status clkv__latent_share(const char *stage, int value, const struct clkv__shape *shape,
                               const struct clkv__plan *plan, int *share, clkv_error *error);

/** Refuses groups that are wider than kernels read at a time. Errors: INVALID_RECIPE. */
clkv_status clkv__latent_groups_check(const char *stage, const struct clkv__variant *variant,
                                      clkv_error *error);

#endif
