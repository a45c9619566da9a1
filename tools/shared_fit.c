/* SPDX-License-Identifier: MIT */
/**
 * \file    shared_fit.c
 * \brief   B of a layer that isn't the first: latents z = a A depend on nothing of each other and have a mean square of 1, so least
 *          squares are B = A^T (a x^T), row by row, and a row explains its own square of x.
 */
#include "shared_fit.h"

#include "factors_fit.h"

#include <stdlib.h>

/* Row r of up, for the layers behind the first: A's column r times moments of a with their rows. */
static void project(const struct shared_side *s, size_t r, const float *down, float *up)
{
	const size_t w = s->width, all = s->share * w;
	for (size_t d = w; d < all; d++) {
		double sum = 0;
		for (size_t i = 0; i < w; i++)
			sum += (double)down[i * w + r] * s->moment[i * all + d];
		up[r * all + d] = (float)sum;
	}
}

bool shared_fit_first(const struct shared_side *s, float *down, float *up, struct tool_error *error)
{
	const size_t w = s->width, all = s->share * w;
	float *b = calloc(w * w, sizeof *b);
	double *first = calloc(w * w, sizeof *first);
	bool done = (b && first) || tool_fail(error, "out of memory");
	for (size_t i = 0; i < all * w; i++)
		down[i] = up[i] = 0;
	for (size_t i = 0; i < w * w && done; i++)
		first[i] = s->moment[i / w * all + i % w];
	done = done && factors_components(w, first, down, b, error);
	for (size_t i = 0; i < w * w && done; i++)
		up[i / w * all + i % w] = b[i];
	for (size_t r = 0; r < w && done; r++)
		project(s, r, down, up);
	free(b);
	free(first);
	return done;
}

bool shared_fit_all(const struct shared_side *s, float *down, float *up, struct tool_error *error)
{
	return factors_components(s->share * s->width, s->moment, down, up, error);
}

double shared_explained(const struct shared_side *s, const float *up, size_t rank)
{
	const size_t w = s->width, all = s->share * w;
	double sum = 0, square = 0;
	for (size_t d = w; d < all; d++)
		square += s->moment[d * all + d];
	for (size_t r = 0; r < rank; r++)
		for (size_t d = w; d < all; d++)
			sum += (double)up[r * all + d] * (double)up[r * all + d];
	return square > 0 ? sum / square : 1;
}
