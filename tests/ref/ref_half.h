/* SPDX-License-Identifier: MIT */
/**
 * \file    ref_half.h
 * \brief   Half and bfloat16 in plain C, bit by bit, and what a cache stores of a value.
 */
#ifndef REF_HALF_H
#define REF_HALF_H

#include <stdint.h>

#define REF_HALF_MAX 65504.0
/** Half an ulp of a normal half, relative: 2^-11. And of a subnormal, absolute: 2^-25. */
#define REF_HALF_EPS 0x1p-11
#define REF_HALF_TINY 0x1p-25

double ref_from_half(uint16_t bits);
/** Nearest, ties to even; beyond the largest half: infinity. NaN stays a NaN. */
uint16_t ref_to_half(double x);

double ref_from_bfloat(uint16_t bits);
uint16_t ref_to_bfloat(double x);

/** The value of x after it went through half. */
double ref_half(double x);

/** What append keeps of x: NaN becomes 0; infinity and beyond half become +-65504; else its half. */
double ref_stored(double x);

#endif
