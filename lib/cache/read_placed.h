/* SPDX-License-Identifier: MIT */
/** \file read_placed.h \brief Rows of a sequence whose sealed blocks lie in host memory, decoded for the caller. */
#ifndef CLKV__READ_PLACED_H
#define CLKV__READ_PLACED_H

#include "store/cache.h"

/** As clkv__launch_read, by way of the landing zone. Blocks for reads to pages alone; the caller waits for the chain
 *  before pages change. */
clkv_status clkv__place_read(clkv_seq *seq, struct clkv__chain *chain, int layer, uint32_t from,
                             uint32_t n, const clkv_tensor *k, const clkv_tensor *v,
                             clkv_error *error);

#endif
