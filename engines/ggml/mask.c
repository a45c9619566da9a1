/* SPDX-License-Identifier: MIT */
#include "mask.h"

enum { MINUS_INFINITY = 0xfc00, SIGN = 0x8000 };

size_t mask_row_count(const uint16_t *row, size_t n)
{
	size_t count = 0;
	for (size_t i = 0; i < n; i++)
		count += !(row[i] & (SIGN - 1));
	return count;
}

int mask_row_shows(const uint16_t *row, size_t n, const uint32_t *since, uint32_t r, size_t n_seen)
{
	unsigned wrong = 0;
	size_t seen = 0;
	for (size_t i = 0; i < n; i++) {
		const int is_seen = since[i] <= r;
		seen += (size_t)is_seen;
		wrong |= is_seen ? row[i] & (SIGN - 1u) : row[i] ^ (unsigned)MINUS_INFINITY;
	}
	return !wrong && seen == n_seen;
}
