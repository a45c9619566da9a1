/* SPDX-License-Identifier: MIT */
/** \file
 *  Masks of attention, read before they are left out: the library's attention is causal, whatever an engine's mask says. */
#ifndef CLKV_GGML_MASK_H
#define CLKV_GGML_MASK_H

#include <stddef.h>
#include <stdint.h>

/** Counts the cells that a row of n half floats lets through: those of 0, of either sign. */
size_t mask_row_count(const uint16_t *row, size_t n);

/** Tells whether row r of a batch, n half floats, lets exactly those cells through that are seen since row r or before: 0 for
 *  these, -infinity for all others, and n_seen of them. */
int mask_row_shows(const uint16_t *row, size_t n, const uint32_t *since, uint32_t r, size_t n_seen);

#endif
