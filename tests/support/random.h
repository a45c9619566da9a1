/* SPDX-License-Identifier: MIT */
/**
 * \file    random.h
 * \brief   Numbers that look random and depend on nothing but their seed and place.
 */
#ifndef TEST_RANDOM_H
#define TEST_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/** Mixes two words to one that has nothing to do with either. */
uint64_t random_mix(uint64_t a, uint64_t b);

/** The number of a place: [0, 1), normal with deviation 1, or a whole number below n. */
double random_uniform(uint64_t place);
double random_normal(uint64_t place);
size_t random_below(uint64_t place, size_t n);

/** A generator for loops: each call draws the next place. */
uint64_t random_next(uint64_t *state);

#endif
