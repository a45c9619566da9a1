/* SPDX-License-Identifier: MIT */
/**
 * \file    snapshot_look.c
 * \brief   Reads the header of a saved sequence (doc/file-format.md).
 */
#include "snapshot_look.h"

#include <string.h>

/* Words of the header behind the magic. */
enum { VERSION, RECIPE, LAYERS, KV_HEADS, DIM_K, DIM_V, LENGTH, TAIL, PAGES, FLAGS, WORDS };

/* Bytes of the magic; of a record's words and checksum, its contents left out; most tokens of a block. */
enum { MAGIC_BYTES = 8, RECORD_BYTES = 32 + 8, MOST_BLOCK = 128 };

/* As clkv_geometry has them. */
enum { MOST_LAYERS = 1024, MOST_HEADS = 65536 };

bool snapshot_is(const void *data, size_t size)
{
	static const char magic[] = "\x89"
								"CLKV\r\n\x1a";
	return size >= MAGIC_BYTES && memcmp(data, magic, MAGIC_BYTES) == 0;
}

/* Each record holds a block's tokens of one head at most, so records bound the length. */
static bool fits(const struct snapshot_look *look, size_t size, struct tool_error *error)
{
	const uint64_t heads = (uint64_t)look->layers * look->kv_heads;
	const uint64_t most = size / RECORD_BYTES / heads * MOST_BLOCK;
	return look->length <= most ||
	       tool_fail(error,
	                 "the snapshot claims %u tokens of %u layers, more than its %zu bytes can hold "
	                 "unless some were dropped, and none is converted whose recipe drops tokens",
	                 look->length, look->layers, size);
}

bool snapshot_look(const void *data, size_t size, struct snapshot_look *out,
                   struct tool_error *error)
{
	uint32_t words[WORDS];
	memset(out, 0, sizeof *out);
	if (!snapshot_is(data, size) || size < MAGIC_BYTES + sizeof words)
		return tool_fail(error, "the snapshot ends inside its header");
	memcpy(words, (const char *)data + MAGIC_BYTES, sizeof words);
	if (words[VERSION] != 1 && words[VERSION] != 2 && words[VERSION] != 5 && words[VERSION] != 6)
		return tool_fail(error, "the snapshot has version %u; 1, 2, 5 and 6 are known",
		                 words[VERSION]);
	if (words[RECIPE] < 1 || words[RECIPE] >= SNAPSHOT_RECIPE_BYTES ||
	    words[RECIPE] > size - MAGIC_BYTES - sizeof words)
		return tool_fail(error, "the snapshot's recipe has %u letters, not 1 to %d that it has",
		                 words[RECIPE], SNAPSHOT_RECIPE_BYTES - 1);
	if (words[LAYERS] < 1 || words[LAYERS] > MOST_LAYERS || words[KV_HEADS] < 1 ||
	    words[KV_HEADS] > MOST_HEADS)
		return tool_fail(error, "the snapshot has %u layers and %u KV heads; 1 to %d and 1 to %d",
		                 words[LAYERS], words[KV_HEADS], MOST_LAYERS, MOST_HEADS);
	out->layers = words[LAYERS];
	out->kv_heads = words[KV_HEADS];
	out->dim_k = words[DIM_K] & INT32_MAX;
	out->dim_v = words[DIM_V] & INT32_MAX;
	out->length = words[LENGTH];
	memcpy(out->recipe, (const char *)data + MAGIC_BYTES + sizeof words, words[RECIPE]);
	return fits(out, size, error);
}
