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

/** The same in the plain metric: principal components. */
bool factors_components(size_t dim, double *moment, float *down, float *up,
                        struct tool_error *error);

/** One round of ReCalKV's calibration of the first `rank` columns of down [dim][dim] and rows of up: for rows x with this moment,
 *  the B that makes the mean of |x - x A B|^2 least, then for that B the A. Neither raises it. Errors: latents that depend on each
 *  other (a singular matrix). */
bool factors_calibrate(size_t dim, size_t rank, const double *moment, float *down, float *up,
                       struct tool_error *error);

/** Its halves. */
bool factors_calibrate_up(size_t dim, size_t rank, const double *moment, const float *down,
                          float *up, struct tool_error *error);
bool factors_calibrate_down(size_t dim, size_t rank, float *down, const float *up,
                            struct tool_error *error);

#endif
