/* SPDX-License-Identifier: MIT */
/**
 * \file    prune.h
 * \brief   The host half of channel pruning: what sealed blocks keep of K, and what they begin with.
 *
 * cl/prune/prune_block.clh draws it; stages choose it; the codec behind it stores the rows that are left and
 * knows nothing of it. Sources: ThinK, arXiv 2407.21018; SparK, arXiv 2508.15212.
 */
#ifndef CLKV__PRUNE_H
#define CLKV__PRUNE_H

#include "../cl/base/abi.clh"
#include "base/macros.h"
#include "shape/shape.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct clkv__prune {
	int kind;      /**< ABI_PRUNE_* */
	int kept;      /**< channels of K that a token keeps, 1 to the head size */
	int align;     /**< kept is rounded up to a multiple of this */
	bool grouped;  /**< tokens: each keeps one of five numbers of channels; kept is the largest */
	int lacking_v; /**< channels of V that a token lacks, a multiple of 8 */
	int observe;   /**< newest queries by which channels are judged */
	int qagg;      /**< ABI_QAGG_* */
	int refresh;   /**< channels: sealed blocks after which a new mask is made; 0: never */
	int recover;   /**< tokens: ABI_RECOVER_* */
	int refine;    /**< tokens: rounds of selection by what recovery loses */
	int seed;      /**< tokens: of draws */
	float filled;  /**< tokens: ABI_RECOVER_CONST's constant */
	bool squared;  /**< tokens: saliency = strength * value squared */
};

/** A row by ABI_PRUNE_*: what pruning K means to kernels and to the local memory that they need. */
struct clkv__prune_kind {
	struct clkv__kernel_file kernel; /**< chooses channels and writes sections; no file: none */
	bool drops; /**< a block lacks rows of K, and queries lose the same channels */
	bool
		holes; /**< each token lacks channels of its own: rows of K are made whole before they are multiplied */
};

const struct clkv__prune_kind *clkv__prune_kind_of(const struct clkv__prune *prune);

/** What a codec stores: rows of K, those that have units of their own, channels of V. */
struct clkv__kept {
	int k_rows, k_channels, v_cols;
};

/** Channels that a share of dim means: the nearest number. */
static inline int clkv__prune_round(float share, int dim)
{
	return (int)((double)share * dim + 0.5);
}

struct clkv__kept clkv__prune_kept(const struct clkv__prune *prune,
                                   const struct clkv__shape *shape);

/** Whether tokens lack channels of K. */
static inline bool clkv__prunes_k(const struct clkv__prune *prune)
{
	return prune->kind != ABI_PRUNE_NONE;
}

static inline bool clkv__prunes(const struct clkv__prune *prune)
{
	return clkv__prunes_k(prune) || prune->lacking_v > 0;
}

/** Bytes that a block of so many tokens begins with, a multiple of 16; 0 if nothing is pruned. */
uint32_t clkv__prune_bytes(const struct clkv__prune *prune, const struct clkv__shape *shape,
                           int block);

/** The fewest channels that a token keeps. */
int clkv__prune_least(const struct clkv__prune *prune, int dk);

/** Bytes of a section while it is made, with the signs that a grouped block has elsewhere. */
uint32_t clkv__prune_room(const struct clkv__prune *prune, const struct clkv__shape *shape,
                          int block);

/** Bytes of the kept values and signs of a grouped block, from its section. */
uint32_t clkv__prune_grouped_bytes(const struct clkv__prune *prune, const struct clkv__shape *shape,
                                   int block, const unsigned char *section, uint32_t *values);

/** The macros of its device half; none if nothing is pruned. section: the largest of the recipe's. */
void clkv__prune_macros(const struct clkv__prune *prune, const struct clkv__shape *shape,
                        uint32_t section, clkv__macros *macros);

/** What speed depends on, such as "-t32fit"; "" if nothing is pruned. */
void clkv__prune_label(const struct clkv__prune *prune, char *text, size_t n);

/** What in a block's section is wrong, from whatever source it came, or NULL: kernels find the places of values by
 *  its masks, and its numbers must be numbers. */
const char *clkv__prune_check(const struct clkv__prune *prune, const struct clkv__shape *shape,
                              int block, const unsigned char *section);

/** Zeroes what the device never wrote. */
void clkv__prune_tidy(const struct clkv__prune *prune, const struct clkv__shape *shape, int block,
                      unsigned char *section);

#endif
