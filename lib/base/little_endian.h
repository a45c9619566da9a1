/* SPDX-License-Identifier: MIT */
/** \file little_endian.h \brief Numbers in files: the lowest byte first, at any address. */
#ifndef CLKV__LITTLE_ENDIAN_H
#define CLKV__LITTLE_ENDIAN_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/** The lowest bytes of value, 1 to 8 of them. */
static inline void clkv__put_le(unsigned char *at, uint64_t value, int bytes)
{
	for (int i = 0; i < bytes; i++)
		at[i] = (unsigned char)(value >> 8 * i);
}

static inline uint64_t clkv__get_le(const unsigned char *at, int bytes)
{
	uint64_t value = 0;
	for (int i = 0; i < bytes; i++)
		value |= (uint64_t)at[i] << 8 * i;
	return value;
}

static inline void clkv__put32(unsigned char *at, uint32_t value)
{
	clkv__put_le(at, value, 4);
}

static inline uint32_t clkv__get32(const unsigned char *at)
{
	return (uint32_t)clkv__get_le(at, 4);
}

static inline float clkv__get_float(const unsigned char *at)
{
	uint32_t bits = clkv__get32(at);
	float value;
	memcpy(&value, &bits, sizeof value);
	return value;
}

/** n of them; returns where they end in the file. */
static inline const unsigned char *clkv__get_floats(const unsigned char *from, float *to, size_t n)
{
	for (size_t i = 0; i < n; i++, from += 4)
		to[i] = clkv__get_float(from);
	return from;
}

static inline unsigned char *clkv__put_floats(unsigned char *to, const float *from, size_t n)
{
	for (size_t i = 0; i < n; i++, to += 4) {
		uint32_t bits;
		memcpy(&bits, from + i, sizeof bits);
		clkv__put32(to, bits);
	}
	return to;
}

#endif
