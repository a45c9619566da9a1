/* SPDX-License-Identifier: MIT */
/**
 * \file    eval_case.h
 * \brief   A case of a retrieval task as tokens of the model.
 */
#ifndef EVAL_CASE_H
#define EVAL_CASE_H

#include "eval.h"
#include "eval_tasks.h"

struct case_question {
	int32_t *ids; /**< [n] of the question's text */
	size_t n;
	int32_t answers[TASK_MOST_ANSWERS][TASK_DIGITS]; /**< [0] is the right one */
	size_t n_answers;
};

struct eval_case {
	size_t n_prompt;
	int32_t *ids; /**< [n_prompt + questions[0].n]: the prompt and the first question behind it */
	struct case_question questions[TASK_MOST_FACTS];
	size_t n_questions;
	uint64_t hash; /**< of all of these tokens */
};

/** Hides a task's sentences in n_prompt tokens with those of the text around them, each behind the next end of a sentence.
 *  Close it on failure, too. */
bool eval_case_open(const struct eval *eval, const struct eval_text *text, size_t n_prompt,
                    const struct task_case *task, struct eval_case *out, struct tool_error *error);
void eval_case_close(struct eval_case *c);

#endif
