/* SPDX-License-Identifier: MIT */
/** \file halves.h \brief Halves that came from outside. */
#ifndef CLKV__HALVES_H
#define CLKV__HALVES_H

#include <stdbool.h>
#include <stddef.h>

/** Whether none of n halves is infinite or no number. */
static inline bool clkv__halves_finite(const unsigned char *halves, size_t n)
{
	bool finite = true;
	for (size_t i = 0; i < n; i++)
		finite &= (halves[2 * i + 1] & 0x7c) != 0x7c;
	return finite;
}

#endif
