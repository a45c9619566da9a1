/* SPDX-License-Identifier: MIT */
/**
 * \file    factors.h
 * \brief   Factors of K and V in a file: what rows are multiplied with to become latents, and latents to become rows.
 *
 * A file (given_file.h) with CLKV__FACTORS_MAGIC and words of enum clkv__factors_word holds for each layer and KV head four
 * matrices, f32: K's A [head_dim_k][rank_k] and B [rank_k][head_dim_k], V's A [head_dim_v][rank_v] and B [rank_v][head_dim_v].
 * A recipe of a lower rank takes the first columns of A and the first rows of B. cl/base/latents.clh says what they do, and
 * dictionary.h what ranks above the head size are for.
 */
#ifndef CLKV__FACTORS_H
#define CLKV__FACTORS_H

#include "plan/plan.h"

#define CLKV__FACTORS_MAGIC                                                                        \
	"\x89"                                                                                         \
	"CLKF\r\n\x1a"
#define CLKV__FACTORS_VERSION 1

/** The largest magnitude of an entry: sums of 256 products with halves stay far within f32. */
#define CLKV__FACTORS_MOST 1e6f

/** The largest rank of a file, that of a dictionary: blocks number atoms in 16 bits. */
#define CLKV__FACTORS_RANK 65536

enum clkv__factors_word {
	CLKV__FACTORS_WORD_VERSION,
	CLKV__FACTORS_LAYERS,
	CLKV__FACTORS_KV_HEADS,
	CLKV__FACTORS_DIM_K,
	CLKV__FACTORS_DIM_V,
	CLKV__FACTORS_ROPE, /**< clkv_rope_kind of the keys; 0: nobody said */
	CLKV__FACTORS_RANK_K,
	CLKV__FACTORS_RANK_V,
	CLKV__FACTORS_WORDS
};

/** Device bytes of the factors of all of the shape's layers, at these ranks. */
uint64_t clkv__factors_device_bytes(const struct clkv__shape *shape,
                                    const struct clkv__latents *ranks);

/** Bytes of a file for this shape with these ranks. */
uint64_t clkv__factors_bytes(const struct clkv__shape *shape, const struct clkv__latents *ranks);

/** Whether data holds factors for this shape and this model, undamaged, of at least these ranks.
 *  Errors: CORRUPT (what is damaged), INVALID_ARGUMENT (there is none; what it is for, and what is asked for). */
clkv_status clkv__factors_check(const struct clkv__shape *shape, const struct clkv__latents *least,
                                const void *data, size_t size, uint64_t model, clkv_error *error);

/** The ranks of a checked file, and the first of its entries. */
struct clkv__latents clkv__factors_ranks(const void *data);
const unsigned char *clkv__factors_first(const void *data);

/** From a checked file, of all of the model's layers, to the device's order at these ranks: those of the shape. */
void clkv__factors_unpack(const struct clkv__shape *shape, const struct clkv__latents *ranks,
                          const void *data, float *factors);

/** A file, clkv__factors_bytes of it; factors: of these ranks. */
void clkv__factors_pack(const struct clkv__shape *shape, const struct clkv__latents *ranks,
                        const clkv_factors *factors, uint64_t model, void *data);

#endif
