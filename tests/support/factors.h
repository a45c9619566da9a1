/* SPDX-License-Identifier: MIT */
/** \file factors.h \brief Factors of K and V, and files of them for recipes with latents or csr. */
#ifndef TEST_FACTORS_H
#define TEST_FACTORS_H

#include "memory_file.h"

#include <stdbool.h>

/** What a head's factors are: down [dim][rank], up [rank][dim]. */
enum factors_kind {
	FACTORS_PART,       /**< the first channels */
	FACTORS_ORTHOGONAL, /**< orthonormal columns, each head's own; up is down turned over */
	FACTORS_ATOMS,      /**< random atoms of length 1, or 1 in each chunk: dictionary_make */
	FACTORS_SCALED /**< such columns times 0.5 to 2, and rows divided by it: up times down is the identity */
};

/** Whose rows have latents together. */
struct factors_groups {
	size_t heads_k, heads_v;
	bool before;        /**< keys in front of RoPE */
	const int *k_order; /**< [layers][kv_heads], or NULL */
	size_t share;       /**< layers; 0: 1 */
	bool first;         /**< latents are of the first of these layers alone */
};

/** Of all (layer, KV head), or of groups: as clkv_factors_write takes them, and the file. */
struct factors {
	size_t heads, dk, dv, rank_k,
		rank_v; /**< heads: or groups of K and of V, dk, dv: widths of these */
	float *k_down, *k_up, *v_down, *v_up;
	struct memory_file file; /**< for model 0 */
};

void factors_make(struct factors *f, const clkv_geometry *geometry, enum factors_kind kind,
                  size_t rank_k, size_t rank_v, uint64_t seed);
/** The same of groups, ranks: theirs. FACTORS_PART: their heads' first channels, in turns. */
void factors_make_groups(struct factors *f, const clkv_geometry *geometry, enum factors_kind kind,
                         const struct factors_groups *groups, size_t rank_k, size_t rank_v,
                         uint64_t seed);

void factors_free(struct factors *f);

/** Whether a recipe asks for a file of factors; for latents; and of which groups of heads, if of any. */
bool factors_are_asked(const char *recipe);
bool factors_latents_are_asked(const char *recipe);
bool factors_groups_of(const clkv_geometry *geometry, const char *recipe,
                       struct factors_groups *groups);

/** A dictionary for a recipe with csr: as many atoms and chunks as it says. */
void dictionary_make(struct factors *f, const clkv_geometry *geometry, const char *recipe,
                     uint64_t seed);

/** The file alone that a recipe asks for: a dictionary, or full ranks, FACTORS_SCALED, of groups if it has some. */
struct memory_file factors_file(const clkv_geometry *geometry, const char *recipe, uint64_t seed);

/** clkv_cache_create with that file, or none, ends in `want`, whose error has the text; there is no cache. */
void factors_expect_no_cache(const clkv_geometry *geometry, const char *recipe,
                             const struct memory_file *file, uint64_t model, clkv_status want,
                             const char *text);

/** The same of that file with another word at a place, and the checksum that it should have then; afterwards it's as it was. */
void factors_expect_foreign(const clkv_geometry *geometry, const char *recipe,
                            struct memory_file *file, size_t at, uint32_t theirs, clkv_status want,
                            const char *text);

#endif
