/* SPDX-License-Identifier: MIT */
/**
 * \file    eval_tasks.h
 * \brief   Retrieval tasks made on the spot: what is hidden in a filler, where, and what is asked for.
 *
 * All answers are numbers of five digits. A question is text that ends where the answer would begin.
 */
#ifndef EVAL_TASKS_H
#define EVAL_TASKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum eval_task {
	TASK_PERPLEXITY, /**< hides nothing */
	TASK_NEEDLE,     /**< one key, at depths evenly apart; nothing is drawn */
	TASK_KEYS,       /**< keys of several people, one asked for */
	TASK_TURNS,      /**< keys of several people, asked for one after the other in a drawn order */
	TASK_TRACKING, /**< a chain of boxes, each with the key of the one before; the last is asked for */
};

#define TASK_MOST_FACTS 8
#define TASK_TEXT_BYTES 160
/** The right answer and others: all that is hidden, and of what stands nowhere so many that there are three; nine of a needle. */
#define TASK_MOST_ANSWERS 10
#define TASK_DIGITS 5

struct task_fact {
	char text[TASK_TEXT_BYTES];
	double place; /**< share of the filler that stands before it, 0 to 1; ascending */
};

struct task_question {
	char text[TASK_TEXT_BYTES];
	/** Different ones; the right one first, then what else is hidden. */
	unsigned answers[TASK_MOST_ANSWERS];
	size_t n_answers;
};

struct task_case {
	struct task_fact facts[TASK_MOST_FACTS];
	size_t n_facts;
	struct task_question questions[TASK_MOST_FACTS];
	size_t n_questions;
	double
		filler; /**< where in the text the filler begins: share of the places where it may, below 1 */
};

/** Finds a task by its name ("perplexity", "needle", "keys", "turns", "tracking"). */
bool task_find(const char *name, enum eval_task *task);
const char *task_name(enum eval_task task);

/** Questions of a case, of a task that hides n facts; 0 for perplexity. */
size_t task_questions(enum eval_task task, size_t n_facts);

/** Makes case `index` of n_cases of a task that hides something; n_facts is 2 to TASK_MOST_FACTS (a needle is one). A case hangs
 *  on the seed and its index alone, but for needles' depths: (index + 1/2) / n_cases. */
void task_make(enum eval_task task, size_t n_facts, uint64_t seed, size_t index, size_t n_cases,
               struct task_case *out);

#endif
