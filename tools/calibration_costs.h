/* SPDX-License-Identifier: MIT */
/**
 * \file    calibration_costs.h
 * \brief   What the codes of a head really do to the output of its layer.
 *
 * calibration_stats.h says what white errors would do. Codes of few levels aren't white: where most are 0 the errors are the values
 * themselves, which attention doesn't average out; and tokens that matter have finer steps.
 */
#ifndef CALIBRATION_COSTS_H
#define CALIBRATION_COSTS_H

#include "calibration_codes.h"

/** Errors of a text's tokens behind the sinks: decoded rows less the rows. */
struct coded_rows {
	size_t n;
	float *keys, *values;   /**< [n][dim] */
	unsigned char *classes; /**< [n] */
};

/** Of n tokens' codes; keys and scores [n]: as head_encode() had them. */
void head_errors(const struct head_calibration *head, const float *keys, const float *values,
                 const float *scores, const struct head_codes *codes, struct coded_rows *rows);

/** Squares of errors of the layer's output, sums over queries. */
struct head_costs {
	double k, v;
};

/** Adds a text's queries: the square of what their output changes by, in the metric of the output projection, with the keys that are
 *  sealed then as codes have them (less the bias that attention takes off), and with the values. scratch: floats [2 n + 3 dim] of
 *  rows->n. */
void head_costs_add(struct head_costs *costs, const struct head_calibration *head,
                    const struct head_rows *rows, const struct coded_rows *coded, float *scratch);

#endif
