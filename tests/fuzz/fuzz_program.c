/* SPDX-License-Identifier: MIT */
/**
 * \file    fuzz_program.c
 * \brief   Any bytes as a cached program: not there, or what the header says, of this key.
 *
 * An odd first byte: the checksum, bytes 24 to 31 of the file, is made right.
 */
#include "fuzz.h"

#include "base/alloc.h"
#include "base/hash.h"
#include "program/cache_file.h"

#include <string.h>

enum { HEADER = 32, CHECKSUM_AT = 24 };

static const struct clkv__cache_key key = {.text = "device|driver|clkv|0123456789abcdef"};
static uint64_t taken;

/* A file of some bytes may not make the library ask for many. */
static void *take(void *opaque, size_t size)
{
	(void)opaque;
	taken += size;
	return malloc(size);
}

static void give(void *opaque, void *memory)
{
	(void)opaque;
	free(memory);
}

static void mend(uint8_t *file, size_t n)
{
	if (n < HEADER + strlen(key.text))
		return;
	uint64_t hash = clkv__hash(CLKV__HASH_START, file, CHECKSUM_AT);
	hash = clkv__hash(hash, file + HEADER, n - HEADER);
	memcpy(file + CHECKSUM_AT, &hash, sizeof hash);
}

static void read_program(uint8_t *file, size_t size)
{
	const clkv_allocator allocator = {.alloc = take, .free = give};
	unsigned char *binary = NULL;
	size_t n = 0;
	FILE *f = fmemopen(file, size, "rb");
	fuzz_require(f != NULL, "no memory");
	taken = 0;
	if (clkv__cache_file_read(f, size, &key, &allocator, &binary, &n)) {
		fuzz_require(n > 0 && n == size - HEADER - strlen(key.text), "a part is accepted");
		fuzz_require(memcmp(binary, file + size - n, n) == 0, "it isn't what the file holds");
		clkv__free(&allocator, binary);
	}
	fuzz_require(taken <= size, "more memory is taken than the file has bytes");
	fclose(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	uint8_t *file = malloc(size - 1);
	fuzz_require(file != NULL, "no memory");
	memcpy(file, data + 1, size - 1);
	if (data[0] & 1)
		mend(file, size - 1);
	read_program(file, size - 1);
	free(file);
	return 0;
}
