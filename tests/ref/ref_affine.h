/* SPDX-License-Identifier: MIT */
/**
 * \file    ref_affine.h
 * \brief   Integer codes of one block from their definition, in double precision.
 *
 * A group shares a scale s and a minimum m, both half: value' = m + s * code, 0 <= code < 2^bits,
 * code = clamp(rint((value - m) / s)), m = min, s = (max - min) / (2^bits - 1).
 * cut: first max and min move towards each other, each by cut / 2 of max - min; symmetric: max |value| shrinks by cut of itself.
 * Symmetric: m = 0, s = max |value| / (2^(bits-1) - 1), -(2^(bits-1) - 1) <= code <= 2^(bits-1) - 1.
 */
#ifndef REF_AFFINE_H
#define REF_AFFINE_H

#include <stdbool.h>
#include <stddef.h>

enum ref_axis {
	REF_CHANNEL, /**< a scale spans `group` tokens of one channel */
	REF_TOKEN    /**< a scale spans `group` channels of one token */
};

struct ref_affine {
	int bits;
	enum ref_axis axis;
	int group;
	bool symmetric;
	double cut; /**< part of the range that codes leave out, 0 to 0.5 */
};

/** What the codec makes of one value. */
struct ref_code {
	double m, s;
	double s_low, s_high; /**< s rounds to one of these: they differ if it lies next to a tie */
	double m_low, m_high; /**< the same of m */
	double exact;         /**< (value - m) / s, not rounded and not clamped; 0 if s is 0 */
	int code;
	double value;    /**< m + s * code */
	double left_out; /**< by how much the farthest value lies outside what codes span */
	double bound;    /**< |value - original| is at most this */
};

/** Encodes x [n_tokens][dim], the tokens of one block, of one head. Groups begin at the block's first
 *  token and at channel 0; the last of a block or row may be shorter. */
void ref_affine_encode(const struct ref_affine *a, size_t n_tokens, size_t dim, const double *x,
                       struct ref_code *codes);

/** Bits of one value with its share of scales and minimums, for a full block. */
double ref_affine_bits(const struct ref_affine *a, size_t block, size_t dim);

#endif
