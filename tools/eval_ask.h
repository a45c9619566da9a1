/* SPDX-License-Identifier: MIT */
/**
 * \file    eval_ask.h
 * \brief   A question put to a stream, and what its answer is worth.
 */
#ifndef EVAL_ASK_H
#define EVAL_ASK_H

#include "eval_case.h"

struct asker {
	struct session *session;
	float *logits; /* [TASK_DIGITS][vocabulary] */
};

bool eval_asker_open(struct session *session, struct asker *asker, struct tool_error *error);
void eval_asker_close(struct asker *asker);

/** Feeds n tokens as generated ones. */
bool eval_feed(const struct asker *asker, struct engine_stream *stream, const int32_t *ids,
               size_t n, struct tool_error *error);

/** Feeds the question from its token `from` on, then sets score `at`: loss, margin and whether the greedy answer is
 *  right. No answer is kept in the stream. */
bool eval_ask(const struct asker *asker, struct engine_stream *stream,
              const struct case_question *question, size_t from, struct eval_scores *scores,
              size_t at, struct tool_error *error);

#endif
