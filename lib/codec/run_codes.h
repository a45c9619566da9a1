/* SPDX-License-Identifier: MIT */
/**
 * \file    run_codes.h
 * \brief   Codes of runs: n consecutive small integers of one component share a codeword, so that half a bit each is possible.
 *
 * A run is CLKV__RUN_FIELD bits long, n fields of as many bits each, two's complement, the first lowest. A table lists runs
 * with the length of their codewords, which are canonical and limited to CLKV__RUN_BITS; its first entry is the escape: behind
 * its codeword come the n integers themselves, CLKV__RUN_RAW bits each. Streams are read least significant bit first.
 * Source: Huffman codes over blocks of a source's symbols (T. Cover, J. Thomas, Elements of Information Theory, 5.4).
 */
#ifndef CLKV__RUN_CODES_H
#define CLKV__RUN_CODES_H

#include "../cl/base/abi.clh"

#include <clkv.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Bits of a run, of its longest codeword, and of an integer behind an escape. */
#define CLKV__RUN_FIELD ABI_RUN_FIELD
#define CLKV__RUN_BITS ABI_RUN_BITS
#define CLKV__RUN_RAW ABI_RUN_RAW
/** Entries of a table with the escape, at most. */
#define CLKV__RUN_ENTRIES 1024
/** Of a run that the fields can't hold. */
#define CLKV__RUN_NONE UINT32_MAX

/** Entry 0: the escape, its run is 0; then runs that differ, in the order of lengths and then of runs as numbers. Codewords are
 *  given out in this order, the escape's in front of those of its length. */
struct clkv__run_table {
	uint32_t n;       /**< integers of a run: 1, 2, 4 or 8 */
	uint32_t entries; /**< 1 to CLKV__RUN_ENTRIES */
	uint32_t entry
		[CLKV__RUN_ENTRIES]; /**< run | length << CLKV__RUN_FIELD; a length is 1 to CLKV__RUN_BITS */
};

/** The run of n integers, or CLKV__RUN_NONE. */
uint32_t clkv__run_of(const int8_t *codes, uint32_t n);

/** The table for a sample of integers -127 to 127, in order, a multiple of 8 of them: the n that takes the fewest bits, and the
 *  runs that are worth a codeword. An empty sample gives a table of an escape and the run of zeros.
 *  Errors: NO_HOST_MEMORY. */
clkv_status clkv__run_learn(const int8_t *sample, size_t count, const clkv_allocator *allocator,
                            struct clkv__run_table *table, clkv_error *error);

/** Whether a table from outside is one: n, lengths, order, no run twice, and a Kraft sum of at most 1. */
bool clkv__run_valid(const struct clkv__run_table *table);

/** What a decoder looks up by the next CLKV__RUN_BITS bits, [1 << CLKV__RUN_BITS]: an entry; of the escape, and where no codeword
 *  leads, ABI_RUN_ESCAPE | length << CLKV__RUN_FIELD. */
void clkv__run_decoder(const struct clkv__run_table *table, uint32_t *lookup);

/** What a coder finds a run in, [ABI_RUN_SLOTS][2]: run | length << CLKV__RUN_FIELD, then the codeword, first bit lowest; empty
 *  slots are 0, 0. A run lies at ABI_RUN_SLOT(run), or in the first slot behind it, around the end, that was free. The escape's
 *  entry and codeword are in escape [2]. */
void clkv__run_coder(const struct clkv__run_table *table, uint32_t *slots, uint32_t *escape);

/** Bits that integers take, a multiple of n of them. */
uint64_t clkv__run_cost(const struct clkv__run_table *table, const int8_t *codes, size_t count);

#endif
