/* SPDX-License-Identifier: MIT */
/**
 * \file    logits.h
 * \brief   What logits say: log-likelihood, the likeliest token, divergence of two distributions.
 */
#ifndef LOGITS_H
#define LOGITS_H

#include <stddef.h>
#include <stdint.h>

/** Natural log of the sum of exp(logit). */
double logits_log_sum(const float *logits, size_t n);

/** The index of the largest; the first among equals. */
size_t logits_best(const float *logits, size_t n);

/** Kullback-Leibler divergence of `other` from `reference` in nats; *_log_sum is logits_log_sum().
 */
double logits_divergence(const float *reference, double reference_log_sum, const float *other,
                         double other_log_sum, size_t n);

#endif
