/* SPDX-License-Identifier: MIT */
/**
 * \file    fuzz_share.c
 * \brief   Any bytes as a chunk of a store, or as a text that is cut into chunks.
 *
 * The first byte: bit 0 makes a chunk's key, sizes and checksums right; bit 1 says that the rest is a text: sinks, a block's
 * tokens less 1, then two bytes a token. A chunk that is taken lies within its bytes, and sealed anew is the same; a text's
 * chunks cover it in order, and have the keys that they have in a shorter text.
 */
#include "fuzz.h"

#include "base/hash.h"
#include "base/little_endian.h"
#include "share/chain.h"
#include "share/chunk.h"

#include <string.h>

/* Places in a chunk's head, as doc/share.md has them. */
enum { AT_SIZE = 24, AT_KEY = 32, AT_SUM = 72, AT_HEAD_SUM = 80 };

static void mend(uint8_t *chunk, size_t size)
{
	const uint8_t *body = chunk + SHARE_CHUNK_HEAD;
	size_t n = size - SHARE_CHUNK_HEAD;
	clkv__put_le(chunk + AT_SIZE, n, 8);
	clkv__put_le(chunk + AT_SUM, clkv__hash(CLKV__HASH_START, body, n), 8);
	clkv__put_le(chunk + AT_HEAD_SUM, clkv__hash(CLKV__HASH_START, chunk, AT_HEAD_SUM), 8);
}

/* Bytes of the same numbers, sealed by the library. */
static void check_sealed_anew(const struct share_chunk *chunk, const uint8_t *data, size_t size)
{
	struct share_blob blob = {.most = size};
	for (size_t at = 0, n; at < size; at += n) {
		n = size - at < 100 ? size - at : 100;
		fuzz_require(share_blob_write(&blob, data + at, n) == n, "a blob below its bound is full");
	}
	fuzz_require(share_blob_write(&blob, data, 1) == 0 && blob.full, "a blob exceeds its bound");
	memset(blob.data, 0, SHARE_CHUNK_HEAD);
	share_chunk_seal(chunk, &blob);
	fuzz_require(blob.size == size && memcmp(blob.data, data, size) == 0,
	             "sealed anew it is another chunk");
	share_blob_free(&blob);
}

static void check_whole(const struct share_chunk *chunk, const uint8_t *data, size_t size)
{
	char recipe[32];
	struct share_blob like = {.data = (unsigned char *)chunk->file.data, .size = chunk->file.size};
	struct share_blob empty = {.data = NULL};
	fuzz_require(chunk->kind == SHARE_CHUNK || chunk->kind == SHARE_END, "of no kind");
	fuzz_require(chunk->from < chunk->to, "without tokens");
	fuzz_require(chunk->note.data == data + SHARE_CHUNK_HEAD &&
	                 chunk->file.data == chunk->note.data + chunk->note.size &&
	                 chunk->file.data + chunk->file.size == data + size,
	             "its parts aren't its bytes");
	share_chunk_recipe(chunk, recipe, sizeof recipe);
	fuzz_require(strlen(recipe) < sizeof recipe, "a recipe without end");
	fuzz_require(!share_chunk_like(chunk, &empty), "like a file of no bytes");
	fuzz_require(recipe[0] == '\0' || share_chunk_like(chunk, &like), "not like itself");
	check_sealed_anew(chunk, data, size);
}

static void check_chunk(uint8_t *data, size_t size, bool mended)
{
	struct share_key key = {{0}};
	struct share_chunk chunk;
	if (mended && size >= SHARE_CHUNK_HEAD) {
		mend(data, size);
		memcpy(key.bytes, data + AT_KEY, SHARE_KEY_BYTES);
	}
	if (share_chunk_open(data, size, &key, &chunk) == CLKV_SHARE_WHOLE)
		check_whole(&chunk, data, size);
}

/* Of texts that begin alike, whole chunks have the same keys; what is left of each has its own. */
static void check_shorter(const struct share_chain *chain, const struct share_key *root,
                          const clkv_ranges *ranges, const int32_t *tokens, size_t n)
{
	struct share_chain shorter;
	fuzz_require(share_chain_make(root, ranges, tokens, n / 2, &shorter, NULL) == CLKV_OK,
	             "no memory");
	fuzz_require(shorter.n <= chain->n, "a shorter text has more chunks");
	fuzz_require(memcmp(shorter.keys, chain->keys, shorter.n * sizeof *chain->keys) == 0,
	             "a chunk has another key in a shorter text");
	for (size_t i = 0; i <= chain->n && n > 0; i++)
		fuzz_require(memcmp(&shorter.keys[shorter.n], &chain->keys[i], SHARE_KEY_BYTES) != 0,
		             "what is left of a text has a chunk's key");
	share_chain_free(&shorter);
}

static void check_text(const uint8_t *data, size_t size)
{
	clkv_ranges ranges = CLKV_INIT(clkv_ranges);
	const struct share_key root = {{1}};
	struct share_chain chain;
	if (size < 2)
		return;
	ranges.first = data[0];
	ranges.every = data[1] + 1u;
	size_t n = (size - 2) / 2;
	int32_t *tokens = calloc(n + 1, sizeof *tokens);
	fuzz_require(tokens != NULL, "no memory");
	for (size_t i = 0; i < n; i++)
		tokens[i] = data[2 + 2 * i] + 256 * data[3 + 2 * i] - 32768;
	fuzz_require(share_chain_make(&root, &ranges, tokens, n, &chain, NULL) == CLKV_OK, "no memory");
	fuzz_require(chain.step >= SHARE_CHUNK_TOKENS && chain.step % ranges.every == 0,
	             "chunks aren't whole blocks");
	for (size_t i = 0; i <= chain.n; i++) {
		fuzz_require(share_chain_at(&chain, i) <= n, "a chunk lies behind the text");
		fuzz_require(share_chain_index(&chain, share_chain_at(&chain, i)) == i,
		             "a chunk ends elsewhere");
	}
	check_shorter(&chain, &root, &ranges, tokens, n);
	share_chain_free(&chain);
	free(tokens);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	uint8_t *copy = malloc(size);
	fuzz_require(copy != NULL, "no memory");
	memcpy(copy, data + 1, size - 1);
	if (data[0] & 2)
		check_text(copy, size - 1);
	else
		check_chunk(copy, size - 1, data[0] & 1);
	free(copy);
	return 0;
}
