/* SPDX-License-Identifier: MIT */
/**
 * \file    factors_fit.h
 * \brief   Factors of rows that lose least, by what an error of a row costs.
 */
#ifndef FACTORS_FIT_H
#define FACTORS_FIT_H

#include <stddef.h>

#include "tool_error.h"

/** The factors A = down and B = up, both [dim][dim] and each other's inverse, of which for every r the first r columns of A and rows
 *  of B make the mean of e M e^T least, e = x - x A B: over rows x with moment = the mean of x x^T, M the metric, both [dim][dim],
 *  symmetric and not negative; what they hold afterwards means nothing. Latents have a mean square of 1. Directions of which
 *  metric or moment have less than a millionth of their largest are taken as having that much. */
bool factors_fit(size_t dim, double *metric, double *moment, float *down, float *up,
                 struct tool_error *error);

#endif
