/* SPDX-License-Identifier: MIT */
/** \file seal.h \brief Which tokens leave the tail at a commit, and their encoding. */
#ifndef CLKV__SEAL_H
#define CLKV__SEAL_H

#include "step/step.h"

/** Blocks that commit seals for an item of which n_kept new rows are kept. */
uint32_t clkv__seal_count(const clkv_cache *cache, const struct clkv__step_item *item,
                          uint32_t n_kept);

/** Encodes what the step's items seal, into blocks that no table knows yet: to be entered, or undone. On failure nothing
 *  has changed. */
clkv_status clkv__seal(struct clkv_step *step, const uint32_t *n_kept, clkv_error *error);

/** Enters the blocks into the tables' mirror and moves the sequences' tails. Can't fail. */
void clkv__seal_enter(struct clkv_step *step, const uint32_t *n_kept);

/** Gives them back. */
void clkv__seal_undo(struct clkv_step *step);

#endif
