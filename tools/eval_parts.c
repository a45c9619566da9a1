/* SPDX-License-Identifier: MIT */
/**
 * \file    eval_parts.c
 * \brief   What a run consists of, by its options.
 */
#include "eval.h"

size_t eval_window_tokens(const struct eval_options *o)
{
	return o->contexts[0] + o->generated + o->tokens + 1;
}

bool eval_retrieves(const struct eval_options *o)
{
	return o->task != TASK_PERPLEXITY;
}

bool eval_judges(const struct eval_options *o)
{
	return !eval_retrieves(o) && !o->attention &&
	       (o->n_texts > 1 || o->windows > 1 || o->greedy > 0 || o->resume != NULL);
}

size_t eval_parts(const struct eval_options *o)
{
	if (eval_retrieves(o))
		return o->n_contexts;
	return o->n_texts > 1 && !o->attention ? o->n_texts + 1 : 1;
}
