/* SPDX-License-Identifier: MIT */
/** \file entropy.h \brief The entropy of codes. */
#ifndef CLKV__ENTROPY_H
#define CLKV__ENTROPY_H

#include <math.h>
#include <stddef.h>

/** Of n codes of a component, in bits; n > 0. */
static inline double clkv__entropy(const signed char *codes, size_t n)
{
	size_t counts[256] = {0};
	double bits = 0;
	for (size_t i = 0; i < n; i++)
		counts[(unsigned char)codes[i]]++;
	for (size_t i = 0; i < 256; i++)
		if (counts[i] > 0)
			bits += (double)counts[i] * log2((double)n / (double)counts[i]);
	return bits / (double)n;
}

#endif
