/* SPDX-License-Identifier: MIT */
/** \file shared_fit.h \brief Factors of layers that have latents together: of the first one's rows, or of all. */
#ifndef SHARED_FIT_H
#define SHARED_FIT_H

#include "tool_error.h"

#include <stdbool.h>
#include <stddef.h>

/** One side of a group of layers, whose rows of `width` numbers lie side by side: x = (a, b, ..), a the first layer's. */
struct shared_side {
	size_t width, share;
	double *
		moment; /**< [share * width]^2: the mean of x x^T; what it holds after a fit of all means nothing */
};

/** Of the first layer's rows: down [share * width][width], up [width][share * width]. A is their principal components, 0 for
 *  the other layers; B of each layer makes the mean square of what is lost of its rows least, for every number of latents. */
bool shared_fit_first(const struct shared_side *side, float *down, float *up,
                      struct tool_error *error);

/** Of all layers' rows: down, up [share * width]^2, principal components of x. */
bool shared_fit_all(const struct shared_side *side, float *down, float *up,
                    struct tool_error *error);

/** The part of the other layers' squares that `rank` latents of the first one's rows explain, with such a B; 1 if there is nothing to
 *  explain. */
double shared_explained(const struct shared_side *side, const float *up, size_t rank);

#endif
