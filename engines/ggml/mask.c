/* SPDX-License-Identifier: MIT */
#include "mask.h"

enum { MINUS_INFINITY = 0xfc00, SIGN = 0x8000 };

int mask_row_is_causal(const uint16_t *row, size_t n, size_t n_seen)
{
	if (n_seen > n)
		return 0;
	uint16_t seen = 0, hidden = 0;
	for (size_t i = 0; i < n_seen; i++)
		seen = (uint16_t)(seen | row[i]);
	for (size_t i = n_seen; i < n; i++)
		hidden = (uint16_t)(hidden | (row[i] ^ MINUS_INFINITY));
	return !(seen & (SIGN - 1)) && !hidden;
}
