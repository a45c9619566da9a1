/* SPDX-License-Identifier: MIT */
/**
 * \file    ref_bounded.h
 * \brief   Error-bounded codes of one side of a block from their definition, in double precision.
 *
 * The values of a unit share a minimum m and a step s: code = rint((x - m) / s), value' = m + s * code.
 * With R = max - min over the unit, s is rel * R (or 2 * abs) in single precision, its last 16 bits
 * cut off (bfloat16, towards zero); 0 if R is 0. So |value' - x| <= s / 2 <= rel * R / 2 (or abs).
 * Cutting makes s smaller by less than 2^-7 of it, so rel needs N = floor((1 + 2^-7) / rel + 1/2) + 1
 * symbols. abs has 256; a side with a unit that needs more stays in half.
 */
#ifndef REF_BOUNDED_H
#define REF_BOUNDED_H

#include <stdbool.h>
#include <stddef.h>

enum ref_unit {
	REF_UNIT_CHANNEL, /**< one channel over the block's tokens */
	REF_UNIT_TOKEN,   /**< one token over the channels */
	REF_UNIT_BLOCK    /**< all of the side */
};

struct ref_bounded {
	enum ref_unit unit;
	double rel; /**< of the unit's range; 0: abs counts */
	double abs;
};

/** What the codec makes of one value. */
struct ref_bounded_value {
	double m, s;
	double s_low,
		s_high;   /**< s is one of these: they differ if single precision may cut either way */
	double exact; /**< (x - m) / s; 0 if s is 0 */
	int code;
	double value;   /**< m + s * code */
	double promise; /**< |value - x| is at most this */
};

/** Symbols of the alphabet: codes are below. */
int ref_bounded_symbols(const struct ref_bounded *b);

/** Encodes x [n_tokens][dim], halves, of one head; false: the side stays in half. */
bool ref_bounded_encode(const struct ref_bounded *b, size_t n_tokens, size_t dim, const double *x,
                        struct ref_bounded_value *values);

#endif
