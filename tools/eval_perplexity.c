/* SPDX-License-Identifier: MIT */
/**
 * \file    eval_perplexity.c
 * \brief   Perplexity behind a compressed prompt, all recipes in lockstep.
 *
 * Tokens 0 .. T-1 are the prompt. Tokens T .. T+M-1 are fed one by one, and what they predict,
 * tokens T+1 .. T+M, is scored. The streams of all recipes advance together: the linear layers read
 * their weights once for all of them, attention goes through each recipe's own cache.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "eval.h"
#include "logits.h"
#include "progress.h"

/* Steps of one stream alone that are timed behind the scored tokens, and those before that warm up.
 */
#define TIMED_STEPS 16
#define WARM_UP_STEPS 3

/* Run 0 is the f16 reference, runs 1 .. n_recipes are the recipes as given (an "f16" shares run 0).
 */
struct run {
	const char *recipe;
	struct engine_stream stream;
	double loss, divergence; /* sums over scored tokens, nats */
	size_t agreed;
	double bytes_per_token, decode_tokens_per_s, prefill_tokens_per_s;
};

struct runs {
	struct eval *eval;
	struct run *run;
	size_t n;
	size_t *of_recipe; /* [n_recipes] index into run */
	float *logits;     /* [n][vocabulary] */
	struct engine_stream **streams;
	int32_t *tokens; /* [n] */
};

static bool open_runs(struct runs *runs, struct tool_error *error)
{
	const struct eval_options *options = runs->eval->options;
	size_t vocabulary = (size_t)runs->eval->session.model->vocabulary;
	size_t most_tokens = options->context + options->tokens + TIMED_STEPS + WARM_UP_STEPS;
	runs->run = calloc(options->n_recipes + 1, sizeof *runs->run);
	runs->of_recipe = calloc(options->n_recipes, sizeof *runs->of_recipe);
	runs->streams = calloc(options->n_recipes + 1, sizeof *runs->streams);
	runs->tokens = calloc(options->n_recipes + 1, sizeof *runs->tokens);
	runs->logits = calloc((options->n_recipes + 1) * vocabulary, sizeof *runs->logits);
	if (runs->run == NULL || runs->of_recipe == NULL || runs->streams == NULL ||
	    runs->tokens == NULL || runs->logits == NULL)
		return tool_fail(error, "out of memory");
	runs->run[runs->n++].recipe = "f16";
	for (size_t i = 0; i < options->n_recipes; i++) {
		if (strcmp(options->recipes[i], "f16") == 0)
			continue;
		runs->of_recipe[i] = runs->n;
		runs->run[runs->n++].recipe = options->recipes[i];
	}
	for (size_t i = 0; i < runs->n; i++) {
		runs->streams[i] = &runs->run[i].stream;
		if (!session_stream_open(&runs->eval->session, runs->run[i].recipe, most_tokens,
		                         &runs->run[i].stream, error))
			return false;
	}
	/* the others get the queries of the prompt's end with its rows */
	return engine_trace(runs->eval->session.engine, runs->streams[0], error);
}

static void close_runs(struct runs *runs)
{
	for (size_t i = 0; i < runs->n; i++)
		session_stream_close(&runs->run[i].stream);
	free(runs->run);
	free(runs->of_recipe);
	free(runs->streams);
	free(runs->tokens);
	free(runs->logits);
}

static bool note_bytes(struct run *run, size_t n_tokens, struct tool_error *error)
{
	uint64_t bytes;
	if (!session_stream_bytes(&run->stream, &bytes, error))
		return false;
	run->bytes_per_token = (double)bytes / (double)n_tokens;
	return true;
}

/* The first run computes the prompt; the others get its rows, or compute it themselves when the
 * prompt is to be sealed chunk by chunk. */
static bool fill_prompts(struct runs *runs, struct tool_error *error)
{
	struct eval *eval = runs->eval;
	size_t n = eval->options->context;
	for (size_t i = 0; i < runs->n; i++) {
		struct run *run = &runs->run[i];
		double begin = tool_seconds();
		if (i == 0 || eval->options->chunked) {
			if (!session_prompt(&eval->session, &run->stream, eval->ids, n, "prompt", error))
				return false;
			run->prefill_tokens_per_s = (double)n / (tool_seconds() - begin);
		} else {
			progress_show(run->recipe, i, runs->n);
			if (!engine_copy_rows(eval->session.engine, &run->stream, &runs->run[0].stream, 0, n,
			                      CLKV_PROMPT_END, error))
				return false;
			run->prefill_tokens_per_s = runs->run[0].prefill_tokens_per_s;
		}
		if (!engine_finish(eval->session.engine, error) || !note_bytes(run, n, error))
			return false;
	}
	return true;
}

static void score(struct runs *runs, int32_t target)
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

static bool step_all(struct runs *runs, int32_t token, struct tool_error *error)
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

static bool score_all(struct runs *runs, struct tool_error *error)
{
	const struct eval *eval = runs->eval;
	size_t from = eval->options->context;
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
static bool time_decoding(struct runs *runs, struct run *run, struct tool_error *error)
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

static void report(const struct runs *runs, struct eval_result *results)
{
	const struct eval_options *options = runs->eval->options;
	double m = (double)options->tokens;
	double reference = exp(runs->run[0].loss / m);
	for (size_t i = 0; i < options->n_recipes; i++) {
		const struct run *run = &runs->run[runs->of_recipe[i]];
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
	struct runs runs = {.eval = eval};
	bool done = open_runs(&runs, error) && fill_prompts(&runs, error) && score_all(&runs, error);
	for (size_t i = 0; i < runs.n && done; i++) {
		progress_show("timing", i, runs.n);
		done = time_decoding(&runs, &runs.run[i], error);
	}
	if (done)
		report(&runs, results);
	close_runs(&runs);
	progress_clear();
	return done;
}
