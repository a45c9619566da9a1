/* SPDX-License-Identifier: MIT */
/**
 * \file    huffman.h
 * \brief   Length-limited canonical Huffman codes for streams read least significant bit first.
 *
 * A table is its lengths: one byte per symbol. Codes and lookups follow from them, so that a file or a
 * device needs nothing else.
 */
#ifndef CLKV__HUFFMAN_H
#define CLKV__HUFFMAN_H

#include <stdbool.h>
#include <stdint.h>

/** Symbols of an alphabet, and bits of a code, at most. */
#define CLKV__HUFFMAN_SYMBOLS 1024
#define CLKV__HUFFMAN_BITS 12
/** Symbols of an alphabet that clkv__huffman_lookup takes. */
#define CLKV__HUFFMAN_LOOKUP_SYMBOLS 256

/** Entries of a lookup: bits of the codes found, from the lowest bit on; the symbol; of pairs the second symbol. */
#define CLKV__HUFFMAN_ENTRY_BITS 63
#define CLKV__HUFFMAN_ENTRY_SYMBOL 6
#define CLKV__HUFFMAN_ENTRY_SECOND 11

/**
 * Optimal lengths of 1 to lmax bits for n symbols: 1 <= n <= 1024, n <= 2^lmax, lmax <= 12. Each symbol
 * is counted once more than the histogram says, so that each has a code. The Kraft sum is 1 for n >= 2;
 * a single symbol has length 1.
 */
void clkv__huffman_lengths(const uint32_t *histogram, int n, int lmax, uint8_t *lengths);

/** Bits of the flat code of n symbols, 1 to 1024: ceil(log2 n) and at least 1. */
static inline int clkv__huffman_flat_bits(int n)
{
	int bits = 1;
	while (1 << bits < n)
		bits++;
	return bits;
}

/** The flat code: that length for all. */
void clkv__huffman_flat(int n, uint8_t *lengths);

/** Whether lengths from outside are a table: 1 to lmax bits each, and a Kraft sum of at most 1. */
bool clkv__huffman_lengths_valid(const uint8_t *lengths, int n, int lmax);

/** Canonical codes of valid lengths, first bit of the stream lowest: code | length << 16. */
void clkv__huffman_codes(const uint8_t *lengths, int n, uint32_t *codes);

/**
 * 2^index_bits entries, indexed by the next index_bits bits of the stream; n is at most 256. Single: bits | symbol << 6,
 * and index_bits is at least the largest length. Pairs: bits of both | first << 6 | second << 11, for
 * n <= 32 and index_bits at least twice the largest length. Where no code leads (Kraft sum below 1) the
 * entry is symbol 0 with the largest length.
 */
void clkv__huffman_lookup(const uint8_t *lengths, int n, int index_bits, bool pairs,
                          uint16_t *lookup);

/** Bits that the codes of a histogram take. */
uint64_t clkv__huffman_cost(const uint32_t *histogram, const uint8_t *lengths, int n);

#endif
