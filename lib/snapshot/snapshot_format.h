/* SPDX-License-Identifier: MIT */
/**
 * \file    snapshot_format.h
 * \brief   The numbers of a saved sequence: doc/file-format.md describes it byte by byte.
 *
 * A header, then records, each with a checksum behind it: of every byte before it, other checksums left out,
 * so that records of two files can't be mixed. All numbers are little endian.
 */
#ifndef CLKV__SNAPSHOT_FORMAT_H
#define CLKV__SNAPSHOT_FORMAT_H

#include "../cl/base/abi.clh"
#include "base/little_endian.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** As PNG's: shows a file that was cut to 7 bits, or whose line ends were changed. */
#define CLKV__SNAPSHOT_MAGIC                                                                       \
	"\x89"                                                                                         \
	"CLKV\r\n\x1a"
#define CLKV__SNAPSHOT_VERSION 1
/** Names the version of files whose layers have several recipes: a header of all, headers of bands, records of bands. */
#define CLKV__SNAPSHOT_BANDS 2
/** Names those of ranges that don't begin at token 0: of one recipe, and of several. */
#define CLKV__SNAPSHOT_RANGE 3
#define CLKV__SNAPSHOT_RANGE_BANDS 4
/** Names those of sequences with a state beside their rows (snapshot_state.h): of one recipe, and of several, some with one. */
#define CLKV__SNAPSHOT_STATE 5
#define CLKV__SNAPSHOT_STATE_BANDS 6

enum { CLKV__MAGIC_BYTES = 8, CLKV__CHECKSUM_BYTES = 8 };

/** Words of the header behind the magic; the recipe's text follows them. */
enum clkv__head_word {
	CLKV__HEAD_VERSION,
	CLKV__HEAD_RECIPE, /**< bytes of the recipe's text */
	CLKV__HEAD_LAYERS,
	CLKV__HEAD_KV_HEADS,
	CLKV__HEAD_DIM_K,
	CLKV__HEAD_DIM_V,
	CLKV__HEAD_LENGTH,
	CLKV__HEAD_TAIL,
	CLKV__HEAD_BLOCKS, /**< sealed pages of each (layer, KV head) that seals, of selected tokens those of the head that has
	                      most; of a header of all bands: how many bands */
	CLKV__HEAD_FLAGS,
	CLKV__HEAD_WORDS
};

/** Bytes of a header without its recipe, at most: its words, a range's first token, a rotation's number, a checksum. */
enum { CLKV__HEAD_BYTES = CLKV__MAGIC_BYTES + 4 * CLKV__HEAD_WORDS + 4 + 8 + CLKV__CHECKSUM_BYTES };

/** Bits of the flags; the others are 0. */
#define CLKV__HEAD_LEFT_PARTIAL 1u
#define CLKV__HEAD_ROTATION 2u /**< the number of the rotation (8 bytes) stands behind the recipe */

/** What stands beside the rows: rows of the table in snapshot_state.c. */
#define CLKV__HEAD_CHOICE 4u
#define CLKV__HEAD_INDEX 8u
#define CLKV__HEAD_QUERIES 16u
#define CLKV__HEAD_STATE (CLKV__HEAD_CHOICE | CLKV__HEAD_INDEX | CLKV__HEAD_QUERIES)
#define CLKV__HEAD_ATTENDED 32u /**< the newest row was attended with in all layers that seal */

/** What a record holds. */
enum clkv__record_kind {
	CLKV__RECORD_CODEC = 1,  /**< what the codec's pages need beside themselves */
	CLKV__RECORD_SEALED = 2, /**< a page as it lies on the device */
	CLKV__RECORD_HALF = 3,   /**< tokens in half: K [head_dim_k][count], V [count][head_dim_v] */
	CLKV__RECORD_END = 4,
	CLKV__RECORD_CHOICE = 5,   /**< which tokens each head has kept, in numbers */
	CLKV__RECORD_MERGED = 6,   /**< a half block of merged slots as it lies on the device */
	CLKV__RECORD_SEGMENTS = 7, /**< of an index: its segments, and whose codebook it is by */
	CLKV__RECORD_BOOK = 8,     /**< codebooks of a layer */
	CLKV__RECORD_INDEX = 9,    /**< indexes of a segment in a layer */
	CLKV__RECORD_QUERIES = 10, /**< the newest queries of a layer */
	CLKV__RECORD_KINDS
};

/** A record's words, in this order; one more word is 0. */
struct clkv__record {
	uint32_t kind, layer, head;
	uint32_t pos, count; /**< first token, tokens */
	uint32_t flags;      /**< of a sealed page: its entry's in the block table */
	uint32_t bytes;      /**< of what follows, before the checksum */
};

enum { CLKV__RECORD_BYTES = 32 };

/** A codec's record holds at most so many bytes: per side a count; per table its number and symbols, 4 bytes each, and a byte
 *  for each symbol. */
enum { CLKV__SECTION_BYTES = 2 * (4 + (ABI_TABLES - 1) * (8 + ABI_SYMBOLS)) };

#endif
