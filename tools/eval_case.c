/* SPDX-License-Identifier: MIT */
/**
 * \file    eval_case.c
 * \brief   Sentences in a filler, cut into tokens.
 */
#include "eval_case.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

/* Sentences as tokens. */
struct sentences {
	int32_t *ids[TASK_MOST_FACTS];
	size_t n[TASK_MOST_FACTS];
	size_t total;
};

static bool encode(const struct eval *eval, const char *text, int32_t **ids, size_t *n,
                   struct tool_error *error)
{
	return tokenizer_encode(eval->session.tokenizer, text, strlen(text), false, ids, n, error);
}

static bool encode_answers(const struct eval *eval, const struct task_question *task,
                           struct case_question *q, struct tool_error *error)
{
	q->n_answers = task->n_answers;
	for (size_t i = 0; i < q->n_answers; i++) {
		char digits[16];
		int32_t *ids;
		size_t n;
		(void)snprintf(digits, sizeof digits, "%u", task->answers[i]);
		if (!encode(eval, digits, &ids, &n, error))
			return false;
		if (n == TASK_DIGITS)
			memcpy(q->answers[i], ids, sizeof q->answers[i]);
		free(ids);
		if (n != TASK_DIGITS)
			return tool_fail(error, "this model's tokenizer doesn't cut digits one by one: tasks "
			                        "with keys need that");
	}
	return true;
}

static bool encode_questions(const struct eval *eval, const struct task_case *task,
                             struct eval_case *c, struct tool_error *error)
{
	for (size_t i = 0; i < task->n_questions; i++) {
		struct case_question *q = &c->questions[c->n_questions++];
		/* the blank at the end is a token of its own: digits follow it without one */
		if (!encode(eval, task->questions[i].text, &q->ids, &q->n, error) ||
		    !encode_answers(eval, &task->questions[i], q, error))
			return false;
	}
	return true;
}

static bool encode_sentences(const struct eval *eval, const struct task_case *task,
                             struct sentences *s, struct tool_error *error)
{
	for (size_t i = 0; i < task->n_facts; i++) {
		if (!encode(eval, task->facts[i].text, &s->ids[i], &s->n[i], error))
			return false;
		s->total += s->n[i];
	}
	return true;
}

static bool ends_sentence(const struct eval *eval, int32_t id)
{
	struct gguf_string text = tokenizer_decode(eval->session.tokenizer, id);
	return text.size > 0 && text.data[text.size - 1] == '.';
}

/* A place from `least` to `most` that breaks no sentence: the first from `from` on, else the last before it; `from` if a
 * text has none. */
static size_t sentence_end(const struct eval *eval, const int32_t *ids, size_t least, size_t from,
                           size_t most)
{
	for (size_t i = from; i < most; i++)
		if (ends_sentence(eval, ids[i]))
			return i + 1;
	for (size_t i = from; i > least; i--)
		if (ends_sentence(eval, ids[i - 1]))
			return i;
	return from;
}

/* Where the n_filler tokens of a filler begin: behind the end of a sentence, unless at the text's begin. */
static const int32_t *filler_of(const struct eval *eval, const struct eval_text *text, double share,
                                size_t n_filler)
{
	size_t spare = text->n_ids - n_filler;
	size_t from = (size_t)(share * (double)(spare + 1));
	return text->ids + (from == 0 ? 0 : sentence_end(eval, text->ids, 0, from, spare));
}

/* Filler up to a sentence's place, the sentence, and so on. */
static void fill_prompt(const struct eval *eval, const struct task_case *task,
                        const struct sentences *s, const int32_t *filler, struct eval_case *c)
{
	const size_t n = c->n_prompt - s->total;
	size_t taken = 0;
	int32_t *to = c->ids;
	for (size_t i = 0; i < task->n_facts; i++) {
		size_t from = (size_t)(task->facts[i].place * (double)n);
		size_t at = sentence_end(eval, filler, taken, from > taken ? from : taken, n);
		memcpy(to, filler + taken, (at - taken) * sizeof *to);
		to += at - taken;
		taken = at;
		memcpy(to, s->ids[i], s->n[i] * sizeof *to);
		to += s->n[i];
	}
	memcpy(to, filler + taken, (n - taken) * sizeof *to);
}

static bool make_prompt(const struct eval *eval, const struct eval_text *text,
                        const struct task_case *task, const struct sentences *s,
                        struct eval_case *c, struct tool_error *error)
{
	const struct case_question *first = &c->questions[0];
	if (s->total >= c->n_prompt)
		return tool_fail(error, "a context of %zu tokens is too short for %zu hidden ones",
		                 c->n_prompt, s->total);
	c->ids = calloc(c->n_prompt + first->n, sizeof *c->ids);
	if (c->ids == NULL)
		return tool_fail(error, "out of memory");
	fill_prompt(eval, task, s, filler_of(eval, text, task->filler, c->n_prompt - s->total), c);
	memcpy(c->ids + c->n_prompt, first->ids, first->n * sizeof *c->ids);
	return true;
}

static uint64_t hash_of(const struct eval_case *c)
{
	uint64_t hash = clkv__hash(CLKV__HASH_START, c->ids, c->n_prompt * sizeof *c->ids);
	for (size_t i = 0; i < c->n_questions; i++) {
		const struct case_question *q = &c->questions[i];
		hash = clkv__hash(hash, q->ids, q->n * sizeof *q->ids);
		hash = clkv__hash(hash, q->answers, q->n_answers * sizeof q->answers[0]);
	}
	return hash;
}

bool eval_case_open(const struct eval *eval, const struct eval_text *text, size_t n_prompt,
                    const struct task_case *task, struct eval_case *out, struct tool_error *error)
{
	struct sentences s = {.total = 0};
	memset(out, 0, sizeof *out);
	out->n_prompt = n_prompt;
	bool done = encode_questions(eval, task, out, error) &&
	            encode_sentences(eval, task, &s, error) &&
	            make_prompt(eval, text, task, &s, out, error);
	for (size_t i = 0; i < task->n_facts; i++)
		free(s.ids[i]);
	if (done)
		out->hash = hash_of(out);
	return done;
}

void eval_case_close(struct eval_case *c)
{
	for (size_t i = 0; i < c->n_questions; i++)
		free(c->questions[i].ids);
	free(c->ids);
	memset(c, 0, sizeof *c);
}
