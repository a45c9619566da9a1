/* SPDX-License-Identifier: MIT */
/**
 * \file    rope.h
 * \brief   What RoPE does to a pair of channels, as numbers that are exact at any position.
 *
 * A pair's angle per position is kept as a fraction of a full turn in units of 2^-64, so that the angle at
 * position p is the product of two integers, which wraps around where the circle does. It lies within
 * p * 2^-53 turns of the formula's, less than the rounding of a float for every position there can be.
 */
#ifndef CLKV__ROPE_H
#define CLKV__ROPE_H

#include "base/macros.h"

#include <clkv.h>
#include <stdbool.h>

/** Most pairs of channels of a head. */
enum { CLKV__ROPE_MOST = 128 };

/** Checks a caller's rope for heads of dk channels, names the field that is wrong, and fills in defaults; what
 *  it has filled in passes unchanged. factors stays the caller's. */
clkv_status clkv__rope_read(clkv_rope *rope, int dk, clkv_error *error);

/* The functions below take ropes that have been read. */

/** Device bytes of the turns; 0: there is no rope. */
size_t clkv__rope_bytes(const clkv_rope *rope);

/** turns [dims / 2]: of each pair, by one position. */
void clkv__rope_turns(const clkv_rope *rope, cl_ulong *turns);

/** The two channels of a head [dk] that pair i turns. */
static inline void clkv__rope_pair(const clkv_rope *rope, int i, float *head, float **first,
                                   float **second)
{
	bool pairs = rope->kind == CLKV_ROPE_PAIRS;
	*first = &head[pairs ? 2 * i : i];
	*second = *first + (pairs ? 1 : rope->dims / 2);
}

/** Rotates a head [dk] on the host, as cl/base/rope.clh does. */
void clkv__rope_rotate(const clkv_rope *rope, const cl_ulong *turns, uint32_t position,
                       float *head);

/** What rotated channels are multiplied by. */
float clkv__rope_magnitude(const clkv_rope *rope);

/** The macros of cl/base/rope.clh; none if the library doesn't rotate, unless the kernel does in any case. */
void clkv__rope_macros(const clkv_rope *rope, bool always, clkv__macros *macros);

#endif
