/* SPDX-License-Identifier: MIT */
/**
 * \file    calibration_fit.h
 * \brief   By what keys tell which tokens matter: a quadratic in each channel, fitted to what errors of tokens cost.
 */
#ifndef CALIBRATION_FIT_H
#define CALIBRATION_FIT_H

#include "calibration_codes.h"

/** Floats and doubles that a fit of so many tokens needs. */
size_t fit_doubles(size_t dim, size_t n);

/**
 * Moves head->k_ask and k_square, which expect attention, so that scores follow the logarithm of costs [n], above 0, of the keys
 * [n][dim]: a slope for what they say, and a ridge regression of what it leaves on y and y^2 of each channel. scratch:
 * fit_doubles. Source: T. Hastie, R. Tibshirani, J. Friedman, The Elements of Statistical Learning, 3.4.1.
 */
void head_fit(struct head_calibration *head, const float *keys, const double *costs, size_t n,
              double *scratch);

#endif
