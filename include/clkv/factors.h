/* SPDX-License-Identifier: MIT */
/** \file clkv/factors.h \brief What turns rows of K and V into fewer numbers, and back, for recipes with latents or csr. */
#ifndef CLKV_FACTORS_H
#define CLKV_FACTORS_H

#include "file.h"
#include "geometry.h"

CLKV_BEGIN_DECLS

/** Arrays of factors, of [heads] = [layers][kv_heads], or of [layers][groups] of KV heads. A row x of a KV head, keys behind
 *  RoPE, is sealed as its latents z = x down, and z up stands for it. Columns of down and rows of up come with those that
 *  matter most first: a recipe of a lower rank takes the first ones. Heads of lower rank than others have zeros behind. lowrank
 *  and cskv take ranks up to the head size.
 *  For csr they are a dictionary of as many atoms: a row becomes a sum of a few rows of up, chosen by its products with columns
 *  of down, each of which has the product 1 with its row of up, in each of the recipe's chunks of channels.
 *  With heads_k or heads_v, or before_rope, factors are of groups (lorc, recalkv, and lowrank with these keys): groups of heads_k KV
 *  heads that follow each other in the layer's order have one row of K, their heads' side by side, whose latents they share; V the
 *  same by heads_v. A recipe of rank r takes the first heads_k * r of a group's latents. before_rope: keys are those in front of
 *  RoPE, which geometry.rope undoes.
 *  With share, groups are of as many layers that follow each other (clla, and lowrank with share): a row is that of heads_k
 *  heads of the first of them, then of the next and so on. [groups] is [layers / share][kv_heads / heads_k], widths and latents
 *  share times as many. For clla, rows of down that aren't the first layer's are 0. */
typedef struct clkv_factors {
	size_t struct_size;
	int rank_k,
		rank_v; /**< 1 to 65536; of groups up to their width, heads_k * head_dim_k and heads_v * head_dim_v */
	const float *
		k_down; /**< [heads][head_dim_k][rank_k]; of groups [groups][heads_k * head_dim_k][rank_k]. Entries of all
	                          four: -1e6 to 1e6 */
	const float *k_up;   /**< [heads][rank_k][head_dim_k]; [groups][rank_k][heads_k * head_dim_k] */
	const float *v_down; /**< [heads][head_dim_v][rank_v]; [groups][heads_v * head_dim_v][rank_v] */
	const float *v_up;   /**< [heads][rank_v][head_dim_v]; [groups][rank_v][heads_v * head_dim_v] */
	int heads_k, heads_v; /**< KV heads of a group; they divide kv_heads; 0: 1 */
	int before_rope;      /**< 0: keys as the cache has them; 1: as they were in front of RoPE */
	const int *
		order_k; /**< [layers][kv_heads] KV heads in the order of their groups; NULL: as they are numbered */
	const int *order_v; /**< the same of V */
	int share;          /**< layers that have latents together; they divide the model's; 0: 1 */
} clkv_factors;

/** Writes a factors file, for clkv_cache_options.factors of caches with latents or csr. model: any number that tells the
 *  model's weights from others'. doc/file-format.md describes the bytes. Any thread; waits for write alone. Errors:
 *  INVALID_ARGUMENT (an array is NULL; a rank or number of heads, and what is allowed), CORRUPT (names the head or group with an
 *  entry that is too large or no number; an order that has a head twice), IO, NO_HOST_MEMORY. Since 0.1. */
CLKV_API clkv_status clkv_factors_write(const clkv_geometry *geometry, uint64_t model,
                                        const clkv_factors *factors, clkv_write_fn write,
                                        void *opaque, clkv_error *error);

CLKV_END_DECLS

#endif
