/* SPDX-License-Identifier: MIT */
/**
 * \file    eval_attention.c
 * \brief   What recipes do to attention alone, over all layers and heads.
 *
 * The prompt and the tokens behind it are those of eval_perplexity.c.
 */
#include "eval_heads.h"
#include "progress.h"

static void report(const struct eval_runs *runs, const struct eval_heads *heads,
                   struct eval_result *results)
{
	const struct eval *eval = runs->eval;
	const struct eval_options *options = eval->options;
	const size_t each = heads->layers * heads->heads;
	const double n = (double)options->tokens * (double)each;
	for (size_t i = 0; i < options->n_recipes; i++) {
		const size_t r = runs->of_recipe[i];
		const struct eval_run *run = &runs->run[r];
		results[i] = (struct eval_result){
			.recipe = options->recipes[i],
			.attention_error = eval_scores_sum(heads->error + r * each, each) / n,
			.mass = eval_scores_sum(heads->mass + r * each, each) / n,
			.bytes_per_token = run->bytes_per_token,
			.ratio = (double)session_f16_bytes(&eval->session) / run->bytes_per_token,
			.prefill_tokens_per_s = run->prefill_tokens_per_s,
		};
	}
}

bool eval_attention(struct eval *eval, struct eval_result *results, struct tool_error *error)
{
	struct eval_runs runs = {.eval = eval};
	struct eval_heads heads = {0};
	bool done = eval_runs_open(&runs, NULL, eval_window_tokens(eval->options), error) &&
	            eval_runs_prompt(&runs, error) &&
	            eval_heads_compare(&runs, eval->options->tokens, &heads, error);
	if (done)
		report(&runs, &heads, results);
	eval_heads_close(&heads);
	eval_runs_close(&runs);
	progress_clear();
	return done;
}
