/* SPDX-License-Identifier: MIT */
/**
 * \file    draw.h
 * \brief   Numbers drawn from a seed, the same on every machine.
 */
#ifndef DRAW_H
#define DRAW_H

#include <stddef.h>
#include <stdint.h>

/** Returns the next number of the generator SplitMix64 (Steele, Lea, Flood 2014). */
uint64_t draw_next(uint64_t *state);

/** Returns a number below n, which is at least 1 and far below 2^32. */
size_t draw_below(uint64_t *state, size_t n);

/** Puts 0 .. n - 1 into an order that is drawn: all orders alike likely. */
void draw_order(uint64_t *state, size_t *order, size_t n);

#endif
