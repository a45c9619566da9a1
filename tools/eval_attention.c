/* SPDX-License-Identifier: MIT */
/**
 * \file    eval_attention.c
 * \brief   What recipes do to attention alone: every layer gets the exact run's k, v and q.
 *
 * The prompt and the tokens behind it are those of eval_perplexity.c, but only the exact stream has a hidden
 * state. So errors don't add up from layer to layer, and a recipe is judged by far more numbers than one
 * per token.
 */
#include <math.h>
#include <stdlib.h>

#include "eval_runs.h"
#include "progress.h"

struct compared {
	struct eval_runs *runs;
	size_t heads, head_dim;
	float *out, *lse; /* [n][heads][head_dim], [n][heads] */
};

/* |a - exact| / |exact| of one head's row. */
static double relative_error(const float *a, const float *exact, size_t n)
{
	double difference = 0.0, size = 0.0;
	for (size_t i = 0; i < n; i++) {
		double d = (double)a[i] - (double)exact[i];
		difference += d * d;
		size += (double)exact[i] * (double)exact[i];
	}
	return size > 0.0 ? sqrt(difference / size) : difference > 0.0 ? (double)INFINITY : 0.0;
}

static void compare(void *opaque, int layer)
{
	const struct compared *c = opaque;
	const size_t width = c->heads * c->head_dim;
	(void)layer;
	for (size_t s = 0; s < c->runs->n; s++) {
		struct eval_run *run = &c->runs->run[s];
		for (size_t h = 0; h < c->heads; h++) {
			run->attention_error += relative_error(c->out + s * width + h * c->head_dim,
			                                       c->out + h * c->head_dim, c->head_dim);
			run->mass += exp((double)c->lse[s * c->heads + h] - (double)c->lse[h]);
		}
	}
}

static bool feed(struct compared *c, struct tool_error *error)
{
	struct eval_runs *runs = c->runs;
	const struct eval *eval = runs->eval;
	const struct engine_followers followers = {c->out, c->lse, compare, c};
	for (size_t i = 0; i < eval->options->tokens; i++) {
		const struct engine_pass pass = {
			.streams = runs->streams,
			.n_streams = runs->n,
			.tokens = eval->ids + eval->options->contexts[0] + i,
			.n_each = 1,
			.phase = CLKV_DECODE,
			.want = ENGINE_NO_LOGITS,
			.followers = &followers,
		};
		if (!engine_run(eval->session.engine, &pass, error))
			return false;
		progress_show("comparing", i + 1, eval->options->tokens);
	}
	return engine_finish(eval->session.engine, error);
}

static void report(const struct compared *c, struct eval_result *results)
{
	const struct eval *eval = c->runs->eval;
	const struct eval_options *options = eval->options;
	const double n =
		(double)options->tokens * (double)eval->session.model->n_layers * (double)c->heads;
	for (size_t i = 0; i < options->n_recipes; i++) {
		const struct eval_run *run = &c->runs->run[c->runs->of_recipe[i]];
		results[i] = (struct eval_result){
			.recipe = options->recipes[i],
			.attention_error = run->attention_error / n,
			.mass = run->mass / n,
			.bytes_per_token = run->bytes_per_token,
			.ratio = (double)session_f16_bytes(&eval->session) / run->bytes_per_token,
			.prefill_tokens_per_s = run->prefill_tokens_per_s,
		};
	}
}

bool eval_attention(struct eval *eval, struct eval_result *results, struct tool_error *error)
{
	struct eval_runs runs = {.eval = eval};
	const struct model *m = eval->session.model;
	struct compared c = {&runs, (size_t)m->q_heads, (size_t)m->head_dim, NULL, NULL};
	bool done = eval_runs_open(&runs, NULL, eval_window_tokens(eval->options), error) &&
	            eval_runs_prompt(&runs, error);
	if (done) {
		c.out = calloc(runs.n * c.heads * c.head_dim, sizeof *c.out);
		c.lse = calloc(runs.n * c.heads, sizeof *c.lse);
		done = (c.out != NULL && c.lse != NULL) || tool_fail(error, "out of memory");
	}
	done = done && feed(&c, error);
	if (done)
		report(&c, results);
	free(c.out);
	free(c.lse);
	eval_runs_close(&runs);
	progress_clear();
	return done;
}
