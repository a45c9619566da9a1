/* SPDX-License-Identifier: MIT */
/** \file host_attend.h \brief Attention over recalled rows where they lie, by the host. */
#ifndef CLKV__HOST_ATTEND_H
#define CLKV__HOST_ATTEND_H

#include "place/fetch.h"

/** Reads the queries of the rows. Blocks. */
clkv_status clkv__place_queries(clkv_cache *cache, struct clkv__chain *chain,
                                const struct clkv__ask_list *list, const clkv_tensor *q,
                                clkv_error *error);

/** Attends to the lists' rows and sends a partial record for each query head, the last of its row's. */
clkv_status clkv__place_attend(clkv_cache *cache, struct clkv__chain *chain,
                               const struct clkv__ask_list *list, int layer, clkv_error *error);

#endif
