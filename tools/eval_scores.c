/* SPDX-License-Identifier: MIT */
/**
 * \file    eval_scores.c
 * \brief   Memory for the scores of a window.
 */
#include "eval_scores.h"

#include <stdlib.h>
#include <string.h>

bool eval_scores_open(struct eval_scores *scores, size_t n)
{
	memset(scores, 0, sizeof *scores);
	scores->n = n;
	scores->loss = calloc(3 * n + 1, sizeof *scores->loss);
	if (scores->loss == NULL)
		return false;
	scores->divergence = scores->loss + n;
	scores->agreed = scores->divergence + n;
	return true;
}

void eval_scores_close(struct eval_scores *scores)
{
	free(scores->loss);
	memset(scores, 0, sizeof *scores);
}

double eval_scores_sum(const double *values, size_t n)
{
	double sum = 0.0;
	for (size_t i = 0; i < n; i++)
		sum += values[i];
	return sum;
}
