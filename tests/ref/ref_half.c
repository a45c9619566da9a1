/* SPDX-License-Identifier: MIT */
/** \file ref_half.c \brief Small floating-point formats from their definition. */
#include "ref_half.h"

#include <math.h>

/* value = (-1)^sign * 2^(max(e, 1) - bias) * (mantissa / 2^m + (e > 0)), e all ones: inf or NaN */
static double unpack(uint16_t bits, int mantissa_bits, int bias)
{
	int exponent_bits = 15 - mantissa_bits;
	int top = (1 << exponent_bits) - 1;
	int e = bits >> mantissa_bits & top;
	int m = bits & ((1 << mantissa_bits) - 1);
	double sign = bits >> 15 ? -1.0 : 1.0;
	if (e == top)
		return m ? (double)NAN : sign * (double)INFINITY;
	double fraction = ldexp(m, -mantissa_bits) + (e > 0 ? 1.0 : 0.0);
	return sign * ldexp(fraction, (e > 0 ? e : 1) - bias);
}

static uint16_t pack(double x, int mantissa_bits, int bias)
{
	int top = (1 << (15 - mantissa_bits)) - 1;
	uint16_t sign = signbit(x) ? 0x8000u : 0u;
	if (isnan(x))
		return (uint16_t)(sign | top << mantissa_bits | 1);
	double a = fabs(x);
	if (isinf(a))
		return (uint16_t)(sign | top << mantissa_bits);
	if (a == 0.0)
		return sign;
	int e = ilogb(a) + bias;
	if (e < 1)
		e = 1;
	/* steps of the binade; rint rounds ties to even, and a carry walks into the exponent */
	long steps = lrint(ldexp(a, mantissa_bits - (e - bias)));
	long code = ((long)(e - 1) << mantissa_bits) + steps;
	if (code >= (long)top << mantissa_bits)
		code = (long)top << mantissa_bits;
	return (uint16_t)(sign | code);
}

double ref_from_half(uint16_t bits)
{
	return unpack(bits, 10, 15);
}

uint16_t ref_to_half(double x)
{
	return pack(x, 10, 15);
}

double ref_from_bfloat(uint16_t bits)
{
	return unpack(bits, 7, 127);
}

uint16_t ref_to_bfloat(double x)
{
	return pack(x, 7, 127);
}

double ref_half(double x)
{
	return ref_from_half(ref_to_half(x));
}

double ref_stored(double x)
{
	if (isnan(x))
		return 0.0;
	if (fabs(x) > REF_HALF_MAX)
		return copysign(REF_HALF_MAX, x);
	return ref_half(x);
}
