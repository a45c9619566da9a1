/* SPDX-License-Identifier: MIT */
/**
 * \file    eval_needle.c
 * \brief   A key hidden at several depths of filler, asked for behind a compressed prompt.
 *
 * At each depth two trials. A: the cache is compressed, then the question is fed. B: the question
 * is in the prompt when that is compressed, but for its last token. A trial is right when the key
 * is likelier than nine others; its margin is the difference of log-likelihood to the best of them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "eval.h"
#include "logits.h"
#include "progress.h"

#define N_DEPTHS 4
#define N_KEYS 10
#define KEY_DIGITS 5

struct tokens {
	int32_t *ids;
	size_t n;
};

/* One depth: prompt, question, and the keys to choose from; keys[0] is the right one. */
struct haystack {
	struct tokens prompt, question;
	struct tokens keys[N_KEYS];
};

struct tally {
	struct engine_stream stream;
	size_t right;
	double margin, bytes_per_token;
};

static bool encode(struct eval *eval, const char *text, struct tokens *out,
                   struct tool_error *error)
{
	return tokenizer_encode(eval->session.tokenizer, text, strlen(text), false, &out->ids, &out->n,
	                        error);
}

static void free_haystack(struct haystack *hay)
{
	free(hay->prompt.ids);
	free(hay->question.ids);
	for (size_t i = 0; i < N_KEYS; i++)
		free(hay->keys[i].ids);
}

/* Different keys for each depth, the same in every run: a linear congruence with period 100,000
 * over numbers of five digits. */
static unsigned key_of(size_t depth, size_t i)
{
	unsigned n = (unsigned)(depth * N_KEYS + i + 1);
	return 10000 + (n * 38501U + 7919U) % 90000;
}

static bool encode_keys(struct eval *eval, struct haystack *hay, size_t depth,
                        struct tool_error *error)
{
	for (size_t i = 0; i < N_KEYS; i++) {
		char digits[16];
		(void)snprintf(digits, sizeof digits, "%u", key_of(depth, i));
		if (!encode(eval, digits, &hay->keys[i], error))
			return false;
		if (hay->keys[i].n != KEY_DIGITS)
			return tool_fail(error, "this model's tokenizer doesn't cut digits one by one: needles "
			                        "need that");
	}
	return true;
}

/* The first token behind `from` that ends a sentence, so that the needle doesn't break one. */
static size_t sentence_end(struct eval *eval, size_t from, size_t most)
{
	for (size_t i = from; i < most; i++) {
		struct gguf_string text = tokenizer_decode(eval->session.tokenizer, eval->ids[i]);
		if (text.size > 0 && text.data[text.size - 1] == '.')
			return i + 1;
	}
	return from;
}

static bool fill_prompt(struct eval *eval, struct haystack *hay, size_t depth,
                        struct tool_error *error)
{
	char text[160];
	struct tokens needle;
	size_t n = eval->options->context;
	(void)snprintf(text, sizeof text, " The secret key is %u. Remember it: the secret key is %u.",
	               key_of(depth, 0), key_of(depth, 0));
	if (!encode(eval, text, &needle, error))
		return false;
	hay->prompt.n = n;
	hay->prompt.ids = calloc(n, sizeof *hay->prompt.ids);
	if (hay->prompt.ids == NULL || needle.n >= n) {
		free(needle.ids);
		return tool_fail(error, "a context of %zu tokens is too short for needles", n);
	}
	size_t filler = n - needle.n;
	size_t at = sentence_end(eval, filler * (2 * depth + 1) / (2 * N_DEPTHS), filler);
	memcpy(hay->prompt.ids, eval->ids, at * sizeof(int32_t));
	memcpy(hay->prompt.ids + at, needle.ids, needle.n * sizeof(int32_t));
	memcpy(hay->prompt.ids + at + needle.n, eval->ids + at, (filler - at) * sizeof(int32_t));
	free(needle.ids);
	return true;
}

static bool make_haystack(struct eval *eval, struct haystack *hay, size_t depth,
                          struct tool_error *error)
{
	/* the blank at the end is a token of its own: digits follow it without one */
	return fill_prompt(eval, hay, depth, error) && encode_keys(eval, hay, depth, error) &&
	       encode(eval, "\n\nWhat is the secret key? The secret key is ", &hay->question, error);
}

static bool feed(struct eval *eval, struct engine_stream *stream, const int32_t *ids, size_t n,
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
	return engine_run(eval->session.engine, &pass, error);
}

/* Log-likelihood of each key behind the stream, whose last logits are `first`. */
static bool rank_keys(struct eval *eval, struct engine_stream *stream, const struct haystack *hay,
                      const float *first, float *logits, double *likelihood,
                      struct tool_error *error)
{
	size_t vocabulary = (size_t)eval->session.model->vocabulary;
	double first_sum = logits_log_sum(first, vocabulary);
	for (size_t i = 0; i < N_KEYS; i++) {
		const int32_t *key = hay->keys[i].ids;
		likelihood[i] = (double)first[key[0]] - first_sum;
		if (!feed(eval, stream, key, KEY_DIGITS - 1, true, ENGINE_ALL_LOGITS, logits, error))
			return false;
		for (size_t d = 1; d < KEY_DIGITS; d++) {
			const float *row = logits + (d - 1) * vocabulary;
			likelihood[i] += (double)row[key[d]] - logits_log_sum(row, vocabulary);
		}
	}
	return true;
}

/* Asks behind a stream that holds the prompt and, of the question, what isn't in `rest`. */
static bool ask(struct eval *eval, struct tally *tally, const struct haystack *hay,
                const struct tokens *rest, struct tool_error *error)
{
	size_t vocabulary = (size_t)eval->session.model->vocabulary;
	double likelihood[N_KEYS];
	float *logits = calloc(KEY_DIGITS * vocabulary, sizeof *logits);
	if (logits == NULL)
		return tool_fail(error, "out of memory");
	float *first = logits + (KEY_DIGITS - 1) * vocabulary;
	bool done =
		feed(eval, &tally->stream, rest->ids, rest->n, false, ENGINE_LAST_LOGITS, first, error) &&
		rank_keys(eval, &tally->stream, hay, first, logits, likelihood, error);
	free(logits);
	if (!done)
		return false;
	double best = likelihood[1];
	for (size_t i = 2; i < N_KEYS; i++)
		best = likelihood[i] > best ? likelihood[i] : best;
	tally->right += likelihood[0] > best;
	tally->margin += likelihood[0] - best;
	return true;
}

/* One trial: n rows of the exact prompt, compressed, then the rest of the question. */
static bool try_once(struct eval *eval, struct tally *tally, const char *recipe,
                     const struct engine_stream *exact, size_t n, const struct haystack *hay,
                     const struct tokens *rest, struct tool_error *error)
{
	uint64_t bytes;
	if (!session_stream_restart(&tally->stream, error) ||
	    !engine_copy_rows(eval->session.engine, &tally->stream, exact, 0, n, CLKV_PROMPT_END,
	                      error) ||
	    !engine_finish(eval->session.engine, error) ||
	    !session_stream_bytes(&tally->stream, &bytes, error))
		return false;
	if (tally->bytes_per_token == 0.0) /* the first trial: all are alike */
		session_half_say(&tally->stream, recipe);
	tally->bytes_per_token = (double)bytes / (double)n;
	return ask(eval, tally, hay, rest, error);
}

static bool try_depth(struct eval *eval, struct engine_stream *exact, const struct haystack *hay,
                      struct tally *tallies, struct tool_error *error)
{
	size_t n = hay->prompt.n;
	struct tokens last = {hay->question.ids + hay->question.n - 1, 1};
	if (!session_stream_restart(exact, error) ||
	    !session_prompt(&eval->session, exact, hay->prompt.ids, n, "prompt", error) ||
	    !session_prompt(&eval->session, exact, hay->question.ids, hay->question.n, NULL, error))
		return false;
	for (size_t i = 0; i < eval->options->n_recipes; i++) {
		progress_show(eval->options->recipes[i], i, eval->options->n_recipes);
		if (!try_once(eval, &tallies[i], eval->options->recipes[i], exact, n + hay->question.n - 1,
		              hay, &last, error) ||
		    !try_once(eval, &tallies[i], eval->options->recipes[i], exact, n, hay, &hay->question,
		              error))
			return false;
	}
	return true;
}

static bool try_all(struct eval *eval, struct engine_stream *exact, struct tally *tallies,
                    struct tool_error *error)
{
	const struct eval_options *options = eval->options;
	size_t most = options->context + 64; /* the question and a key behind the prompt */
	size_t traced = 0;
	if (!session_stream_open(&eval->session, "f16", most, exact, error))
		return false;
	for (size_t i = 0; i < options->n_recipes; i++) {
		if (!session_stream_open(&eval->session, options->recipes[i], most, &tallies[i].stream,
		                         error))
			return false;
		size_t wanted = engine_trace_wanted(tallies[i].stream.cache, most);
		traced = wanted > traced ? wanted : traced;
	}
	if (!engine_trace(eval->session.engine, exact, traced, error))
		return false;
	for (size_t depth = 0; depth < N_DEPTHS; depth++) {
		struct haystack hay;
		memset(&hay, 0, sizeof hay);
		bool done =
			make_haystack(eval, &hay, depth, error) && try_depth(eval, exact, &hay, tallies, error);
		free_haystack(&hay);
		if (!done)
			return false;
	}
	return true;
}

bool eval_needle(struct eval *eval, struct eval_result *results, struct tool_error *error)
{
	size_t n = eval->options->n_recipes;
	struct engine_stream exact = {0};
	struct tally *tallies = calloc(n, sizeof *tallies);
	if (tallies == NULL)
		return tool_fail(error, "out of memory");
	bool done = try_all(eval, &exact, tallies, error);
	for (size_t i = 0; i < n; i++) {
		const size_t trials = (size_t)2 * N_DEPTHS;
		results[i] = (struct eval_result){
			.recipe = eval->options->recipes[i],
			.trials = trials,
			.accuracy = (double)tallies[i].right / (double)trials,
			.margin = tallies[i].margin / (double)trials,
			.bytes_per_token = tallies[i].bytes_per_token,
			.ratio = (double)session_f16_bytes(&eval->session) / tallies[i].bytes_per_token,
		};
		session_stream_close(&tallies[i].stream);
	}
	session_stream_close(&exact);
	free(tallies);
	progress_clear();
	return done;
}
