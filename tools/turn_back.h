/* SPDX-License-Identifier: MIT */
/** \file turn_back.h \brief Keys of a model as they were in front of RoPE, and what is turned as they are. */
#ifndef TURN_BACK_H
#define TURN_BACK_H

#include "model.h"

#include <stddef.h>

/** Radians per position of each pair of channels, [head_dim / 2]. */
void turn_frequencies(const struct model *model, double *frequencies);

/** out [head_dim] = a head's row x at a position as it was in front of RoPE, which turns neighbouring channels in GGUF's Llama
 *  models: the first `turned` channels of it, the others as they are. */
void turn_back(const struct model *model, const double *frequencies, size_t turned, size_t position,
               const float *x, float *out);

/** The inverse: x as RoPE turns it at a position. */
void turn_along(const struct model *model, const double *frequencies, size_t turned,
                size_t position, const float *x, float *out);

#endif
