/* SPDX-License-Identifier: MIT */
/**
 * \file    eval_runs.h
 * \brief   The streams of all recipes on one text.
 */
#ifndef EVAL_RUNS_H
#define EVAL_RUNS_H

#include "eval.h"

/** Run 0 is the f16 reference, runs 1 .. n - 1 are the recipes as given (an "f16" shares run 0). */
struct eval_run {
	const char *recipe;
	struct engine_stream stream;
	double loss, divergence; /* sums over scored tokens, nats */
	size_t agreed;
	double attention_error, mass; /* sums over rows, layers and query heads */
	double bytes_per_token, decode_tokens_per_s, prefill_tokens_per_s;
};

struct eval_runs {
	struct eval *eval;
	struct eval_run *run;
	size_t n;
	size_t *of_recipe; /* [n_recipes] index into run */
	float *logits;     /* [n][vocabulary] */
	struct engine_stream **streams;
	int32_t *tokens; /* [n] */
};

/** Opens empty streams with room for the prompt, the tokens to be fed and `more`. A zeroed runs with eval
 *  set may be closed at any time. */
bool eval_runs_open(struct eval_runs *runs, size_t more, struct tool_error *error);
void eval_runs_close(struct eval_runs *runs);

/** The first run computes the prompt; the others get its rows, or compute it themselves when the prompt is
 *  to be sealed chunk by chunk. */
bool eval_runs_prompt(struct eval_runs *runs, struct tool_error *error);

/** Notes what a run's cache takes for the tokens that it holds, and says if it holds all of them in half. */
bool eval_runs_note(struct eval_run *run, size_t n_tokens, struct tool_error *error);

#endif
