/* SPDX-License-Identifier: MIT */
/**
 * \file    check_eval_case.c
 * \brief   Tasks as tokens: where sentences are hidden; what a question finds on a small model, against double precision.
 */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "byte_level.h"
#include "eval_ask.h"
#include "eval_case.h"
#include "support/suite.h"
#include "support/tiny_model.h"

/* A tokenizer whose tokens 0 .. 255 are the bytes; with `pairs` there is one for "42" too. */
static struct gguf_build vocabulary(bool pairs)
{
	struct gguf_build b = {NULL, 0, 0};
	struct byte_level map;
	char text[2];
	byte_level_init(&map);
	gguf_build_header(&b, 3, 0, 4);
	gguf_build_text(&b, "tokenizer.ggml.model", "gpt2");
	gguf_build_text(&b, "tokenizer.ggml.pre", "default");
	gguf_build_array(&b, "tokenizer.ggml.tokens", 8, 257);
	for (unsigned i = 0; i < 256; i++)
		gguf_build_string(&b, text, byte_level_encode(&map, (unsigned char)i, text));
	gguf_build_string(&b, pairs ? "42" : "ab", 2);
	gguf_build_array(&b, "tokenizer.ggml.merges", 8, 1);
	gguf_build_string(&b, pairs ? "4 2" : "a b", 3);
	return b;
}

#define SENTENCE "Nothing hides here, it is said. "
enum { N_PROMPT = 700, N_TEXT = 1600 };

struct words {
	struct gguf_build file;
	struct gguf *gguf;
	struct eval eval;
	struct eval_text text;
};

static void open_words(struct words *w, bool pairs)
{
	struct tool_error error = {""};
	char text[N_TEXT + 1];
	*w = (struct words){.file = vocabulary(pairs)};
	for (size_t i = 0; i < N_TEXT; i++)
		text[i] = SENTENCE[i % strlen(SENTENCE)];
	text[N_TEXT] = '\0';
	ck_assert_msg(gguf_open_memory(w->file.data, w->file.size, &w->gguf, &error), "%s", error.text);
	ck_assert_msg(tokenizer_create(w->gguf, &w->eval.session.tokenizer, &error), "%s", error.text);
	ck_assert(tokenizer_encode(w->eval.session.tokenizer, text, N_TEXT, false, &w->text.all,
	                           &w->text.n_ids, &error));
	ck_assert_uint_eq(w->text.n_ids, N_TEXT);
	w->text.ids = w->text.all;
}

static void close_words(struct words *w)
{
	free(w->text.all);
	tokenizer_destroy(w->eval.session.tokenizer);
	gguf_close(w->gguf);
	gguf_build_free(&w->file);
}

static struct eval_case open_case(const struct words *w, const struct task_case *task)
{
	struct tool_error error = {""};
	struct eval_case c;
	ck_assert_msg(eval_case_open(&w->eval, &w->text, N_PROMPT, task, &c, &error), "%s", error.text);
	return c;
}

/* The text of n tokens, with a NUL. */
static char *text_of(const struct words *w, const int32_t *ids, size_t n)
{
	char *text = malloc(n + 1);
	ck_assert_ptr_nonnull(text);
	for (size_t i = 0; i < n; i++) {
		struct gguf_string s = tokenizer_decode(w->eval.session.tokenizer, ids[i]);
		ck_assert_uint_eq(s.size, 1);
		text[i] = s.data[0];
	}
	text[n] = '\0';
	return text;
}

/* Takes a sentence out of the text; returns how many of the filler's characters stand before it. */
static size_t take_out(char *text, const char *sentence)
{
	char *at = strstr(text, sentence);
	ck_assert_msg(at != NULL, "'%s' isn't hidden", sentence);
	ck_assert_msg(at == text || at[-1] == '.', "'%s' breaks a sentence", sentence);
	memmove(at, at + strlen(sentence), strlen(at + strlen(sentence)) + 1);
	ck_assert_msg(strstr(text, sentence) == NULL, "'%s' is hidden twice", sentence);
	return (size_t)(at - text);
}

/* Behind its place, and no more than a sentence of the filler later; before it only behind the filler's last whole one. Taken
 * out, the filler is whole. */
START_TEST(test_sentences_stand_at_their_places)
{
	struct words w;
	open_words(&w, false);
	for (size_t index = 0; index < 50; index++) {
		struct task_case task;
		task_make(index % 2 ? TASK_KEYS : TASK_TRACKING, 4, 1, index, 50, &task);
		struct eval_case c = open_case(&w, &task);
		size_t at[4], n = N_PROMPT;
		char *text = text_of(&w, c.ids, N_PROMPT);
		for (size_t i = 0; i < 4; i++)
			n -= strlen(task.facts[i].text);
		for (size_t i = 0; i < 4; i++)
			at[i] = take_out(text, task.facts[i].text);
		ck_assert_uint_eq(strlen(text), n);
		for (size_t i = 0; i < 4; i++) {
			double place = task.facts[i].place * (double)n;
			ck_assert_msg(fabs((double)at[i] - place) <= (double)strlen(SENTENCE),
			              "case %zu: sentence %zu is at %zu, not %g", index, i, at[i], place);
			ck_assert_msg((double)at[i] + 1 > place || n - at[i] < strlen(SENTENCE),
			              "case %zu: sentence %zu comes before its place", index, i);
		}
		const char *first = strchr(text, 'N');
		ck_assert(strncmp(first, SENTENCE SENTENCE SENTENCE, strlen(SENTENCE) * 3) == 0);
		free(text);
		eval_case_close(&c);
	}
	close_words(&w);
}
END_TEST

START_TEST(test_the_question_follows_and_answers_are_digits)
{
	struct words w;
	struct task_case task;
	open_words(&w, false);
	task_make(TASK_TURNS, 3, 1, 0, 1, &task);
	struct eval_case c = open_case(&w, &task);
	ck_assert_uint_eq(c.n_questions, 3);
	char *text = text_of(&w, c.ids + N_PROMPT, c.questions[0].n);
	ck_assert_str_eq(text, task.questions[0].text);
	free(text);
	for (size_t i = 0; i < 3; i++) {
		for (size_t k = 0; k < c.questions[i].n_answers; k++) {
			text = text_of(&w, c.questions[i].answers[k], TASK_DIGITS);
			ck_assert_uint_eq(strtoul(text, NULL, 10), task.questions[i].answers[k]);
			free(text);
		}
	}
	eval_case_close(&c);
	close_words(&w);
}
END_TEST

/* What is kept of a case is found by its hash: another answer is another case. */
START_TEST(test_all_tokens_are_in_the_hash)
{
	struct words w;
	struct task_case task;
	open_words(&w, false);
	task_make(TASK_TURNS, 3, 1, 0, 1, &task);
	struct eval_case c = open_case(&w, &task), again = open_case(&w, &task);
	ck_assert_uint_eq(c.hash, again.hash);
	eval_case_close(&again);
	task.questions[2].answers[3]++;
	again = open_case(&w, &task);
	ck_assert_uint_ne(c.hash, again.hash);
	eval_case_close(&again);
	task.questions[2].answers[3]--;
	task.questions[2].text[3]++;
	again = open_case(&w, &task);
	ck_assert_uint_ne(c.hash, again.hash);
	eval_case_close(&again);
	eval_case_close(&c);
	close_words(&w);
}
END_TEST

/* A text of just the prompt's length has one place to begin at: a sanitizer sees what is read behind it. */
START_TEST(test_a_text_may_be_no_longer_than_the_prompt)
{
	struct words w;
	struct task_case task;
	open_words(&w, false);
	task_make(TASK_NEEDLE, 2, 1, 0, 1, &task);
	task.filler = 0.999;
	w.text.all = realloc(w.text.all, N_PROMPT * sizeof *w.text.all);
	ck_assert_ptr_nonnull(w.text.all);
	w.text.ids = w.text.all;
	w.text.n_ids = N_PROMPT;
	struct eval_case c = open_case(&w, &task);
	eval_case_close(&c);
	close_words(&w);
}
END_TEST

static void expect_refused(const struct words *w, size_t n_prompt, const char *why)
{
	struct tool_error error = {""};
	struct task_case task;
	struct eval_case c;
	task_make(TASK_NEEDLE, 2, 1, 0, 4, &task);
	task.questions[0].answers[4] = 14255;
	ck_assert(!eval_case_open(&w->eval, &w->text, n_prompt, &task, &c, &error));
	ck_assert_msg(strstr(error.text, why) != NULL, "'%s'", error.text);
	eval_case_close(&c);
}

START_TEST(test_what_cannot_be_hidden_is_refused)
{
	struct words w;
	open_words(&w, false);
	expect_refused(&w, 40, "too short");
	close_words(&w);
	open_words(&w, true);
	expect_refused(&w, N_PROMPT, "digits one by one");
	close_words(&w);
}
END_TEST

enum { N_BEFORE = 9, N_QUESTION = 4, N_KNOWN = N_BEFORE + N_QUESTION };

struct asked {
	struct session session;
	struct engine_stream stream;
	struct asker asker;
	struct case_question question;
	int32_t tokens[N_KNOWN + TASK_DIGITS];
};

/* Log-likelihood of the digits behind the question, by the reference; each may be made the likeliest before it's looked at. */
static double expected(const struct model *model, int32_t *tokens, bool greedy)
{
	const size_t v = (size_t)model->vocabulary;
	double *logits = calloc((N_KNOWN + TASK_DIGITS) * v, sizeof *logits), sum = 0.0;
	ck_assert_ptr_nonnull(logits);
	for (size_t d = 0; d < TASK_DIGITS; d++) {
		double total = 0.0;
		const double *row = logits + (N_KNOWN + d - 1) * v;
		tiny_model_forward(model, tokens, N_KNOWN + d, logits);
		size_t best = 0;
		for (size_t i = 0; i < v; i++) {
			best = row[i] > row[best] ? i : best;
			total += exp(row[i]);
		}
		if (greedy)
			tokens[N_KNOWN + d] = (int32_t)best;
		sum += row[tokens[N_KNOWN + d]] - log(total);
	}
	free(logits);
	return sum;
}

/* False when there is no device. */
static bool open_asked(struct asked *a)
{
	struct tool_error error = {""};
	clkv_error cause = {0};
	char path[] = "/tmp/clkv-check-eval-case-XXXXXX";
	struct gguf_build file = tiny_model_build(1);
	*a = (struct asked){.question = {.n = N_QUESTION, .n_answers = 3}};
	int fd = mkstemp(path);
	ck_assert_int_ge(fd, 0);
	ck_assert(write(fd, file.data, file.size) == (ssize_t)file.size);
	ck_assert_int_eq(close(fd), 0);
	gguf_build_free(&file);
	ck_assert_msg(model_open(path, &a->session.model, &error), "%s", error.text);
	ck_assert_int_eq(unlink(path), 0);
	clkv_status status = clkv_context_open(NULL, NULL, &a->session.context, &cause);
	if (status == CLKV_ERROR_NO_DEVICE) {
		printf("SKIPPED: no OpenCL device\n");
		model_close(a->session.model);
		return false;
	}
	ck_assert_msg(status == CLKV_OK, "%s", cause.text);
	ck_assert_msg(engine_create(a->session.context, a->session.model,
	                            &(struct engine_options){.max_rows = 32}, &a->session.engine,
	                            &error),
	              "%s", error.text);
	ck_assert_msg(session_stream_open_forked(&a->session, "f16", 64, 1, &a->stream, &error), "%s",
	              error.text);
	ck_assert(eval_asker_open(&a->session, &a->asker, &error));
	return true;
}

static void close_asked(struct asked *a)
{
	eval_asker_close(&a->asker);
	session_stream_close(&a->stream);
	session_close(&a->session);
}

static struct eval_scores ask(struct asked *a, struct engine_stream *stream, size_t from)
{
	struct tool_error error = {""};
	struct eval_scores s;
	ck_assert(eval_scores_open(&s, 1));
	ck_assert_msg(eval_ask(&a->asker, stream, &a->question, from, &s, 0, &error), "%s", error.text);
	return s;
}

/* The right answer is what the model says; the others differ from it in the last digit, and everywhere. Products in f32, keys
 * and values in half: logits are off by some 1e-3 of the largest, five of them by 0.02 at most. */
static void set_answers(struct asked *a, double *likelihood)
{
	int32_t *digits = a->tokens + N_KNOWN;
	for (size_t i = 0; i < N_KNOWN; i++)
		a->tokens[i] = (int32_t)(i * 37 % (size_t)a->session.model->vocabulary);
	for (size_t k = 0; k < 3; k++) {
		if (k == 1)
			digits[TASK_DIGITS - 1] = (digits[TASK_DIGITS - 1] + 1) % a->session.model->vocabulary;
		for (size_t d = 0; k == 2 && d < TASK_DIGITS; d++)
			digits[d] = (digits[d] + 7) % a->session.model->vocabulary;
		likelihood[k] = expected(a->session.model, a->tokens, k == 0);
		memcpy(a->question.answers[k], digits, sizeof a->question.answers[k]);
	}
	a->question.ids = a->tokens + N_BEFORE;
}

START_TEST(test_likelihoods_are_those_of_the_model)
{
	struct tool_error error = {""};
	struct asked a;
	struct engine_stream fork;
	double likelihood[3];
	if (!open_asked(&a))
		return;
	set_answers(&a, likelihood);
	ck_assert(session_prompt(&a.session, &a.stream, a.tokens, N_BEFORE, NULL, &error));
	ck_assert_msg(session_stream_fork(&a.stream, &fork, &error), "%s", error.text);
	struct eval_scores apart = ask(&a, &fork, 0);
	ck_assert_uint_eq(fork.length, N_KNOWN); /* no answer stays */
	ck_assert_uint_eq(a.stream.length, N_BEFORE);
	session_stream_fork_close(&fork);
	ck_assert_double_eq_tol(apart.loss[0], -likelihood[0], 0.02);
	ck_assert_double_eq_tol(apart.divergence[0], likelihood[0] - fmax(likelihood[1], likelihood[2]),
	                        0.04);
	ck_assert_double_eq(apart.agreed[0], 1.0);

	/* but for its last token the question stands in the prompt: the same to rounding; a wrong answer isn't the greedy one */
	ck_assert(eval_feed(&a.asker, &a.stream, a.question.ids, N_QUESTION - 1, &error));
	memcpy(a.question.answers[0], a.question.answers[1], sizeof a.question.answers[0]);
	struct eval_scores wrong = ask(&a, &a.stream, N_QUESTION - 1);
	ck_assert_double_eq_tol(wrong.loss[0], -likelihood[1], 0.02);
	ck_assert_double_eq(wrong.agreed[0], 0.0);
	eval_scores_close(&apart);
	eval_scores_close(&wrong);
	close_asked(&a);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("eval_case");
	TCase *cases = tcase_create("case");
	tcase_add_test(cases, test_sentences_stand_at_their_places);
	tcase_add_test(cases, test_the_question_follows_and_answers_are_digits);
	tcase_add_test(cases, test_all_tokens_are_in_the_hash);
	tcase_add_test(cases, test_a_text_may_be_no_longer_than_the_prompt);
	tcase_add_test(cases, test_what_cannot_be_hidden_is_refused);
	suite_add_tcase(suite, cases);
	TCase *asked = tcase_create("ask");
	tcase_set_timeout(asked, 300);
	tcase_add_test(asked, test_likelihoods_are_those_of_the_model);
	suite_add_tcase(suite, asked);
	return run_suite(suite);
}
