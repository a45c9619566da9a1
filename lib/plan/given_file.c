/* SPDX-License-Identifier: MIT */
/** \file given_file.c \brief The frame of files that come with a cache's options: written, and distrusted when read. */
#include "plan/given_file.h"

#include "base/error.h"
#include "base/hash.h"
#include "base/little_endian.h"

#include <string.h>

static clkv_status check_words(const struct clkv__given_kind *kind, const uint32_t *words,
                               const unsigned char *data, uint64_t model, clkv_error *error)
{
	for (int i = 0; i < kind->n_words; i++) {
		uint32_t theirs = clkv__get32(data + CLKV__GIVEN_MAGIC + 4 * i);
		if (i == kind->unknown && (theirs == 0 || words[i] == 0))
			continue;
		if (theirs != words[i])
			CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT, "%s's %s is %u; allowed: the cache's %u",
			          kind->name, kind->words[i], theirs, words[i]);
	}
	uint64_t theirs = clkv__get_le(data + CLKV__GIVEN_MAGIC + 4 * kind->n_words, 8);
	if (theirs != model)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT,
		          "%s %s model %016llx; allowed: this one, %016llx", kind->name, kind->made,
		          (unsigned long long)theirs, (unsigned long long)model);
	return CLKV_OK;
}

clkv_status clkv__given_check(const struct clkv__given_kind *kind, const uint32_t *words,
                              const void *file, size_t size, uint64_t want, uint64_t model,
                              clkv_error *error)
{
	const unsigned char *data = file;
	size_t least = (size_t)CLKV__GIVEN_HEAD(kind->n_words) + CLKV__GIVEN_CHECKSUM;
	if (size < least || memcmp(data, kind->magic, CLKV__GIVEN_MAGIC) != 0)
		CLKV_FAIL(error, CLKV_ERROR_CORRUPT, "%s's %zu bytes don't begin as one does", kind->name,
		          size);
	CLKV_TRY(check_words(kind, words, data, model, error));
	if (size != want)
		CLKV_FAIL(error, CLKV_ERROR_CORRUPT, "%s has %zu bytes; its header says %llu", kind->name,
		          size, (unsigned long long)want);
	if (clkv__hash(CLKV__HASH_START, data, size - CLKV__GIVEN_CHECKSUM) !=
	    clkv__given_checksum(data, size))
		CLKV_FAIL(error, CLKV_ERROR_CORRUPT, "%s's checksum is wrong", kind->name);
	return CLKV_OK;
}

uint64_t clkv__given_checksum(const void *data, size_t size)
{
	return clkv__get_le((const unsigned char *)data + size - CLKV__GIVEN_CHECKSUM,
	                    CLKV__GIVEN_CHECKSUM);
}

unsigned char *clkv__given_begin(const struct clkv__given_kind *kind, const uint32_t *words,
                                 uint64_t model, void *file)
{
	unsigned char *data = file;
	memcpy(data, kind->magic, CLKV__GIVEN_MAGIC);
	for (int i = 0; i < kind->n_words; i++)
		clkv__put32(data + CLKV__GIVEN_MAGIC + 4 * i, words[i]);
	clkv__put_le(data + CLKV__GIVEN_MAGIC + 4 * kind->n_words, model, 8);
	return data + CLKV__GIVEN_HEAD(kind->n_words);
}

void clkv__given_end(void *file, unsigned char *end)
{
	const unsigned char *data = file;
	clkv__put_le(end, clkv__hash(CLKV__HASH_START, data, (size_t)(end - data)),
	             CLKV__GIVEN_CHECKSUM);
}
