/* SPDX-License-Identifier: MIT */
/** \file ref_rope.h \brief Rotary position embedding from its formulas, a channel at a time. */
#ifndef REF_ROPE_H
#define REF_ROPE_H

#include <stdbool.h>
#include <stddef.h>

enum ref_rope_scaling { REF_UNSCALED, REF_LINEAR, REF_YARN };

struct ref_rope {
	bool pairs; /**< channels 2 i and 2 i + 1; else i and i + dims / 2 */
	size_t dims;
	double base;
	const float *factors; /**< [dims / 2] or NULL */
	double attn_factor;
	enum ref_rope_scaling scaling;
	double factor, original, beta_fast, beta_slow, ext_factor;
};

/** The other channel of the pair of channel d, which is below dims. */
size_t ref_rope_partner(const struct ref_rope *rope, size_t d);

/** Radians per position of pair i. */
double ref_rope_frequency(const struct ref_rope *rope, size_t i);

/** What rotated channels are multiplied by. */
double ref_rope_magnitude(const struct ref_rope *rope);

/** Channel d at a position, from its own value and its partner's. */
double ref_rope(const struct ref_rope *rope, double position, size_t d, double own, double partner);

#endif
