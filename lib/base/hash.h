/* SPDX-License-Identifier: MIT */
/** \file hash.h \brief FNV-1a, 64 bits: names cache files and notices damage; no defence by itself. */
#ifndef CLKV__HASH_H
#define CLKV__HASH_H

#include <stddef.h>
#include <stdint.h>

#define CLKV__HASH_START UINT64_C(0xcbf29ce484222325)

static inline uint64_t clkv__hash(uint64_t hash, const void *data, size_t size)
{
	const unsigned char *p = data;
	for (size_t i = 0; i < size; i++)
		hash = (hash ^ p[i]) * UINT64_C(0x100000001b3);
	return hash;
}

#endif
