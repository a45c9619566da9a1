/* SPDX-License-Identifier: MIT */
/**
 * \file    chunk.h
 * \brief   A chunk as it lies in a store: what it claims to be, then a file of clkv (doc/share.md has it byte by byte).
 */
#ifndef SHARE_CHUNK_H
#define SHARE_CHUNK_H

#include "share/blob.h"
#include "share/key.h"

#include <clkv/share.h>

/** Bytes in front of the note and the file. */
enum { SHARE_CHUNK_HEAD = 88 };

enum share_kind {
	SHARE_CHUNK = 1, /**< one of many, its blocks sealed */
	SHARE_END = 2    /**< what was left of a text */
};

struct share_chunk {
	enum share_kind kind;
	uint32_t from, to; /**< tokens */
	struct share_key key;
	struct share_bytes
		note; /**< the caller's of the text, or none; its data doesn't matter to share_chunk_seal */
	struct share_bytes file;
};

/** Writes the head into the first SHARE_CHUNK_HEAD bytes of a blob, of the note and the file behind them. */
void share_chunk_seal(const struct share_chunk *chunk, struct share_blob *blob);

/** Looks at bytes from a store: whether they are a whole chunk with that key. */
clkv_share_state share_chunk_open(const void *data, size_t size, const struct share_key *key,
                                  struct share_chunk *out);

/** Whether a chunk's file has the shape and the recipe of another file of clkv, of any tokens. */
bool share_chunk_like(const struct share_chunk *chunk, const struct share_blob *like);

/** Copies the recipe of its file, or "". */
void share_chunk_recipe(const struct share_chunk *chunk, char *text, size_t n);

#endif
