/* SPDX-License-Identifier: MIT */
/** \file clkv/factors.h \brief What turns rows of K and V into fewer numbers, and back, for recipes with lowrank, cskv or csr. */
#ifndef CLKV_FACTORS_H
#define CLKV_FACTORS_H

#include "file.h"
#include "geometry.h"

CLKV_BEGIN_DECLS

/** Arrays of factors, [heads] of [layers][kv_heads]. A row x of a KV head, keys behind RoPE, is sealed as its latents
 *  z = x down, and z up stands for it. Columns of down and rows of up come with those that matter most first: a recipe of a
 *  lower rank takes the first ones. Heads of lower rank than others have zeros behind. lowrank and cskv take ranks up to the head size.
 *  For csr they are a dictionary of as many atoms: a row becomes a sum of a few rows of up, chosen by its products with columns of down,
 *  each of which has the product 1 with its row of up, in each of the recipe's chunks of channels. */
typedef struct clkv_factors {
	size_t struct_size;
	int rank_k, rank_v;  /**< 1 to 65536 */
	const float *k_down; /**< [heads][head_dim_k][rank_k]; entries of all four: -1e6 to 1e6 */
	const float *k_up;   /**< [heads][rank_k][head_dim_k] */
	const float *v_down; /**< [heads][head_dim_v][rank_v] */
	const float *v_up;   /**< [heads][rank_v][head_dim_v] */
} clkv_factors;

/** Writes a factors file, for clkv_cache_options.factors of caches with lowrank, cskv or csr. model: any number that tells the
 *  model's weights from others'. doc/file-format.md describes the bytes. Any thread; waits for write alone. Errors:
 *  INVALID_ARGUMENT (an array is NULL; a rank, and what is allowed), CORRUPT (names the head with an entry that is too large or
 *  no number), IO, NO_HOST_MEMORY. Since 0.1. */
CLKV_API clkv_status clkv_factors_write(const clkv_geometry *geometry, uint64_t model,
                                        const clkv_factors *factors, clkv_write_fn write,
                                        void *opaque, clkv_error *error);

CLKV_END_DECLS

#endif
