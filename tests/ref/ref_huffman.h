/* SPDX-License-Identifier: MIT */
/** \file ref_huffman.h \brief The best prefix code without long words, by package-merge. */
#ifndef REF_HUFFMAN_H
#define REF_HUFFMAN_H

#include <stddef.h>
#include <stdint.h>

#define REF_HUFFMAN_SYMBOLS 256

/** Lengths of an optimal prefix code none of whose n words is longer than longest (Larmore and
 *  Hirschberg, 1990). 2 <= n <= min(256, 2^longest). */
void ref_huffman(size_t n, const uint64_t *weights, int longest, int *lengths);

/** ceil(log2 n): the length of all words of the flat code. */
int ref_huffman_flat(size_t n);

#endif
