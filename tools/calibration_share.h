/* SPDX-License-Identifier: MIT */
/**
 * \file    calibration_share.h
 * \brief   Shares bits out: steps for units of a model, so that all errors together cost the least.
 *
 * A unit is K or V of a head. A level is a factor on its steps.
 */
#ifndef CALIBRATION_SHARE_H
#define CALIBRATION_SHARE_H

#include <stddef.h>

/** A unit at a level: what its errors cost, and the bits that its codes take. */
struct share_point {
	double cost, bits;
};

/**
 * chosen [units]: the factor of each, between factors [levels], rising, at least two, so that the bits of all are no more than they
 * are at factor 1, and the sum of costs is the least. points [units][levels]; costs add up. Between levels the logarithm of a
 * cost and the bits are lines over the logarithm of the factor. Source: H. Everett, Operations Research 11 (1963), on sharing out
 * by one price.
 */
void calibration_share(const struct share_point *points, const double *factors, size_t levels,
                       size_t units, double *chosen);

#endif
