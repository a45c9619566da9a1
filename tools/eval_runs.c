/* SPDX-License-Identifier: MIT */
/**
 * \file    eval_runs.c
 * \brief   A stream for each recipe, with the prompt in its cache.
 */
#include "eval_runs.h"

#include <stdlib.h>
#include <string.h>

#include "progress.h"

bool eval_runs_open(struct eval_runs *runs, size_t more, struct tool_error *error)
{
	const struct eval_options *options = runs->eval->options;
	size_t vocabulary = (size_t)runs->eval->session.model->vocabulary;
	size_t most_tokens = options->context + options->generated + options->tokens + more;
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
	/* the others get the queries of the prompt with its rows */
	size_t traced = 0;
	for (size_t i = 0; i < runs->n; i++) {
		size_t wanted = engine_trace_wanted(runs->streams[i]->cache, most_tokens);
		traced = wanted > traced ? wanted : traced;
	}
	return engine_trace(runs->eval->session.engine, runs->streams[0], traced, error);
}

void eval_runs_close(struct eval_runs *runs)
{
	for (size_t i = 0; i < runs->n; i++)
		session_stream_close(&runs->run[i].stream);
	free(runs->run);
	free(runs->of_recipe);
	free(runs->streams);
	free(runs->tokens);
	free(runs->logits);
}

bool eval_runs_note(struct eval_run *run, size_t n_tokens, struct tool_error *error)
{
	uint64_t bytes;
	if (!session_stream_bytes(&run->stream, &bytes, error))
		return false;
	run->bytes_per_token = (double)bytes / (double)n_tokens;
	session_half_say(&run->stream, run->recipe);
	return true;
}

bool eval_runs_prompt(struct eval_runs *runs, struct tool_error *error)
{
	struct eval *eval = runs->eval;
	size_t n = eval->options->context;
	for (size_t i = 0; i < runs->n; i++) {
		struct eval_run *run = &runs->run[i];
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
		if (!engine_finish(eval->session.engine, error))
			return false;
		/* where tokens are generated behind it, they count too */
		if (eval->options->generated == 0 && !eval_runs_note(run, n, error))
			return false;
	}
	return true;
}
