/* SPDX-License-Identifier: MIT */
/**
 * \file    bounds.h
 * \brief   How far a right result may lie from the reference, from the formulas, never from what passed.
 *
 * u = 2^-24 is the rounding of one operation in single precision; gamma(n) = n u / (1 - n u) that of a
 * sum of n terms in any order, relative to the sum of their absolute values (Higham, 2002, 3.1).
 *
 * Attention. A logit is a sum of dk products, so it is off by at most
 *     e = gamma(dk + 4) A + 3 u |logit| <= gamma(dk + 8) A,  A = max over tokens of scale sum |q_i k_i|.
 * The library may fold scales and minimums of a codec into q: three terms for each product.
 * exp of it is off by e relatively, plus EXP_ULP u for the function itself (OpenCL: 3 ulp for exp, 8192
 * for the half_ functions, which aren't allowed; exp2 of x log2 e adds u |x| <= u 2 A). Numerator and
 * denominator take one such error each: weights are off by 2 (2 e + EXP_ULP u), relatively; the sums
 * over n tokens and splits add gamma(n + 64). So
 *     |out - exact| <= r sum p |v|,   r = 2 (gamma(dk + 8) A F + u (2 A + EXP_ULP)) + gamma(n + 64)
 * in every component, F = 1 for half and 3 for codes; and lse is off by at most r + u |lse|.
 */
#ifndef TEST_BOUNDS_H
#define TEST_BOUNDS_H

#include <clkv.h>
#include <stddef.h>

/** What the project promises: relative L2 error of attention over half rows, and over the decoded
 *  rows of integer codes. Both hold beside the derived bound, whatever that is. */
#define BOUND_ATTEND_HALF 1e-3
#define BOUND_ATTEND_CODES 1e-4
/** The same rows in another order of launches: the sums of single precision may part differently. */
#define BOUND_REORDER 1e-5
/** Values read back as f32 and computed as m + s code there: two roundings. */
#define BOUND_DECODE 0x1p-22

/** r of the head of this file. logit_abs is A; codes: scales and minimums are folded. */
double bound_attend(size_t dk, size_t n_tokens, double logit_abs, int codes);

/** What rounding to a type adds, relative to the value: u/2 of the type; 0 for f32 (in r). */
double bound_dtype(clkv_dtype type);

#endif
