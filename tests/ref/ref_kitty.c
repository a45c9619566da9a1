/* SPDX-License-Identifier: MIT */
/** \file ref_kitty.c \brief Two bits and four, by ranks of means. */
#include "ref_kitty.h"

#include <math.h>
#include <stdlib.h>

size_t ref_kitty_boosted(double share, size_t dim)
{
	size_t n = (size_t)(4.0 * floor(share * (double)dim / 4.0 + 0.5));
	return n == 0 && share > 0.0 ? 4 : n;
}

static double mean_magnitude(size_t n_tokens, size_t dim, const double *x, size_t c)
{
	double sum = 0.0; /* of halves, 2^-24 times whole numbers below 2^48 in all: exact */
	for (size_t t = 0; t < n_tokens; t++)
		sum += fabs(x[t * dim + c]);
	return sum / (double)n_tokens;
}

void ref_kitty_choose(size_t n, size_t n_tokens, size_t dim, const double *x, bool *boosted)
{
	double mean[REF_KITTY_CHANNELS];
	for (size_t c = 0; c < dim; c++) {
		mean[c] = mean_magnitude(n_tokens, dim, x, c);
		boosted[c] = false;
	}
	for (size_t i = 0; i < n; i++) {
		size_t best = dim;
		for (size_t c = 0; c < dim; c++)
			if (!boosted[c] && (best == dim || mean[c] > mean[best]))
				best = c;
		boosted[best] = true;
	}
}

void ref_kitty_encode(int group, size_t n_tokens, size_t dim, const double *x, const bool *boosted,
                      struct ref_code *codes)
{
	const struct ref_affine two = {2, REF_CHANNEL, group, false, 0.0},
							four = {4, REF_CHANNEL, group, false, 0.0};
	struct ref_code *more = calloc(n_tokens * dim, sizeof *more);
	if (!more)
		abort();
	ref_affine_encode(&two, n_tokens, dim, x, codes);
	ref_affine_encode(&four, n_tokens, dim, x, more);
	for (size_t i = 0; i < n_tokens * dim; i++)
		if (boosted[i % dim])
			codes[i] = more[i];
	free(more);
}

static size_t up(size_t bytes, size_t to)
{
	return (bytes + to - 1) / to * to;
}

size_t ref_kitty_bytes(double share, int group, size_t block, size_t dk, size_t dv)
{
	size_t g = (size_t)group, boosted = ref_kitty_boosted(share, dk);
	size_t k = dk * block / 4 + dk * (block / g) * 4 + boosted * block / 4 + up(boosted, 16);
	size_t v = dv * block / 4 + (dv + g - 1) / g * block * 4;
	return up(k + v, 64);
}
