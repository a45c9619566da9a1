/* SPDX-License-Identifier: MIT */
/** \file chunk.c \brief Heads of chunks, written and distrusted. */
#include "share/chunk.h"

#include <string.h>

/* As PNG's: shows bytes that were cut to 7 bits, or whose line ends were changed. */
static const unsigned char magic[8] = {0x89, 'C', 'L', 'K', 'S', '\r', '\n', 0x1a};

enum { VERSION = 1 };

/* Where the head's parts lie. */
enum { AT_VERSION = 8, AT_KIND = 12, AT_FROM = 16, AT_TO = 20, AT_SIZE = 24, AT_KEY = 32 };
enum { AT_NOTE = 64, AT_SUM = 72, AT_HEAD_SUM = 80 };

/* Where a file of clkv says its shape and the length of its recipe (doc/file-format.md), and where that begins. */
enum { FILE_RECIPE_BYTES = 12, FILE_SHAPE = 16, FILE_SHAPE_END = 32, FILE_RECIPE = 48 };

/* FNV-1a, 64 bits: finds damage. */
static uint64_t checksum(const unsigned char *data, size_t size)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);
	for (size_t i = 0; i < size; i++)
		hash = (hash ^ data[i]) * UINT64_C(0x100000001b3);
	return hash;
}

static uint64_t get(const unsigned char *from, int bytes)
{
	uint64_t value = 0;
	for (int i = bytes; i-- > 0;)
		value = value << 8 | from[i];
	return value;
}

void share_chunk_seal(const struct share_chunk *chunk, struct share_blob *blob)
{
	unsigned char *head = blob->data;
	size_t size = blob->size - SHARE_CHUNK_HEAD;
	memcpy(head, magic, sizeof magic);
	share_number_put(head + AT_VERSION, VERSION, 4);
	share_number_put(head + AT_KIND, chunk->kind, 4);
	share_number_put(head + AT_FROM, chunk->from, 4);
	share_number_put(head + AT_TO, chunk->to, 4);
	share_number_put(head + AT_SIZE, size, 8);
	memcpy(head + AT_KEY, chunk->key.bytes, SHARE_KEY_BYTES);
	share_number_put(head + AT_NOTE, chunk->note.size, 8);
	share_number_put(head + AT_SUM, checksum(head + SHARE_CHUNK_HEAD, size), 8);
	share_number_put(head + AT_HEAD_SUM, checksum(head, AT_HEAD_SUM), 8);
}

/* Whether a head is whole, and the bytes behind it are as many as it says and those that it means. */
static bool is_whole(const unsigned char *head, size_t size, const struct share_key *key)
{
	return get(head + AT_HEAD_SUM, 8) == checksum(head, AT_HEAD_SUM) &&
	       memcmp(head + AT_KEY, key->bytes, SHARE_KEY_BYTES) == 0 &&
	       get(head + AT_SIZE, 8) == size - SHARE_CHUNK_HEAD &&
	       get(head + AT_NOTE, 8) <= size - SHARE_CHUNK_HEAD &&
	       get(head + AT_SUM, 8) == checksum(head + SHARE_CHUNK_HEAD, size - SHARE_CHUNK_HEAD);
}

clkv_share_state share_chunk_open(const void *data, size_t size, const struct share_key *key,
                                  struct share_chunk *out)
{
	const unsigned char *head = data;
	if (size < SHARE_CHUNK_HEAD || memcmp(head, magic, sizeof magic) != 0)
		return CLKV_SHARE_DAMAGED;
	if (get(head + AT_VERSION, 4) > VERSION)
		return CLKV_SHARE_NEWER;
	if (!is_whole(head, size, key))
		return CLKV_SHARE_DAMAGED;
	size_t note = (size_t)get(head + AT_NOTE, 8);
	*out = (struct share_chunk){
		.kind = (enum share_kind)get(head + AT_KIND, 4),
		.from = (uint32_t)get(head + AT_FROM, 4),
		.to = (uint32_t)get(head + AT_TO, 4),
		.key = *key,
		.note = {head + SHARE_CHUNK_HEAD, note, 0},
		.file = {head + SHARE_CHUNK_HEAD + note, size - SHARE_CHUNK_HEAD - note, 0},
	};
	if ((out->kind != SHARE_CHUNK && out->kind != SHARE_END) || out->from >= out->to)
		return CLKV_SHARE_DAMAGED;
	return CLKV_SHARE_WHOLE;
}

/* Bytes of a file's recipe, if all of it is there; else 0. */
static size_t recipe_bytes(const unsigned char *file, size_t size)
{
	uint64_t n = size > FILE_RECIPE ? get(file + FILE_RECIPE_BYTES, 4) : 0;
	return n <= size - FILE_RECIPE ? (size_t)n : 0;
}

bool share_chunk_like(const struct share_chunk *chunk, const struct share_blob *like)
{
	const unsigned char *file = chunk->file.data;
	size_t n = recipe_bytes(file, chunk->file.size);
	return n > 0 && n == recipe_bytes(like->data, like->size) &&
	       memcmp(file + FILE_SHAPE, like->data + FILE_SHAPE, FILE_SHAPE_END - FILE_SHAPE) == 0 &&
	       memcmp(file + FILE_RECIPE, like->data + FILE_RECIPE, n) == 0;
}

void share_chunk_recipe(const struct share_chunk *chunk, char *text, size_t n)
{
	size_t bytes = recipe_bytes(chunk->file.data, chunk->file.size);
	bytes = bytes < n ? bytes : n - 1;
	if (bytes > 0)
		memcpy(text, chunk->file.data + FILE_RECIPE, bytes);
	text[bytes] = '\0';
}
