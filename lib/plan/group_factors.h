/* SPDX-License-Identifier: MIT */
/**
 * \file    group_factors.h
 * \brief   Factors of groups of KV heads in a file, and of keys in front of RoPE.
 *
 * A file (given_file.h) with CLKV__GROUP_FACTORS_MAGIC and words of enum clkv__group_factors_word holds for each layer
 *
 *     u32 [kv_heads]   K's order: heads_k heads that follow each other are a group
 *     u32 [kv_heads]   V's order, in groups of heads_v
 *     of each group of K f32 A [share * heads_k * head_dim_k][rank_k], B [rank_k][share * heads_k * head_dim_k]
 *     of each group of V the same with heads_v, head_dim_v and rank_v
 *
 * Of `share` layers that have latents together it holds their orders first, layer by layer, then the groups: each of heads_k heads of
 * every layer, whose rows lie side by side, the first layer's first.
 *
 * A group's row is its heads' rows side by side, in the order's. A recipe of rank r, which is a head's, takes the first heads * r
 * columns of A and rows of B; the head at place j of its group seals those from j * r on. cl/base/latents.clh says what they do.
 */
#ifndef CLKV__GROUP_FACTORS_H
#define CLKV__GROUP_FACTORS_H

#include "plan/plan.h"

#define CLKV__GROUP_FACTORS_MAGIC                                                                  \
	"\x89"                                                                                         \
	"CLKG\r\n\x1a"
#define CLKV__GROUP_FACTORS_VERSION 1
#define CLKV__GROUP_FACTORS_LAYERS 2 /* the version of files with `share` */

enum clkv__group_factors_word {
	CLKV__GROUP_WORD_VERSION,
	CLKV__GROUP_LAYERS,
	CLKV__GROUP_KV_HEADS,
	CLKV__GROUP_DIM_K,
	CLKV__GROUP_DIM_V,
	CLKV__GROUP_ROPE, /**< clkv_rope_kind of the keys; 0: nobody said, or none where they are in front of it */
	CLKV__GROUP_HEADS_K,
	CLKV__GROUP_HEADS_V,
	CLKV__GROUP_BEFORE, /**< 1: keys are those in front of RoPE */
	CLKV__GROUP_RANK_K, /**< of a group, up to its width */
	CLKV__GROUP_RANK_V,
	CLKV__GROUP_SHARE, /**< layers that have latents together; files of one layer's lack the word */
	CLKV__GROUP_WORDS
};

/** Whether a file's magic is this one. */
bool clkv__is_group_factors(const void *data, size_t size);

/** Device bytes of the factors of all of the shape's layers; ranks: of a head. */
uint64_t clkv__group_factors_device_bytes(const struct clkv__shape *shape,
                                          const struct clkv__latents *ranks,
                                          const struct clkv__groups *groups);

/** Bytes of a file; ranks: of a group. */
uint64_t clkv__group_factors_bytes(const struct clkv__shape *shape,
                                   const struct clkv__latents *ranks,
                                   const struct clkv__groups *groups);

/** Whether data holds factors of these groups for this shape and this model, undamaged, of at least these ranks of a head.
 *  Errors: CORRUPT (what is damaged), INVALID_ARGUMENT (what it is for, and what is asked for). */
clkv_status clkv__group_factors_check(const struct clkv__shape *shape,
                                      const struct clkv__latents *least,
                                      const struct clkv__groups *groups, const void *data,
                                      size_t size, uint64_t model, clkv_error *error);

/** From a checked file, of all of the model's layers, to the device's order at these ranks of a head: those of the shape. */
void clkv__group_factors_unpack(const struct clkv__shape *shape, const struct clkv__latents *ranks,
                                const struct clkv__groups *groups, const void *data,
                                float *factors);

/** A file, clkv__group_factors_bytes of it; factors: of these ranks of a group, with both orders. */
void clkv__group_factors_pack(const struct clkv__shape *shape, const struct clkv__latents *ranks,
                              const struct clkv__groups *groups, const clkv_factors *factors,
                              uint64_t model, void *data);

#endif
