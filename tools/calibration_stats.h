/* SPDX-License-Identifier: MIT */
/**
 * \file    calibration_stats.h
 * \brief   What errors of keys and values do to the output of a layer, as a text's queries have it.
 *
 * Per layer and KV head, over queries i of its group's heads g and sealed tokens t, p_it the probability that attention gives, o_i
 * what it gives, W_g the head's rows of the output projection:
 *
 *     s_i = sum_t p_it^2 |(v_t - o_i) W_g|^2      what white noise on the logits of sealed tokens does to the output
 *     weighed = sum_g,i s_i q_i^2                 channel by channel: a key's errors by what they do
 *     spread = sum_g,i trace(W_g W_g^T) sum_t p_it^2        a value's
 *
 * and of each token its part of the sums of s and of spread: what its errors cost.
 */
#ifndef CALIBRATION_STATS_H
#define CALIBRATION_STATS_H

#include <stddef.h>

/** Tokens that are never sealed: the first ones, and the newest. */
enum { CALIBRATION_SINKS = 4, CALIBRATION_WINDOW = 128 };

/** Sums of a head; sums are doubles. */
struct head_stats {
	size_t dim, queries; /**< rows that were asked, times the group's heads */
	size_t rows;         /**< without their heads */
	double *first;       /**< [dim] sum of q */
	double *second;      /**< [dim][dim] sum of q q^T */
	double *weighed;     /**< [dim] */
	double noise, spread;
};

/** Rows of one text and one KV head. */
struct head_rows {
	size_t dim, group, n, n_queries;
	const float *keys, *values; /**< [n][dim] */
	const float *queries;       /**< [n_queries] rows query_stride apart, of [group][dim] */
	size_t query_stride;
	const size_t *positions;         /**< [n_queries], rising */
	const float *gram;               /**< [group][dim][dim]: W_g W_g^T */
	float scale;                     /**< of logits */
	size_t window;                   /**< tokens that a row attends to; 0: all */
	double *key_costs, *value_costs; /**< [n]: added to for each token */
};

/** Adds a text's rows. scratch: floats [(1 + group) n + 2 dim]. */
void head_stats_add(struct head_stats *stats, const struct head_rows *rows, float *scratch);

/** x y of n numbers. */
float dot_product(const float *x, const float *y, size_t n);

#endif
