/* SPDX-License-Identifier: MIT */
/**
 * \file    index_kinds.h
 * \brief   Kinds of indexes, a row each: units, bytes, and what makes them and scores by them.
 *
 * A row is data. What launches the kernel that makes an index is its row in attend/launch_index.c.
 */
#ifndef CLKV__INDEX_KINDS_H
#define CLKV__INDEX_KINDS_H

#include "base/macros.h"

#include <stdbool.h>
#include <stdint.h>

struct clkv__recall;

/** A row by ABI_INDEX_*. */
struct clkv__index_kind {
	struct clkv__kernel_file build; /**< makes a segment's index, or a codebook; no file: neither */
	/** Units of a segment of n tokens. */
	uint32_t (*units)(const struct clkv__recall *r, uint32_t n);
	int vectors;  /**< of a key's size, in half, that stand for a unit in its segment's index */
	bool members; /**< tokens of a unit are listed, else they follow each other */
	bool book;    /**< representatives are a codebook: all segments have its units */
	bool by_keys; /**< units are scored by what sealed blocks hold, of any codec */
	/** Macros of its own; NULL: none. */
	void (*macros)(const struct clkv__recall *r, clkv__macros *macros);
};

const struct clkv__index_kind *clkv__index_kind_of(const struct clkv__recall *r);

#endif
