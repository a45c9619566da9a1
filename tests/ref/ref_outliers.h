/* SPDX-License-Identifier: MIT */
/**
 * \file    ref_outliers.h
 * \brief   One side of a block in levels, with outliers kept as they are, from the definition, in double precision.
 *
 * Outliers are the n values that lie farthest from the mean of their group, as half has it, of all groups of the block; of equally
 * far ones the first by channel and token (K, REF_CHANNEL) or by token and channel (V, REF_TOKEN). Of the others of a group, with
 * range r from the least on: value' = m + s level(code), m = least + r cut / 2, s = r (1 - cut) / (2^bits - 1), both half, and the
 * code of the nearest level. With top = 2^bits - 1 and u = 2 i / top - 1, level(i) = top / 2 (1 + u (1 - bend + bend u^2)).
 * Source: KVQuant, arXiv 2401.18079, sections 3.3 and 3.4.
 */
#ifndef REF_OUTLIERS_H
#define REF_OUTLIERS_H

#include "ref_affine.h"

struct ref_outliers {
	int bits;
	enum ref_axis axis;
	int group;
	double cut, bend;
	double share; /**< of the values of a whole block */
	size_t block; /**< its tokens */
};

/** What the codec makes of one value. */
struct ref_level {
	bool outlier;
	double m, s; /**< of its group */
	double
		bound; /**< |value - original| is at most this: half the gap that it lies in, and roundings */
	double slack; /**< of that, what roundings are */
};

/** Outliers of a block with dim channels: the nearest number. */
size_t ref_outliers_count(const struct ref_outliers *r, size_t dim);

double ref_outliers_level(const struct ref_outliers *r, int code);

/** Of x [n_tokens][dim], values in half, the tokens of one block, of one head. */
void ref_outliers_encode(const struct ref_outliers *r, size_t n_tokens, size_t dim, const double *x,
                         struct ref_level *levels);

/** Bytes of a full block of one head: of each side codes, and 4 for each group in runs of 16; lists of 4 bytes per outlier. All of
 *  it in units of 64. */
size_t ref_outliers_bytes(const struct ref_outliers *k, const struct ref_outliers *v, size_t dk,
                          size_t dv);

#endif
