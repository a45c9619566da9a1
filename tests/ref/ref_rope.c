/* SPDX-License-Identifier: MIT */
/**
 * \file    ref_rope.c
 * \brief   RoPE (arXiv 2104.09864), position interpolation (2306.15595) and YaRN (2309.00071).
 *
 * YaRN names wavelengths; the pairs whose wavelengths fit beta times into the original tokens are the limits of a
 * ramp, rounded outwards to whole pairs as in its authors' code.
 */
#include "ref_rope.h"

#include <math.h>

#define PI 3.14159265358979323846

size_t ref_rope_partner(const struct ref_rope *rope, size_t d)
{
	if (rope->pairs)
		return d ^ 1;
	return d < rope->dims / 2 ? d + rope->dims / 2 : d - rope->dims / 2;
}

/* The real i whose wavelength 2 pi base^(2 i / dims) is original / rotations. */
static double limit_of(const struct ref_rope *rope, double rotations)
{
	double wavelength = rope->original / rotations;
	return (double)rope->dims / 2.0 * log(wavelength / (2.0 * PI)) / log(rope->base);
}

double ref_rope_frequency(const struct ref_rope *rope, size_t i)
{
	double theta = 1.0 / pow(rope->base, 2.0 * (double)i / (double)rope->dims);
	if (rope->factors)
		theta /= (double)rope->factors[i];
	if (rope->scaling == REF_UNSCALED)
		return theta;
	if (rope->scaling == REF_LINEAR)
		return theta / rope->factor;
	double first = floor(limit_of(rope, rope->beta_fast));
	double last = ceil(limit_of(rope, rope->beta_slow));
	if (first < 0.0)
		first = 0.0;
	if (last > (double)rope->dims - 1.0)
		last = (double)rope->dims - 1.0;
	double interpolated = first == last ? (double)i > first : ((double)i - first) / (last - first);
	interpolated = interpolated < 0.0 ? 0.0 : interpolated > 1.0 ? 1.0 : interpolated;
	double kept = (1.0 - interpolated) * rope->ext_factor;
	return (1.0 - kept) * theta / rope->factor + kept * theta;
}

double ref_rope_magnitude(const struct ref_rope *rope)
{
	return rope->attn_factor * (rope->scaling == REF_YARN ? 0.1 * log(rope->factor) + 1.0 : 1.0);
}

double ref_rope(const struct ref_rope *rope, double position, size_t d, double own, double partner)
{
	bool second = rope->pairs ? d % 2 == 1 : d >= rope->dims / 2;
	size_t i = rope->pairs ? d / 2 : d % (rope->dims / 2);
	double angle = position * ref_rope_frequency(rope, i);
	return ref_rope_magnitude(rope) *
	       (own * cos(angle) + (second ? partner : -partner) * sin(angle));
}
