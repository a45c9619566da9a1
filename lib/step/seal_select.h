/* SPDX-License-Identifier: MIT */
/** \file seal_select.h \brief Commits of recipes that select tokens. */
#ifndef CLKV__SEAL_SELECT_H
#define CLKV__SEAL_SELECT_H

#include "step/step.h"
#include "store/cache.h"

/** Weighs tokens by one item's kept rows and, if tokens leave its window, selects, merges and seals: its tables and counts
 *  have then changed, and its tail has moved. On failure nothing has. Errors: INVALID_STATE names a layer that wasn't
 *  attended with; POOL_FULL; OPENCL; NO_HOST_MEMORY. */
clkv_status clkv__select_item(struct clkv_step *step, const struct clkv__step_item *item,
                              uint32_t n_kept, clkv_error *error);

/** Blocks of a stream that sealing of an item can take at least, and half blocks of merged slots: what begin checks. */
void clkv__select_needs(const clkv_cache *cache, const struct clkv__step_item *item,
                        uint64_t *sealed, uint64_t *half);

#endif
