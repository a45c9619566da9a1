/* SPDX-License-Identifier: MIT */
/** \file shared_fit.h \brief Factors of layers that share the latents of the first one's rows, by least squares. */
#ifndef SHARED_FIT_H
#define SHARED_FIT_H

#include "tool_error.h"

#include <stddef.h>

/** One side of a group of layers: rows a of the first one, x of the others, all of `width` numbers. */
struct shared_side {
	size_t width, share;
	double *first; /**< [width]^2: the mean of a a^T; what it holds after a fit means nothing */
	double *cross; /**< [share - 1][width]^2: the mean of a x^T of each other layer */
	double *own;   /**< [share - 1]: the mean of x x^T's trace */
};

/** down [share * width][width], up [width][share * width]: A of the first layer's rows, their principal components, 0 for the others; B
 *  of every layer the one that makes the mean square of what is lost of its rows least, for each number of latents. */
bool shared_fit(const struct shared_side *side, float *down, float *up, struct tool_error *error);

/** The part of the other layers' squares that `rank` latents explain, with such a B; 1 if there is nothing to explain. */
double shared_explained(const struct shared_side *side, const float *up, size_t rank);

#endif
