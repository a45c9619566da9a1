/* SPDX-License-Identifier: MIT */
/**
 * \file    shared_fit.c
 * \brief   B of a layer that isn't the first: latents z = a A depend on nothing of each other and have a mean square of 1, so least
 *          squares are B = A^T (a x^T), row by row, and a row explains its own square of x.
 */
#include "shared_fit.h"

#include "factors_fit.h"

#include <stdlib.h>

/* Column block of layer `layer` of up [width][share * width] += A^T C, down [share * width][width]. */
static void project(const struct shared_side *s, size_t layer, const float *down, float *up)
{
	const size_t w = s->width, all = s->share * w;
	const double *c = s->cross + (layer - 1) * w * w;
	for (size_t r = 0; r < w; r++)
		for (size_t d = 0; d < w; d++) {
			double sum = 0;
			for (size_t i = 0; i < w; i++)
				sum += (double)down[i * w + r] * c[i * w + d];
			up[r * all + layer * w + d] = (float)sum;
		}
}

bool shared_fit(const struct shared_side *s, float *down, float *up, struct tool_error *error)
{
	const size_t w = s->width, all = s->share * w;
	float *b = calloc(w * w, sizeof *b);
	if (b == NULL)
		return tool_fail(error, "out of memory");
	for (size_t i = 0; i < all * w; i++)
		down[i] = up[i] = 0;
	bool done = factors_components(w, s->first, down, b, error);
	for (size_t i = 0; i < w * w && done; i++)
		up[i / w * all + i % w] = b[i];
	for (size_t l = 1; l < s->share && done; l++)
		project(s, l, down, up);
	free(b);
	return done;
}

double shared_explained(const struct shared_side *s, const float *up, size_t rank)
{
	const size_t w = s->width, all = s->share * w;
	double sum = 0, square = 0;
	for (size_t l = 1; l < s->share; l++)
		square += s->own[l - 1];
	for (size_t r = 0; r < rank; r++)
		for (size_t d = w; d < all; d++)
			sum += (double)up[r * all + d] * (double)up[r * all + d];
	return square > 0 ? sum / square : 1;
}
