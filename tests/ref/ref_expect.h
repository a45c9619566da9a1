/* SPDX-License-Identifier: MIT */
/**
 * \file    ref_expect.h
 * \brief   Expected Attention from its formulas, in double precision: a mean, a covariance, a mean rotation, each as a matrix.
 *          Source: arXiv 2510.00636, section 3.
 */
#ifndef REF_EXPECT_H
#define REF_EXPECT_H

#include "ref_rope.h"

struct ref_expect {
	const struct ref_rope *rope;
	size_t ahead; /**< positions to come */
	bool spread;  /**< with the covariance */
	size_t dk;
	double scale;
};

/** What queries to come are expected to be in one head: their mean [dk] and covariance [dk][dk], owned. */
struct ref_expected {
	const struct ref_expect *e;
	double *mean, *cov;
	size_t n;    /**< queries that were looked at */
	double size; /**< norm of the longest of them */
};

/** From n queries q[i] [dk], rotated at position[i]; those to come are at end .. end + ahead - 1. */
void ref_expect_open(struct ref_expected *x, const struct ref_expect *e, size_t n,
                     const double *const *q, const size_t *position, size_t end);
void ref_expect_close(struct ref_expected *x);

/** ln of the weight that a key [dk], as it is stored, is expected to get; *deviation: of its logit, may be NULL. */
double ref_expect_log(const struct ref_expected *x, const double *k, double *deviation);

#endif
