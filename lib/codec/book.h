/* SPDX-License-Identifier: MIT */
/** \file book.h \brief Few Huffman tables for many histograms: which ones, and who takes which. */
#ifndef CLKV__BOOK_H
#define CLKV__BOOK_H

#include <clkv.h>
#include <stddef.h>
#include <stdint.h>

/**
 * Makes 1 to max_tables tables of n lengths (see clkv__huffman_lengths for n and lmax) for the histograms
 * of n_sources sources, [n_sources][n], and gives each source the cheapest; sources without counts get
 * table 0. All of them together never take more bits than with the best single table. The same input
 * gives the same tables on every machine.
 * Returns the number of tables; 0, with nothing written but error, if there is no host memory.
 */
int clkv__book_cluster(const uint32_t *histograms, size_t n_sources, int n, int lmax,
                       int max_tables, uint8_t *lengths, uint32_t *owner,
                       const clkv_allocator *allocator, clkv_error *error);

#endif
