/* SPDX-License-Identifier: MIT */
/** \file codebook.c \brief Codebook files: written, and distrusted when they are read. */
#include "plan/codebook.h"

#include "base/error.h"
#include "base/halves.h"
#include "base/little_endian.h"
#include "plan/given_file.h"

#include <string.h>

enum { HEAD = CLKV__GIVEN_HEAD(CLKV__BOOK_WORDS), CHECKSUM = CLKV__GIVEN_CHECKSUM };

static const char *const word_names[CLKV__BOOK_WORDS] = {
	"version", "layers", "skip", "kv_heads", "head_dim_k", "codes", "wrope",
};

static const struct clkv__given_kind codebook_kind = {
	.name = "the codebook",
	.made = "was trained for",
	.magic = CLKV__CODEBOOK_MAGIC,
	.words = word_names,
	.n_words = CLKV__BOOK_WORDS,
	.unknown = -1,
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

clkv_status clkv__codebook_check(const struct clkv__plan *plan, const struct clkv__shape *shape,
                                 const void *file, size_t size, uint64_t model, clkv_error *error)
{
	const unsigned char *data = file;
	uint32_t words[CLKV__BOOK_WORDS];
	fill_words(plan, shape, words);
	CLKV_TRY(clkv__given_check(&codebook_kind, words, file, size, clkv__codebook_bytes(plan, shape),
	                           model, error));
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
	uint32_t words[CLKV__BOOK_WORDS];
	size_t heads = n_heads(plan, shape), codes = (size_t)plan->recall.codes;
	fill_words(plan, shape, words);
	unsigned char *to = clkv__given_begin(&codebook_kind, words, model, file);
	for (size_t h = 0; h < heads; h++)
		for (size_t c = 0; c < codes; c++)
			for (size_t d = 0; d < (size_t)shape->dk; d++, to += 2) {
				uint16_t half;
				memcpy(&half, books + place(plan, shape, h, c, d), 2);
				clkv__put_le(to, half, 2);
			}
	clkv__given_end(file, to);
}
