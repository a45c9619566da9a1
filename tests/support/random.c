/* SPDX-License-Identifier: MIT */
/** \file random.c \brief splitmix64 (Steele, Lea, Flood 2014) as a hash of places. */
#include "random.h"

#include <math.h>

static uint64_t scramble(uint64_t x)
{
	x ^= x >> 30;
	x *= 0xbf58476d1ce4e5b9u;
	x ^= x >> 27;
	x *= 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

uint64_t random_mix(uint64_t a, uint64_t b)
{
	return scramble(scramble(a + 0x9e3779b97f4a7c15u) ^ (b + 0x9e3779b97f4a7c15u) * 3u);
}

double random_uniform(uint64_t place)
{
	return (double)(scramble(place) >> 11) * 0x1p-53;
}

double random_normal(uint64_t place)
{
	double u = random_uniform(random_mix(place, 1)), v = random_uniform(random_mix(place, 2));
	return sqrt(-2.0 * log(1.0 - u)) * cos(6.283185307179586 * v);
}

size_t random_below(uint64_t place, size_t n)
{
	return (size_t)(random_uniform(place) * (double)n);
}

uint64_t random_next(uint64_t *state)
{
	*state += 0x9e3779b97f4a7c15u;
	return scramble(*state);
}
