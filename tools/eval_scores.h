/* SPDX-License-Identifier: MIT */
/**
 * \file    eval_scores.h
 * \brief   What is known of each scored token of one window under one recipe.
 */
#ifndef EVAL_SCORES_H
#define EVAL_SCORES_H

#include <stdbool.h>
#include <stddef.h>

/** All arrays are NULL until eval_scores_open(). Retrieval tasks have a score for each question in place of a token: `loss` is of
 *  the whole right answer, `agreed` whether the greedy answer is right. */
struct eval_scores {
	size_t n;     /**< tokens scored */
	double *loss; /**< [n] minus the log-likelihood of the text's token, nats */
	double *
		divergence; /**< [n] from the distribution under f16, nats; of a question the margin, how much likelier the right
	                         answer is than the best of the others */
	double *agreed; /**< [n] 1 where both find the same token likeliest, else 0 */
	double bytes_per_token, prefill_tokens_per_s;
	double decode_tokens_per_s; /**< 0: not measured */
	size_t
		greedy; /**< tokens of free generation behind the scored ones, up to the first that differs */
};

/** Room for n tokens; false without memory. */
bool eval_scores_open(struct eval_scores *scores, size_t n);
void eval_scores_close(struct eval_scores *scores);

/** Sum of n values. */
double eval_scores_sum(const double *values, size_t n);

#endif
