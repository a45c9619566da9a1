/* SPDX-License-Identifier: MIT */
/** \file fetch.h \brief Recalled rows on their way from host memory to slots of the device. */
#ifndef CLKV__FETCH_H
#define CLKV__FETCH_H

#include "place/place.h"
#include "store/cache.h"
#include "store/pass.h"

/* list: rows that recall in one go, in one layer. */

/** Reads the rows' lists to the host, once pages hold all that was sealed. Blocks. Errors: OPENCL, INTERNAL. */
clkv_status clkv__place_lists(clkv_cache *cache, struct clkv__chain *chain,
                              const struct clkv__ask_list *list, int layer, clkv_error *error);

/** The list of row i for a KV head: how many, then ordinals. */
uint32_t *clkv__place_list(const clkv_cache *cache, uint32_t i, int stream);

/** Finds a slot for each token of the lists, and sends the device the lists as numbers of slots and *n_records rows
 *  that aren't in theirs yet, in `arrived`. After a failure, or if the rows don't get to their slots,
 *  clkv__place_unfetch must be called. */
clkv_status clkv__place_fetch(clkv_cache *cache, struct clkv__chain *chain,
                              const struct clkv__ask_list *list, int layer, uint32_t *n_records,
                              clkv_error *error);
void clkv__place_unfetch(clkv_cache *cache, const struct clkv__ask_list *list, int layer);

/** Adds figures of this step to those of the cache. */
void clkv__place_count(clkv_cache *cache, const struct clkv__moved *more);

#endif
