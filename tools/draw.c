/* SPDX-License-Identifier: MIT */
/**
 * \file    draw.c
 * \brief   A generator of 64 bits of state.
 */
#include "draw.h"

uint64_t draw_next(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* The upper half of the random bits as a fraction of n. */
size_t draw_below(uint64_t *state, size_t n)
{
	return (size_t)((draw_next(state) >> 32) * (uint64_t)n >> 32);
}

void draw_order(uint64_t *state, size_t *order, size_t n)
{
	for (size_t i = 0; i < n; i++) { /* Fisher and Yates, inside out */
		size_t j = draw_below(state, i + 1);
		order[i] = order[j];
		order[j] = i;
	}
}
