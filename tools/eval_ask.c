/* SPDX-License-Identifier: MIT */
/**
 * \file    eval_ask.c
 * \brief   Likelihoods of answers behind a question.
 */
#include "eval_ask.h"

#include <math.h>
#include <stdlib.h>

#include "logits.h"

/* What the model finds of one answer. */
struct found {
	double likelihood; /* log */
	bool is_greedy;    /* each of its digits is the likeliest token behind those before */
};

static size_t vocabulary_of(const struct asker *a)
{
	return (size_t)a->session->model->vocabulary;
}

bool eval_asker_open(struct session *session, struct asker *asker, struct tool_error *error)
{
	asker->session = session;
	asker->logits = calloc(TASK_DIGITS * vocabulary_of(asker), sizeof *asker->logits);
	return asker->logits != NULL || tool_fail(error, "out of memory");
}

void eval_asker_close(struct asker *asker)
{
	free(asker->logits);
}

static bool feed(const struct asker *a, struct engine_stream *stream, const int32_t *ids, size_t n,
                 bool dry, enum engine_logits want, float *logits, struct tool_error *error)
{
	struct engine_pass pass = {
		.streams = &stream,
		.n_streams = 1,
		.tokens = ids,
		.n_each = n,
		.phase = CLKV_DECODE,
		.dry = dry,
		.want = want,
		.logits = logits,
	};
	return engine_run(a->session->engine, &pass, error);
}

bool eval_feed(const struct asker *a, struct engine_stream *stream, const int32_t *ids, size_t n,
               struct tool_error *error)
{
	return n == 0 || feed(a, stream, ids, n, false, ENGINE_NO_LOGITS, NULL, error);
}

/* Reads the row of logits that predicts a digit. */
static void find_digit(const float *row, size_t vocabulary, int32_t digit, struct found *found)
{
	found->likelihood += (double)row[digit] - logits_log_sum(row, vocabulary);
	found->is_greedy = found->is_greedy && logits_best(row, vocabulary) == (size_t)digit;
}

/* The last row of logits predicts the first digit; the rows before it are free for the others. */
static bool find_answer(const struct asker *a, struct engine_stream *stream, const int32_t *answer,
                        struct found *found, struct tool_error *error)
{
	const size_t vocabulary = vocabulary_of(a);
	*found = (struct found){0.0, true};
	if (!feed(a, stream, answer, TASK_DIGITS - 1, true, ENGINE_ALL_LOGITS, a->logits, error))
		return false;
	for (size_t d = 0; d < TASK_DIGITS; d++)
		find_digit(a->logits + (d + TASK_DIGITS - 1) % TASK_DIGITS * vocabulary, vocabulary,
		           answer[d], found);
	return true;
}

bool eval_ask(const struct asker *a, struct engine_stream *stream, const struct case_question *q,
              size_t from, struct eval_scores *scores, size_t at, struct tool_error *error)
{
	float *last = a->logits + (TASK_DIGITS - 1) * vocabulary_of(a);
	struct found right, other;
	double best = -INFINITY;
	if (!feed(a, stream, q->ids + from, q->n - from, false, ENGINE_LAST_LOGITS, last, error) ||
	    !find_answer(a, stream, q->answers[0], &right, error))
		return false;
	for (size_t i = 1; i < q->n_answers; i++) {
		if (!find_answer(a, stream, q->answers[i], &other, error))
			return false;
		best = fmax(best, other.likelihood);
	}
	scores->loss[at] = -right.likelihood;
	scores->divergence[at] = right.likelihood - best;
	scores->agreed[at] = right.is_greedy;
	return true;
}
