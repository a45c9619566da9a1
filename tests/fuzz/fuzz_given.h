/* SPDX-License-Identifier: MIT */
/** \file fuzz_given.h \brief Inputs of targets that read files given with a cache's options: a byte of switches, then the file. */
#ifndef FUZZ_GIVEN_H
#define FUZZ_GIVEN_H

#include "base/hash.h"
#include "base/little_endian.h"
#include "fuzz.h"

#include <string.h>

/** Hands read() a copy of the file in an input, its last 8 bytes made the checksum where the switch says so. */
static inline void fuzz_given_file(const uint8_t *data, size_t size,
                                   void (*read)(const uint8_t *file, size_t n))
{
	if (size < 2)
		return;
	size_t n = size - 1;
	uint8_t *file = malloc(n);
	fuzz_require(file != NULL, "no memory");
	memcpy(file, data + 1, n);
	if (data[0] & 1 && n >= 8)
		clkv__put_le(file + n - 8, clkv__hash(CLKV__HASH_START, file, n - 8), 8);
	read(file, n);
	free(file);
}

/** The last file that was written. */
struct fuzz_written {
	uint8_t *bytes;
	size_t room, n;
};

/** A clkv_write_fn whose opaque is that: files come whole. */
static inline size_t fuzz_write(void *opaque, const void *data, size_t size)
{
	struct fuzz_written *w = (struct fuzz_written *)opaque;
	fuzz_require(size <= w->room, "more than a file is written");
	memcpy(w->bytes, data, size);
	w->n = size;
	return size;
}

#endif
