/* SPDX-License-Identifier: MIT */
/**
 * \file    block_table.h
 * \brief   The block tables of all sequences: on the device, mirrored on the host.
 *
 * The host changes its mirror and notes which words; the notes travel to the device, in one launch,
 * with the next plan. cl/base/abi.clh says what the words mean.
 */
#ifndef CLKV__BLOCK_TABLE_H
#define CLKV__BLOCK_TABLE_H

#include "store/sizes.h"

#include <stdbool.h>

/** A word of a table that a step has changed, so that it can be undone. */
struct clkv__change {
	uint32_t word, before, layer;
	bool sealed; /**< a sealed block's address, not a half block's */
};

struct clkv__tables {
	cl_mem mem;
	uint32_t slab_words, row_words, cap;
	uint32_t segs_word, segs; /**< clkv__sizes */
	uint32_t n_slabs, n_free;
	uint32_t *mirror;    /**< [n_slabs][slab_words] */
	uint32_t *free_list; /**< slabs */
	uint32_t *pending;   /**< words that the device doesn't know yet; may hold a word twice */
	size_t n_pending, pending_room;
	struct clkv__change *journal; /**< words changed by the begin of an open step */
	size_t n_changes;
	const clkv_allocator *allocator;
};

clkv_status clkv__tables_init(struct clkv__tables *tables, const clkv_allocator *allocator,
                              cl_context cl, const struct clkv__sizes *sizes, clkv_error *error);
void clkv__tables_free(struct clkv__tables *tables);

/** A free slab's first word, or UINT32_MAX; its rows are empty. */
uint32_t clkv__tables_take(struct clkv__tables *tables);
void clkv__tables_release(struct clkv__tables *tables, uint32_t slab);

/** Makes room for n more notes, so that the next n calls of set can't fail. */
clkv_status clkv__tables_reserve(struct clkv__tables *tables, size_t n, clkv_error *error);

/** Changes a word of the mirror and notes it. Room must have been reserved. */
void clkv__tables_set(struct clkv__tables *tables, uint32_t word, uint32_t value);

static inline uint32_t clkv__tables_get(const struct clkv__tables *tables, uint32_t word)
{
	return tables->mirror[word];
}

#endif
