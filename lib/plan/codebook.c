/* SPDX-License-Identifier: MIT */
/** \file codebook.c \brief Codebook files: written, and distrusted when they are read. */
#include "plan/codebook.h"

#include "base/error.h"
#include "base/halves.h"
#include "base/hash.h"
#include "base/little_endian.h"

#include <string.h>

enum { MAGIC = 8, HEAD = MAGIC + 4 * CLKV__BOOK_WORDS + 8, CHECKSUM = 8 };

static const char *const word_names[CLKV__BOOK_WORDS] = {
	"version", "layers", "skip", "kv_heads", "head_dim_k", "codes", "wrope",
};

static void fill_words(const struct clkv__plan *plan, const struct clkv__shape *shape,
                       uint32_t words[CLKV__BOOK_WORDS])
{
	words[CLKV__BOOK_VERSION] = CLKV__CODEBOOK_VERSION;
	words[CLKV__BOOK_LAYERS] = (uint32_t)shape->layers;
	words[CLKV__BOOK_SKIP] = (uint32_t)plan->general.skip;
	words[CLKV__BOOK_KV_HEADS] = (uint32_t)shape->streams;
	words[CLKV__BOOK_DIM_K] = (uint32_t)shape->dk;
	words[CLKV__BOOK_CODES] = (uint32_t)plan->recall.codes;
	words[CLKV__BOOK_WROPE] = (uint32_t)plan->recall.distance;
}

static size_t n_heads(const struct clkv__plan *plan, const struct clkv__shape *shape)
{
	return (size_t)(shape->layers - plan->general.skip) * (size_t)shape->streams;
}

size_t clkv__codebook_bytes(const struct clkv__plan *plan, const struct clkv__shape *shape)
{
	size_t entries = n_heads(plan, shape) * (size_t)plan->recall.codes;
	return HEAD + entries * 2 * (size_t)shape->dk + CHECKSUM;
}

/* Who the codebook is for, before how long it must be: a word says more than a length. */
static clkv_status check_words(const struct clkv__plan *plan, const struct clkv__shape *shape,
                               const unsigned char *data, uint64_t model, clkv_error *error)
{
	uint32_t words[CLKV__BOOK_WORDS];
	fill_words(plan, shape, words);
	for (int i = 0; i < CLKV__BOOK_WORDS; i++) {
		uint32_t theirs = clkv__get32(data + MAGIC + 4 * i);
		if (theirs != words[i])
			CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT,
			          "the codebook's %s is %u; allowed: the cache's %u", word_names[i], theirs,
			          words[i]);
	}
	uint64_t theirs = clkv__get_le(data + MAGIC + 4 * CLKV__BOOK_WORDS, 8);
	if (theirs != model)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT,
		          "the codebook was trained for model %016llx; allowed: this one, %016llx",
		          (unsigned long long)theirs, (unsigned long long)model);
	return CLKV_OK;
}

clkv_status clkv__codebook_check(const struct clkv__plan *plan, const struct clkv__shape *shape,
                                 const void *file, size_t size, uint64_t model, clkv_error *error)
{
	const unsigned char *data = file;
	size_t want = clkv__codebook_bytes(plan, shape);
	if (size < HEAD + CHECKSUM || memcmp(data, CLKV__CODEBOOK_MAGIC, MAGIC) != 0)
		CLKV_FAIL(error, CLKV_ERROR_CORRUPT, "the codebook's %zu bytes don't begin as one does",
		          size);
	CLKV_TRY(check_words(plan, shape, data, model, error));
	if (size != want)
		CLKV_FAIL(error, CLKV_ERROR_CORRUPT, "the codebook has %zu bytes; its header says %zu",
		          size, want);
	if (clkv__hash(CLKV__HASH_START, data, size - CHECKSUM) !=
	    clkv__get_le(data + size - CHECKSUM, 8))
		CLKV_FAIL(error, CLKV_ERROR_CORRUPT, "the codebook's checksum is wrong");
	/* halves that are no numbers would make scores that are none */
	if (!clkv__halves_finite(data + HEAD, (size - HEAD - CHECKSUM) / 2))
		CLKV_FAIL(error, CLKV_ERROR_CORRUPT, "the codebook has entries that aren't finite");
	return CLKV_OK;
}

/* Where channel d of a head's entry lies on the device, in bytes. */
static size_t place(const struct clkv__plan *plan, const struct clkv__shape *shape, size_t head,
                    size_t code, size_t d)
{
	size_t book = (size_t)clkv__recall_book(&plan->recall, shape) * ABI_UNIT;
	size_t dk = (size_t)shape->dk;
	return head * book + 2 * ((code / ABI_TILE * dk + d) * ABI_TILE + code % ABI_TILE);
}

void clkv__codebook_unpack(const struct clkv__plan *plan, const struct clkv__shape *shape,
                           const void *file, unsigned char *books)
{
	const unsigned char *from = (const unsigned char *)file + HEAD;
	size_t heads = n_heads(plan, shape), codes = (size_t)plan->recall.codes;
	memset(books, 0, heads * clkv__recall_book(&plan->recall, shape) * ABI_UNIT);
	for (size_t h = 0; h < heads; h++)
		for (size_t c = 0; c < codes; c++)
			for (size_t d = 0; d < (size_t)shape->dk; d++, from += 2) {
				uint16_t half = (uint16_t)clkv__get_le(from, 2);
				memcpy(books + place(plan, shape, h, c, d), &half, 2);
			}
}

void clkv__codebook_pack(const struct clkv__plan *plan, const struct clkv__shape *shape,
                         const unsigned char *books, uint64_t model, void *file)
{
	unsigned char *data = file, *to = data + HEAD;
	uint32_t words[CLKV__BOOK_WORDS];
	size_t heads = n_heads(plan, shape), codes = (size_t)plan->recall.codes;
	fill_words(plan, shape, words);
	memcpy(data, CLKV__CODEBOOK_MAGIC, MAGIC);
	for (int i = 0; i < CLKV__BOOK_WORDS; i++)
		clkv__put32(data + MAGIC + 4 * i, words[i]);
	clkv__put_le(data + MAGIC + 4 * CLKV__BOOK_WORDS, model, 8);
	for (size_t h = 0; h < heads; h++)
		for (size_t c = 0; c < codes; c++)
			for (size_t d = 0; d < (size_t)shape->dk; d++, to += 2) {
				uint16_t half;
				memcpy(&half, books + place(plan, shape, h, c, d), 2);
				clkv__put_le(to, half, 2);
			}
	clkv__put_le(to, clkv__hash(CLKV__HASH_START, data, (size_t)(to - data)), CHECKSUM);
}
