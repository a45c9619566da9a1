/* SPDX-License-Identifier: MIT */
/**
 * \file    bpe.h
 * \brief   Byte-pair merges: a vocabulary with ranked pairs, and the merging of one piece.
 */
#ifndef BPE_H
#define BPE_H

#include "gguf.h"

struct bpe {
	struct gguf_string *tokens; /**< [n_tokens] */
	size_t n_tokens;
	int32_t *by_text; /**< hash table of token ids, -1 for empty */
	size_t text_mask;
	struct bpe_merge *merges; /**< hash table by (left, right), left -1 for empty */
	size_t merge_mask;
	struct bpe_symbol *symbols; /**< scratch of bpe_merge_piece */
	struct bpe_candidate *heap;
	size_t capacity;
};

/** Both arrays are of strings; a merge is two tokens with a blank between, by rank. Merges that
 * name something that is no token are passed over: they can never apply. */
bool bpe_init(struct bpe *bpe, const struct gguf_value *tokens, const struct gguf_value *merges,
              struct tool_error *error);

void bpe_free(struct bpe *bpe);

/** The id of a token, or -1. */
int32_t bpe_find(const struct bpe *bpe, const char *text, size_t size);

/** Merges ids[0 .. n-1] in place, the lowest rank first, the leftmost among equals; returns how
 * many are left, or 0 when memory is short. O(n log n). */
size_t bpe_merge_piece(struct bpe *bpe, int32_t *ids, size_t n);

#endif
