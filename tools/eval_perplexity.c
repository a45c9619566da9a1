/* SPDX-License-Identifier: MIT */
/**
 * \file    eval_perplexity.c
 * \brief   Perplexity behind a compressed prompt, all recipes in lockstep.
 *
 * Tokens 0 .. T-1 are the prompt, the next G are fed as generated ones. With N = T + G, tokens N .. N+M-1 are fed one by
 * one, and what they predict, tokens N+1 .. N+M, is scored. The streams of all recipes advance together: the linear layers read
 * their weights once for all of them, attention goes through each recipe's own cache.
 */
#include <math.h>
#include <string.h>

#include "eval_runs.h"
#include "logits.h"
#include "progress.h"

/* Steps of one stream alone that are timed behind the scored tokens, and those before that warm up.
 */
#define TIMED_STEPS 16
#define WARM_UP_STEPS 3

/* Rows of generation that are fed in one pass: below a block, so that tokens leave a window no later than one by one. */
#define GENERATED_ROWS 32

static void score(struct eval_runs *runs, int32_t target)
{
	size_t vocabulary = (size_t)runs->eval->session.model->vocabulary;
	const float *reference = runs->logits;
	double reference_sum = logits_log_sum(reference, vocabulary);
	size_t reference_best = logits_best(reference, vocabulary);
	for (size_t i = 0; i < runs->n; i++) {
		const float *own = runs->logits + i * vocabulary;
		double sum = i == 0 ? reference_sum : logits_log_sum(own, vocabulary);
		runs->run[i].loss += sum - (double)own[target];
		runs->run[i].agreed += i == 0 || logits_best(own, vocabulary) == reference_best;
		if (i > 0)
			runs->run[i].divergence +=
				logits_divergence(reference, reference_sum, own, sum, vocabulary);
	}
}

static bool step_all(struct eval_runs *runs, int32_t token, struct tool_error *error)
{
	for (size_t i = 0; i < runs->n; i++)
		runs->tokens[i] = token;
	struct engine_pass pass = {
		.streams = runs->streams,
		.n_streams = runs->n,
		.tokens = runs->tokens,
		.n_each = 1,
		.phase = CLKV_DECODE,
		.want = ENGINE_LAST_LOGITS,
		.logits = runs->logits,
	};
	return engine_run(runs->eval->session.engine, &pass, error);
}

/* The text behind the prompt as rows of generation, GENERATED_ROWS at a time: they see what rows one by one would, and
 * what leaves the window does so after each pass. */
static bool generate_all(struct eval_runs *runs, struct tool_error *error)
{
	const struct eval *eval = runs->eval;
	size_t n, left = eval->options->generated, at = eval->options->context;
	for (; left > 0; left -= n, at += n) {
		n = left < GENERATED_ROWS ? left : GENERATED_ROWS;
		for (size_t i = 0; i < runs->n; i++) {
			struct engine_pass pass = {
				.streams = &runs->streams[i],
				.n_streams = 1,
				.tokens = eval->ids + at,
				.n_each = n,
				.phase = CLKV_DECODE,
			};
			if (!engine_run(eval->session.engine, &pass, error))
				return false;
		}
		progress_show("generated", eval->options->generated - left, eval->options->generated);
	}
	for (size_t i = 0; i < runs->n && eval->options->generated > 0; i++)
		if (!eval_runs_note(&runs->run[i], at, error))
			return false;
	return true;
}

static bool score_all(struct eval_runs *runs, struct tool_error *error)
{
	const struct eval *eval = runs->eval;
	size_t from = eval->options->context + eval->options->generated;
	for (size_t i = 0; i < eval->options->tokens; i++) {
		if (!step_all(runs, eval->ids[from + i], error))
			return false;
		score(runs, eval->ids[from + i + 1]);
		progress_show("scoring", i + 1, eval->options->tokens);
	}
	return true;
}

/* Generation speed of one stream alone, at the depth reached. Any tokens do: those of the prompt.
 */
static bool time_decoding(struct eval_runs *runs, struct eval_run *run, struct tool_error *error)
{
	struct engine_stream *stream = &run->stream;
	double begin = 0.0;
	for (size_t i = 0; i < WARM_UP_STEPS + TIMED_STEPS; i++) {
		struct engine_pass pass = {
			.streams = &stream,
			.n_streams = 1,
			.tokens = runs->eval->ids + i % runs->eval->options->context,
			.n_each = 1,
			.phase = CLKV_DECODE,
			.want = ENGINE_LAST_LOGITS,
			.logits = runs->logits,
		};
		if (i == WARM_UP_STEPS)
			begin = tool_seconds();
		if (!engine_run(runs->eval->session.engine, &pass, error))
			return false;
	}
	run->decode_tokens_per_s = TIMED_STEPS / (tool_seconds() - begin);
	return true;
}

static void report(const struct eval_runs *runs, struct eval_result *results)
{
	const struct eval_options *options = runs->eval->options;
	double m = (double)options->tokens;
	double reference = exp(runs->run[0].loss / m);
	for (size_t i = 0; i < options->n_recipes; i++) {
		const struct eval_run *run = &runs->run[runs->of_recipe[i]];
		double ppl = exp(run->loss / m);
		results[i] = (struct eval_result){
			.recipe = options->recipes[i],
			.ppl = ppl,
			.ppl_ref = reference,
			.delta_pct = 100.0 * (ppl / reference - 1.0),
			.kl_mean = run->divergence / m,
			.top1_agree = (double)run->agreed / m,
			.bytes_per_token = run->bytes_per_token,
			.ratio = (double)session_f16_bytes(&runs->eval->session) / run->bytes_per_token,
			.decode_tokens_per_s = run->decode_tokens_per_s,
			.prefill_tokens_per_s = run->prefill_tokens_per_s,
		};
	}
}

bool eval_perplexity(struct eval *eval, struct eval_result *results, struct tool_error *error)
{
	struct eval_runs runs = {.eval = eval};
	bool done = eval_runs_open(&runs, TIMED_STEPS + WARM_UP_STEPS, error) &&
	            eval_runs_prompt(&runs, error) && generate_all(&runs, error) &&
	            score_all(&runs, error);
	for (size_t i = 0; i < runs.n && done; i++) {
		progress_show("timing", i, runs.n);
		done = time_decoding(&runs, &runs.run[i], error);
	}
	if (done)
		report(&runs, results);
	eval_runs_close(&runs);
	progress_clear();
	return done;
}
