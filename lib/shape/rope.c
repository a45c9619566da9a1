/* SPDX-License-Identifier: MIT */
/**
 * \file    rope.c
 * \brief   Frequencies, scaled and unscaled, and the turns that the device reads.
 *
 * Sources: RoPE (arXiv 2104.09864), position interpolation (arXiv 2306.15595), YaRN (arXiv 2309.00071), with
 * the rounding of YaRN's limits that its authors' code and GGUF's readers share.
 */
#include "shape/rope.h"

#include "../cl/base/abi.clh"

#include <math.h>

_Static_assert((int)CLKV_ROPE_NONE == ABI_ROPE_NONE && (int)CLKV_ROPE_HALVES == ABI_ROPE_HALVES &&
                   (int)CLKV_ROPE_PAIRS == ABI_ROPE_PAIRS,
               "kernels get kinds of rotation as callers name them");

#define TWO_PI 6.283185307179586476925286766559

size_t clkv__rope_bytes(const clkv_rope *rope)
{
	return rope->kind == CLKV_ROPE_NONE ? 0 : (size_t)rope->dims / 2 * sizeof(cl_ulong);
}

/* The pair, counted in real numbers, that turns so many times within the original tokens. */
static double pair_of(const clkv_rope *rope, double rotations)
{
	double tokens_per_turn = (double)rope->original / rotations;
	return rope->dims * log(tokens_per_turn / TWO_PI) / (2.0 * log((double)rope->base));
}

/* How much of a pair's frequency stays as it was: 1 up to the pair of beta_fast, 0 from that of beta_slow on. */
static double share_kept(const clkv_rope *rope, int pair)
{
	double low = fmax(0.0, floor(pair_of(rope, (double)rope->beta_fast)));
	double high = fmin(rope->dims - 1.0, ceil(pair_of(rope, (double)rope->beta_slow)));
	double at = (pair - low) / fmax(0.001, high - low);
	return (double)rope->ext_factor * (1.0 - fmin(1.0, fmax(0.0, at)));
}

/* Radians per position. */
static double frequency(const clkv_rope *rope, int pair)
{
	double f = pow((double)rope->base, -2.0 * pair / rope->dims);
	if (rope->factors)
		f /= (double)rope->factors[pair];
	if (rope->scaling == CLKV_ROPE_UNSCALED)
		return f;
	double kept = rope->scaling == CLKV_ROPE_YARN ? share_kept(rope, pair) : 0.0;
	return f * kept + f / (double)rope->factor * (1.0 - kept);
}

void clkv__rope_turns(const clkv_rope *rope, cl_ulong *turns)
{
	for (int i = 0; i < rope->dims / 2; i++) {
		double turn = frequency(rope, i) / TWO_PI;
		turns[i] = (cl_ulong)ldexp(turn - floor(turn), 64);
	}
}

void clkv__rope_rotate(const clkv_rope *rope, const cl_ulong *turns, uint32_t position, float *head)
{
	double magnitude = (double)clkv__rope_magnitude(rope);
	for (int i = 0; i < rope->dims / 2; i++) {
		float *first, *second;
		clkv__rope_pair(rope, i, head, &first, &second);
		/* the upper half of the turn, as a number of half turns from -1 to 1, rounded as on the device */
		float half = (float)(int32_t)(uint32_t)(position * turns[i] >> 32) * 0x1p-31f;
		double c = magnitude * cos(TWO_PI / 2 * (double)half);
		double s = magnitude * sin(TWO_PI / 2 * (double)half);
		double a = (double)*first, b = (double)*second;
		*first = (float)(a * c - b * s);
		*second = (float)(a * s + b * c);
	}
}

float clkv__rope_magnitude(const clkv_rope *rope)
{
	double yarn = rope->scaling == CLKV_ROPE_YARN ? 1.0 + 0.1 * log((double)rope->factor) : 1.0;
	return (float)((double)rope->attn_factor * yarn);
}

void clkv__rope_macros(const clkv_rope *rope, bool always, clkv__macros *macros)
{
	if (!rope->by_library && !always)
		return;
	clkv__macros_int(macros, "ROPE", rope->kind);
	clkv__macros_int(macros, "ROPE_DIMS", rope->dims);
	clkv__macros_int(macros, "ROPE_BY_LIBRARY", rope->by_library);
}
