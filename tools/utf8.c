/* SPDX-License-Identifier: MIT */
/**
 * \file    utf8.c
 * \brief   UTF-8 by the table of the Unicode standard (3.9, table 3-7).
 */
#include "utf8.h"

#include <stdbool.h>

static size_t sequence_length(unsigned char first)
{
	if (first < 0x80)
		return 1;
	if (first >= 0xC2 && first <= 0xDF)
		return 2;
	if (first >= 0xE0 && first <= 0xEF)
		return 3;
	if (first >= 0xF0 && first <= 0xF4)
		return 4;
	return 0;
}

/* The second byte has a narrower range behind some first bytes. */
static bool second_fits(unsigned char first, unsigned char second)
{
	switch (first) {
	case 0xE0:
		return second >= 0xA0 && second <= 0xBF;
	case 0xED:
		return second >= 0x80 && second <= 0x9F;
	case 0xF0:
		return second >= 0x90 && second <= 0xBF;
	case 0xF4:
		return second >= 0x80 && second <= 0x8F;
	default:
		return second >= 0x80 && second <= 0xBF;
	}
}

size_t utf8_valid_length(const char *text, size_t size)
{
	const unsigned char *bytes = (const unsigned char *)text;
	size_t at = 0;
	while (at < size) {
		size_t n = sequence_length(bytes[at]);
		if (n == 0 || n > size - at || (n > 1 && !second_fits(bytes[at], bytes[at + 1])))
			return at;
		for (size_t i = 2; i < n; i++) {
			if ((bytes[at + i] & 0xC0) != 0x80)
				return at;
		}
		at += n;
	}
	return size;
}

size_t utf8_incomplete_tail(const char *text, size_t size)
{
	const unsigned char *bytes = (const unsigned char *)text;
	for (size_t back = 1; back <= 3 && back <= size; back++) {
		unsigned char byte = bytes[size - back];
		if ((byte & 0xC0) == 0x80)
			continue;
		return sequence_length(byte) > back ? back : 0;
	}
	return 0;
}
