/* SPDX-License-Identifier: MIT */
/**
 * \file    recall.h
 * \brief   Recall of sealed tokens: by what units attention chooses, and how large their index is.
 *
 * Stages choose it; cl/base/abi.clh draws segments and their index, cl/recall/index_*.cl make it, cl/recall/recall_*.cl read it.
 */
#ifndef CLKV__RECALL_H
#define CLKV__RECALL_H

#include "../cl/base/abi.clh"
#include "base/macros.h"
#include "recall/index_kinds.h"
#include "shape/shape.h"

#include <stdbool.h>
#include <stdint.h>

struct clkv__recall {
	int kind;   /**< ABI_INDEX_* */
	int budget; /**< tokens that a query head chooses; grouped: that its KV head does */
	int per;    /**< tokens of a page; on average of a cluster */
	int codes;  /**< entries of a codebook */
	bool given; /**< the codebook comes with the cache's options: one for all sequences */
	int metric, iterations, seed;
	int observe;  /**< newest queries by which errors are judged; 0: none are */
	int distance; /**< at which keys are scored, which are indexed as before RoPE; 0: as they are */
	bool grouped; /**< one choice for all query heads of a KV head */
	bool probe;   /**< one query for all rows of a step, by which they choose */
	bool entropy; /**< layers share their budgets out by the entropy of their scores */
	int every;    /**< fewest tokens of a segment, a multiple of the block */
	int most;     /**< most tokens of a segment, a multiple of the block */
};

static inline bool clkv__recalls(const struct clkv__recall *r)
{
	return r->kind != ABI_INDEX_NONE;
}

/** Tokens without which a sequence gets no first segment: a codebook needs more than other indexes do. */
uint32_t clkv__recall_first(const struct clkv__recall *r);

/** Segments into which n tokens are cut that are sealed together: even parts of whole blocks. */
uint32_t clkv__recall_parts(const struct clkv__recall *r, uint32_t n);

/** Tokens of part i of so many. */
uint32_t clkv__recall_part(uint32_t n, uint32_t block, uint32_t parts, uint32_t i);

/** Units of a segment of n tokens, and the number with which the next segment's begin. */
uint32_t clkv__recall_units(const struct clkv__recall *r, uint32_t n);
uint32_t clkv__recall_places(const struct clkv__recall *r, uint32_t n);

/** The same numbers for n tokens in as many segments as there may be, at most. */
uint64_t clkv__recall_places_most(const struct clkv__recall *r, uint64_t n, uint64_t segments);

/** Index of one (layer, stream) of a segment of n tokens, in ABI_UNIT bytes. */
uint32_t clkv__recall_index(const struct clkv__recall *r, const struct clkv__shape *shape,
                            uint32_t n);

/** The same for n tokens in as many segments as there may be, at most. */
uint64_t clkv__recall_index_most(const struct clkv__recall *r, const struct clkv__shape *shape,
                                 uint64_t n, uint64_t segments);

/** A sequence's codebook of one (layer, stream), in ABI_UNIT bytes; 0 if it has none. */
uint32_t clkv__recall_book(const struct clkv__recall *r, const struct clkv__shape *shape);

/** Work space of one (layer, stream) while the index of a segment is made, in bytes. */
uint64_t clkv__recall_build(const struct clkv__recall *r, const struct clkv__shape *shape);

/** Bytes of the probes of so many rows, and of their budgets; 0: there are none. */
uint64_t clkv__recall_probes(const struct clkv__recall *r, const struct clkv__shape *shape,
                             uint64_t rows);
uint64_t clkv__recall_budgets(const struct clkv__recall *r, uint64_t rows);

/** Tokens that a KV head's query heads can choose together. */
uint32_t clkv__recall_listed(const struct clkv__recall *r, const struct clkv__shape *shape);

/** The macros of its kernels. */
void clkv__recall_macros(const struct clkv__recall *r, const struct clkv__shape *shape,
                         clkv__macros *macros);

#endif
