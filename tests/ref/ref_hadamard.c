/* SPDX-License-Identifier: MIT */
/** \file ref_hadamard.c \brief The matrix product, entry by entry. */
#include "ref_hadamard.h"

#include <math.h>

static int odd_bits(size_t x)
{
	int odd = 0;
	for (; x; x &= x - 1)
		odd = !odd;
	return odd;
}

void ref_hadamard(size_t n, const double *x, double *y)
{
	for (size_t i = 0; i < n; i++) {
		y[i] = 0.0;
		for (size_t j = 0; j < n; j++)
			y[i] += odd_bits(i & j) ? -x[j] : x[j];
		y[i] /= sqrt((double)n);
	}
}
