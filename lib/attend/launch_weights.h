/* SPDX-License-Identifier: MIT */
/** \file launch_weights.h \brief Tokens weighed by the weights that attention leaves. */
#ifndef CLKV__LAUNCH_WEIGHTS_H
#define CLKV__LAUNCH_WEIGHTS_H

#include "device/queue.h"
#include "store/pass.h"

/** Adds n rows of an item, from its row `first` on, to what the rows before have weighed; behind the merge of their attention in
 *  this layer. */
clkv_status clkv__launch_weights(clkv_cache *cache, struct clkv__chain *chain,
                                 const struct clkv__left_item *left, int layer, uint32_t first,
                                 uint32_t n, clkv_error *error);

/** Makes what all its rows have weighed the scores of a commit. */
clkv_status clkv__launch_weighed(clkv_cache *cache, struct clkv__chain *chain, clkv_error *error);

#endif
