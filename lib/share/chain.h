/* SPDX-License-Identifier: MIT */
/** \file chain.h \brief Where a text is cut into chunks, and their keys: each hashes the key before it and its own tokens. */
#ifndef SHARE_CHAIN_H
#define SHARE_CHAIN_H

#include "share/blob.h"
#include "share/fail.h"
#include "share/key.h"

/** Chunk i holds tokens [share_chain_at(i), share_chain_at(i + 1)). */
struct share_chain {
	size_t first,
		step; /**< the first chunk has so many tokens more than the others; tokens of these */
	size_t n; /**< whole chunks of the text */
	struct share_key *keys; /**< [n + 1] of the chunks; of what is left of this very text */
};

/** Tokens of a chunk, at least; more where a recipe's blocks don't divide them. */
enum { SHARE_CHUNK_TOKENS = 256 };

size_t share_chain_at(const struct share_chain *chain, size_t i);

/** The number of the chunk that ends at a token, from 1; 0 for token 0; SIZE_MAX: none does. */
size_t share_chain_index(const struct share_chain *chain, size_t token);

/** What the first key hashes in place of another: the caller's number of the model, and a file of clkv without tokens, which has
 *  its own format's version, the shape, the recipe in full, and by what rows were turned. */
struct share_key share_chain_root(uint64_t model, const struct share_blob *empty);

clkv_status share_chain_make(const struct share_key *root, const clkv_ranges *ranges,
                             const int32_t *tokens, size_t n_tokens, struct share_chain *chain,
                             clkv_error *error);
void share_chain_free(struct share_chain *chain);

#endif
