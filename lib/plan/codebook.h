/* SPDX-License-Identifier: MIT */
/**
 * \file    codebook.h
 * \brief   Codebooks that were trained before: checked, and brought to the device's order.
 *
 * A file (given_file.h) with CLKV__CODEBOOK_MAGIC and words of enum clkv__codebook_word holds entries, half
 * [layer][KV head][code][channel], of layers from `skip` on.
 */
#ifndef CLKV__CODEBOOK_H
#define CLKV__CODEBOOK_H

#include "plan/plan.h"

#define CLKV__CODEBOOK_MAGIC                                                                       \
	"\x89"                                                                                         \
	"CLKB\r\n\x1a"
#define CLKV__CODEBOOK_VERSION 1

enum clkv__codebook_word {
	CLKV__BOOK_VERSION,
	CLKV__BOOK_LAYERS,
	CLKV__BOOK_SKIP,
	CLKV__BOOK_KV_HEADS,
	CLKV__BOOK_DIM_K,
	CLKV__BOOK_CODES,
	CLKV__BOOK_WROPE,
	CLKV__BOOK_WORDS
};

/** Bytes of a file for this plan. */
size_t clkv__codebook_bytes(const struct clkv__plan *plan, const struct clkv__shape *shape);

/** Whether data is a codebook of this plan, this shape and this model, undamaged.
 *  Errors: CORRUPT (what is damaged), INVALID_ARGUMENT (what it was trained for, what is asked for). */
clkv_status clkv__codebook_check(const struct clkv__plan *plan, const struct clkv__shape *shape,
                                 const void *data, size_t size, uint64_t model, clkv_error *error);

/** Between a checked file and the device's order, books [heads][tile][DK][ABI_TILE] halves of clkv__recall_book units;
 *  the entries that only fill a tile are zeros. */
void clkv__codebook_unpack(const struct clkv__plan *plan, const struct clkv__shape *shape,
                           const void *data, unsigned char *books);
void clkv__codebook_pack(const struct clkv__plan *plan, const struct clkv__shape *shape,
                         const unsigned char *books, uint64_t model, void *data);

#endif
