/* SPDX-License-Identifier: MIT */
/**
 * \file    eval_tally.h
 * \brief   Scores of questions, added up.
 */
#ifndef EVAL_TALLY_H
#define EVAL_TALLY_H

#include "eval_scores.h"

/** What retrieval tasks say of a recipe. Shares are of the questions that count: those which f16 answers right. NaN without
 *  one. */
struct eval_retrieval {
	size_t context;        /**< tokens of the prompts */
	size_t asked, counted; /**< questions, and those that count */
	double exact;          /**< share of those whose greedy answer is right */
	/** The same of questions in the compressed prompt, of those asked by themselves, of those behind others of the same prompt. */
	double known, apart, later;
	double accuracy; /**< share of those whose right answer is likelier than the others */
	double margin;   /**< mean of by how much likelier than the best of them, nats */
	double loss, loss_low,
		loss_high; /**< of the right answer beyond that under f16, nats, and its 95 % interval */
};

/** Adds up n cases: own[i * stride] and f16[i * stride] are scores of case i, its questions' as in eval_retrieve.c. The interval
 *  is of cases drawn anew as wholes, as their questions share a prompt. */
struct eval_retrieval eval_tally(const struct eval_scores *own, const struct eval_scores *f16,
                                 size_t n, size_t stride);

#endif
