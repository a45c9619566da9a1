/* SPDX-License-Identifier: MIT */
/**
 * \file    eval_heads.c
 * \brief   Rows of attention beside the exact ones, layer by layer.
 *
 * Only the exact stream has a hidden state. So errors don't add up from layer to layer, and a recipe is judged by far more
 * numbers than one per token.
 */
#include "eval_heads.h"

#include <math.h>
#include <stdlib.h>

#include "progress.h"

struct compared {
	struct eval_heads *sums;
	size_t head_dim;
	float *out, *lse; /* [runs][heads][head_dim], [runs][heads] */
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
	const struct eval_heads *sums = c->sums;
	const size_t heads = sums->heads;
	for (size_t s = 0; s < sums->runs; s++) {
		const size_t at = (s * sums->layers + (size_t)layer) * heads;
		for (size_t h = 0; h < heads; h++) {
			sums->error[at + h] += relative_error(c->out + (s * heads + h) * c->head_dim,
			                                      c->out + h * c->head_dim, c->head_dim);
			sums->mass[at + h] += exp((double)c->lse[s * heads + h] - (double)c->lse[h]);
		}
	}
}

static bool feed(struct compared *c, struct eval_runs *runs, size_t n, struct tool_error *error)
{
	const struct eval *eval = runs->eval;
	const struct engine_followers followers = {c->out, c->lse, compare, c};
	for (size_t i = 0; i < n; i++) {
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
		progress_show("comparing", i + 1, n);
	}
	return engine_finish(eval->session.engine, error);
}

bool eval_heads_compare(struct eval_runs *runs, size_t n, struct eval_heads *heads,
                        struct tool_error *error)
{
	const struct model *m = runs->eval->session.model;
	struct compared c = {.sums = heads, .head_dim = (size_t)m->head_dim};
	*heads = (struct eval_heads){
		.runs = runs->n, .layers = (size_t)m->n_layers, .heads = (size_t)m->q_heads};
	const size_t rows = heads->runs * heads->heads, all = rows * heads->layers;
	heads->error = calloc(all, sizeof *heads->error);
	heads->mass = calloc(all, sizeof *heads->mass);
	c.out = calloc(rows * c.head_dim, sizeof *c.out);
	c.lse = calloc(rows, sizeof *c.lse);
	bool done = heads->error && heads->mass && c.out && c.lse ? feed(&c, runs, n, error)
	                                                          : tool_fail(error, "out of memory");
	free(c.out);
	free(c.lse);
	return done;
}

void eval_heads_close(struct eval_heads *heads)
{
	free(heads->error);
	free(heads->mass);
	*heads = (struct eval_heads){0};
}
