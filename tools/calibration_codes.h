/* SPDX-License-Identifier: MIT */
/**
 * \file    calibration_codes.h
 * \brief   A head's calibration from its statistics, and the codes that a text's tokens have with it.
 */
#ifndef CALIBRATION_CODES_H
#define CALIBRATION_CODES_H

#include "calibration_stats.h"

enum { TOKEN_CLASSES = 3 };

/** Where the numbers of one head stand: what clkv_calibration says of a head. */
struct head_calibration {
	size_t dim,
		turned; /**< channels, and those whose codes are of keys in front of RoPE: neighbours, from the first on */
	float *k_step, *k_mean, *k_ask, *k_square; /**< [dim] */
	float *k_error;                            /**< [TOKEN_CLASSES][dim] */
	float *threshold;                          /**< [TOKEN_CLASSES - 1] */
	float *v_step, *v_mean;                    /**< one, [dim] */
	const float *k_factor, *v_factor;          /**< [TOKEN_CLASSES], given */
};

/** What steps follow from beside a head's statistics. */
struct head_measure {
	double k_delta, v_delta; /**< errors of the layer's output that steps stand for */
	double norm;   /**< of the residual stream into the layer's attention, its median over tokens */
	double traces; /**< sum over the group of trace(W_g W_g^T) */
	float scale;   /**< of logits */
	const double *key_mean, *value_mean; /**< [dim] of the rows, behind the sinks */
	const double *plain_mean;            /**< [dim] of keys as they are coded: in front of RoPE */
	const double *key_reach; /**< [dim] largest distance of one of these from its mean */
	double value_reach;      /**< of any channel */
};

/** Steps, means, and by what tokens are expected to be attended to. Source: rate-distortion theory: one step in the space
 *  where an error costs the same everywhere (T. Berger, Rate Distortion Theory, 1971). */
void head_calibrate(const struct head_stats *stats, const struct head_measure *measure,
                    struct head_calibration *head);

/** Number c's partner in what RoPE turns together, or itself. */
static inline size_t head_partner(const struct head_calibration *head, size_t c)
{
	return c < head->turned ? c ^ 1 : c;
}

/** scores [n] of keys [n][dim]: the logarithm of what attention is expected to be. */
void head_score(const struct head_calibration *head, const float *keys, size_t n, float *scores);

/** Thresholds so that 6 % of the scores [n] are above the first, and 30 % above the second. sorted: room for n. */
void head_set_thresholds(struct head_calibration *head, const float *scores, size_t n,
                         float *sorted);

/** The class of a token with this score. */
size_t head_class(const struct head_calibration *head, float score);

/** Where a head's codes go: [dim] rows `stride` apart, of one token each. */
struct head_codes {
	signed char *k, *v;
	size_t stride;
};

/** Codes of n tokens, of keys as they are coded; errors [TOKEN_CLASSES][dim] and counts [TOKEN_CLASSES] add up what they do to y of
 *  K. */
void head_encode(const struct head_calibration *head, const float *keys, const float *values,
                 const float *scores, size_t n, const struct head_codes *codes, double *errors,
                 size_t *counts);

/** k_error from the sums, of a pair that RoPE turns the mean; a class without tokens has what even errors bring, a twelfth of its
 *  step's square. */
void head_set_errors(struct head_calibration *head, const double *errors, const size_t *counts);

#endif
