/* SPDX-License-Identifier: MIT */
/** \file seal.h \brief Which tokens leave the tail at a commit, and their encoding. */
#ifndef CLKV__SEAL_H
#define CLKV__SEAL_H

#include "step/step.h"

/** Blocks that commit seals for an item of which n_kept new rows are kept. */
uint32_t clkv__seal_count(const clkv_cache *cache, const struct clkv__step_item *item,
                          uint32_t n_kept);

/** Encodes what the step's items seal. On success the new entries are in the tables' mirror and the
 *  sequences' tails have moved; on failure nothing has changed. */
clkv_status clkv__seal(struct clkv_step *step, const uint32_t *n_kept, clkv_error *error);

#endif
