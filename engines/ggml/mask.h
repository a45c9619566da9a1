/* SPDX-License-Identifier: MIT */
/** \file
 *  Masks of attention, read before they are left out: the library's attention is causal, whatever an engine's mask says. */
#ifndef CLKV_GGML_MASK_H
#define CLKV_GGML_MASK_H

#include <stddef.h>
#include <stdint.h>

/** Tells whether a row of n half floats lets exactly the first n_seen through: 0 for these, -infinity for all others. */
int mask_row_is_causal(const uint16_t *row, size_t n, size_t n_seen);

#endif
