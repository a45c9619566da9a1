/* SPDX-License-Identifier: MIT */
/**
 * \file    eval_runs.h
 * \brief   The streams of all recipes on one text.
 */
#ifndef EVAL_RUNS_H
#define EVAL_RUNS_H

#include "eval.h"

/** Run 0 is the f16 reference, runs 1 .. n - 1 are the wanted recipes as given (an "f16" shares run 0). */
struct eval_run {
	const char *recipe;
	size_t slot; /* 0: f16; 1 + i: recipe i */
	struct engine_stream stream;
	double bytes_per_token, decode_tokens_per_s, prefill_tokens_per_s;
};

struct eval_runs {
	struct eval *eval;
	struct eval_run *run;
	size_t n;
	size_t *of_recipe; /* [n_recipes] index into run */
	size_t rows;       /* tokens of each stream in one pass, at most */
	size_t forks;      /* of each stream at a time, set before they are opened */
	float *logits;     /* [n][rows][vocabulary] */
	struct engine_stream **streams;
	int32_t *tokens; /* [n][rows] */
};

/** Opens empty streams of the wanted recipes (NULL: all) with room for most_tokens. A zeroed runs with eval set may be closed
 *  at any time. */
bool eval_runs_open(struct eval_runs *runs, const bool *wanted, size_t most_tokens,
                    struct tool_error *error);
void eval_runs_close(struct eval_runs *runs);

/** Gives run i the window's first n tokens as its prompt, in place of what it holds: the first run computes them, the others
 *  get its rows, or compute them themselves where --prompt says so. */
bool eval_runs_give(struct eval_runs *runs, size_t i, size_t n, struct tool_error *error);

/** Gives all runs the prompt of --context, and notes what it takes. */
bool eval_runs_prompt(struct eval_runs *runs, struct tool_error *error);

/** Feeds tokens from .. from + n - 1 of the window as generated ones, some at a time: they see what rows one by one would,
 *  and what leaves the window of a recipe does so after each pass. */
bool eval_runs_generate(struct eval_runs *runs, struct engine_stream *stream, size_t from, size_t n,
                        struct tool_error *error);

/** Notes what a run's cache takes for the tokens that it holds; says: tells if it holds all of them in half. */
bool eval_runs_note(struct eval_run *run, size_t n_tokens, bool says, struct tool_error *error);

#endif
