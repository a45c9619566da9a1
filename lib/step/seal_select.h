/* SPDX-License-Identifier: MIT */
/** \file seal_select.h \brief Commits of recipes that select tokens. */
#ifndef CLKV__SEAL_SELECT_H
#define CLKV__SEAL_SELECT_H

#include "step/step.h"
#include "store/cache.h"

/** Weighs tokens by the items' kept rows and, where tokens leave a window, selects, merges and seals into new blocks, beside
 *  those that there are: to be marked and entered, or undone. On failure all is as before. Errors: INVALID_STATE names a
 *  layer that wasn't attended with; POOL_FULL; OPENCL; NO_HOST_MEMORY. */
clkv_status clkv__select(struct clkv_step *step, const uint32_t *n_kept, clkv_error *error);

/** Gives back what it has made. */
void clkv__select_undo(clkv_cache *cache);

/** Changes in place what stays of the old blocks. Either nothing of it is enqueued, which is a failure; or what could not be
 *  is owed, and none. must: there is no way back already. */
clkv_status clkv__select_mark(struct clkv_step *step, bool must, clkv_error *error);

/** Whether something of it is enqueued. */
bool clkv__select_is_marked(const clkv_cache *cache);

/** Enters what it has made: tables, counts and tails of all items change. Can't fail. */
void clkv__select_enter(clkv_cache *cache);

/** Enqueues what the last commit owes, if it does: before the device's tables, blocks or rows of queries change. */
clkv_status clkv__select_settle(clkv_cache *cache, struct clkv__chain *chain, clkv_error *error);

/** Frees what the last commit left on the host. */
void clkv__select_free(clkv_cache *cache);

/** Blocks of a stream that sealing of an item can take at least, and half blocks of merged slots: what begin checks. */
void clkv__select_needs(const clkv_cache *cache, const struct clkv__step_item *item,
                        uint64_t *sealed, uint64_t *half);

#endif
