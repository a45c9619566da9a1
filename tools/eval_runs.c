/* SPDX-License-Identifier: MIT */
/**
 * \file    eval_runs.c
 * \brief   A stream for each recipe, with the prompt in its cache.
 */
#include "eval_runs.h"

#include <stdlib.h>
#include <string.h>

#include "progress.h"
#include "reread.h"

/* Rows of generation that are fed in one pass: below a block, so that tokens leave a window no later than one by one. */
#define GENERATED_ROWS 32

static bool allocate(struct eval_runs *runs, struct tool_error *error)
{
	const struct eval_options *options = runs->eval->options;
	const size_t most = options->n_recipes + 1;
	runs->run = calloc(most, sizeof *runs->run);
	runs->of_recipe = calloc(most, sizeof *runs->of_recipe);
	runs->streams = calloc(most, sizeof *runs->streams);
	return (runs->run != NULL && runs->of_recipe != NULL && runs->streams != NULL) ||
	       tool_fail(error, "out of memory");
}

static void list_runs(struct eval_runs *runs, const bool *wanted)
{
	const struct eval_options *options = runs->eval->options;
	runs->run[runs->n++].recipe = "f16";
	for (size_t i = 0; i < options->n_recipes; i++) {
		if (strcmp(options->recipes[i], "f16") == 0 || (wanted != NULL && !wanted[i]))
			continue;
		runs->of_recipe[i] = runs->n;
		runs->run[runs->n].slot = i + 1;
		runs->run[runs->n++].recipe =
			options->alone[i] != NULL ? options->alone[i] : options->recipes[i];
	}
}

/* A pass takes so many rows of each stream as the engine has room for. */
static bool allocate_rows(struct eval_runs *runs, struct tool_error *error)
{
	size_t vocabulary = (size_t)runs->eval->session.model->vocabulary;
	size_t most = engine_max_rows(runs->eval->session.engine) / runs->n;
	runs->rows = runs->eval->options->rows < most ? runs->eval->options->rows : most;
	runs->rows = runs->rows > 0 ? runs->rows : 1;
	runs->tokens = calloc(runs->n * runs->rows, sizeof *runs->tokens);
	runs->logits = calloc(runs->n * runs->rows * vocabulary, sizeof *runs->logits);
	return (runs->tokens != NULL && runs->logits != NULL) || tool_fail(error, "out of memory");
}

/* A recipe that has files of its own is opened with these. */
static bool open_stream(struct eval_runs *runs, struct eval_run *run, size_t most_tokens,
                        struct tool_error *error)
{
	struct session session = runs->eval->session;
	const struct given_files *own =
		run->slot > 0 ? runs->eval->options->given_of[run->slot - 1] : NULL;
	if (own != NULL)
		session.given = *own;
	return session_stream_open_forked(&session, run->recipe, most_tokens, runs->forks, &run->stream,
	                                  error);
}

static bool open_streams(struct eval_runs *runs, size_t most_tokens, struct tool_error *error)
{
	for (size_t i = 0; i < runs->n; i++) {
		runs->streams[i] = &runs->run[i].stream;
		if (!open_stream(runs, &runs->run[i], most_tokens, error))
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

bool eval_runs_open(struct eval_runs *runs, const bool *wanted, size_t most_tokens,
                    struct tool_error *error)
{
	if (!allocate(runs, error))
		return false;
	list_runs(runs, wanted);
	return allocate_rows(runs, error) && open_streams(runs, most_tokens, error);
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

bool eval_runs_note(struct eval_run *run, size_t n_tokens, bool says, struct tool_error *error)
{
	uint64_t bytes;
	if (!session_stream_bytes(&run->stream, &bytes, error))
		return false;
	run->bytes_per_token = (double)bytes / (double)n_tokens;
	if (says)
		session_half_say(&run->stream, run->recipe);
	return true;
}

bool eval_runs_generate(struct eval_runs *runs, struct engine_stream *stream, size_t from, size_t n,
                        struct tool_error *error)
{
	for (size_t done = 0, rows; done < n; done += rows) {
		rows = n - done < GENERATED_ROWS ? n - done : GENERATED_ROWS;
		struct engine_pass pass = {
			.streams = &stream,
			.n_streams = 1,
			.tokens = runs->eval->ids + from + done,
			.n_each = rows,
			.phase = CLKV_DECODE,
		};
		if (!engine_run(runs->eval->session.engine, &pass, error))
			return false;
		progress_show("as generated", done + rows, n);
	}
	return true;
}

bool eval_runs_give(struct eval_runs *runs, size_t i, size_t n, struct tool_error *error)
{
	struct eval *eval = runs->eval;
	struct eval_run *run = &runs->run[i];
	double begin = tool_seconds();
	if (run->stream.length > 0 && !session_stream_restart(&run->stream, error))
		return false;
	if (i > 0 && eval->options->prompt == EVAL_PROMPT_EXACT) {
		progress_show(run->recipe, i, runs->n);
		run->prefill_tokens_per_s = runs->run[0].prefill_tokens_per_s;
		return engine_copy_rows(eval->session.engine, &run->stream, &runs->run[0].stream, 0, n,
		                        reread_last_phase(&run->stream), error) &&
		       reread_end(&eval->session, &run->stream, eval->ids, n, NULL, error) &&
		       engine_finish(eval->session.engine, error);
	}
	if (!(eval->options->prompt == EVAL_PROMPT_GROWING
	          ? eval_runs_generate(runs, &run->stream, 0, n, error)
	          : session_prompt(&eval->session, &run->stream, eval->ids, n, "prompt", error)) ||
	    !engine_finish(eval->session.engine, error))
		return false;
	run->prefill_tokens_per_s = (double)n / (tool_seconds() - begin);
	return true;
}

bool eval_runs_prompt(struct eval_runs *runs, struct tool_error *error)
{
	const struct eval_options *options = runs->eval->options;
	for (size_t i = 0; i < runs->n; i++) {
		if (!eval_runs_give(runs, i, options->contexts[0], error))
			return false;
		/* where tokens are generated behind it, they count too */
		if (options->generated == 0 &&
		    !eval_runs_note(&runs->run[i], options->contexts[0], true, error))
			return false;
	}
	return true;
}
