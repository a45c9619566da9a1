/* SPDX-License-Identifier: MIT */
/** \file checked.h \brief Sums and products of sizes that say when they overflow; quotients rounded up. */
#ifndef CLKV__CHECKED_H
#define CLKV__CHECKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline bool clkv__checked_add(size_t a, size_t b, size_t *sum)
{
	*sum = a + b;
	return *sum >= a;
}

static inline bool clkv__checked_mul(size_t a, size_t b, size_t *product)
{
	*product = a * b;
	return a == 0 || *product / a == b;
}

/** a / b, rounded up; b > 0, and a + b doesn't overflow. */
static inline uint64_t clkv__ceil_div(uint64_t a, uint64_t b)
{
	return (a + b - 1) / b;
}

#endif
