/* SPDX-License-Identifier: MIT */
/**
 * \file    eval_judge.c
 * \brief   All windows of all texts, and what their scored tokens say of each recipe.
 *
 * The board has text by text its windows.
 */
#include <math.h>
#include <stdlib.h>

#include "eval_board.h"
#include "eval_records.h"
#include "eval_stats.h"

/* Any seed would do: it is fixed so that the same scores have the same intervals. */
#define SEED 20261128ULL

/* What a part's tokens are gathered in: room for those of all texts. */
struct gathered {
	double *values, *sums, *counts;
	size_t n_values, n_sums;
	size_t n_blocks[EVAL_MOST_TEXTS], n_strata;
};

/* Which of a window's scores is looked at; reference: those of f16. */
typedef double (*value_fn)(const struct eval_scores *own, const struct eval_scores *reference,
                           size_t i);

static double divergence_of(const struct eval_scores *own, const struct eval_scores *reference,
                            size_t i)
{
	(void)reference;
	return own->divergence[i];
}

static double agreed_of(const struct eval_scores *own, const struct eval_scores *reference,
                        size_t i)
{
	(void)reference;
	return own->agreed[i];
}

static double loss_more_of(const struct eval_scores *own, const struct eval_scores *reference,
                           size_t i)
{
	return own->loss[i] - reference->loss[i];
}

static void gather_window(struct gathered *g, const struct eval_scores *own,
                          const struct eval_scores *reference, value_fn value)
{
	double *values = g->values + g->n_values;
	for (size_t i = 0; i < own->n; i++)
		values[i] = value(own, reference, i);
	g->n_values += own->n;
	g->n_sums +=
		stats_blocks(values, own->n, STATS_BLOCK, g->sums + g->n_sums, g->counts + g->n_sums);
}

/* Texts from .. to - 1: each a stratum. */
static void gather(const struct eval_board *b, struct gathered *g, size_t from, size_t to,
                   size_t slot, value_fn value)
{
	const size_t windows = b->eval->options->windows;
	g->n_values = g->n_sums = 0;
	g->n_strata = to - from;
	for (size_t t = from; t < to; t++) {
		size_t before = g->n_sums;
		for (size_t w = t * windows; w < (t + 1) * windows; w++)
			gather_window(g, eval_board_scores(b, w, slot), eval_board_scores(b, w, 0), value);
		g->n_blocks[t - from] = g->n_sums - before;
	}
}

static struct stats_interval interval(const struct gathered *g)
{
	return stats_bootstrap(&(struct stats_strata){g->sums, g->counts, g->n_blocks, g->n_strata},
	                       SEED);
}

/* Fills kl_at: window by window, the p-th part of the scored tokens. */
static void find_positions(const struct eval_board *b, size_t from, size_t to, size_t slot,
                           struct eval_result *r)
{
	const struct eval_options *o = b->eval->options;
	for (size_t p = 0; p < EVAL_POSITIONS; p++) {
		size_t first = p * o->tokens / EVAL_POSITIONS, end = (p + 1) * o->tokens / EVAL_POSITIONS;
		double sum = 0.0;
		for (size_t w = from * o->windows; w < to * o->windows; w++)
			sum += eval_scores_sum(eval_board_scores(b, w, slot)->divergence + first, end - first);
		r->kl_at[p] = sum / (double)((end - first) * (to - from) * o->windows);
	}
}

/* Means over windows. */
static void find_costs(const struct eval_board *b, size_t from, size_t to, size_t slot,
                       struct eval_result *r)
{
	const struct eval_options *o = b->eval->options;
	const double n = (double)((to - from) * o->windows);
	const double f16 = (double)session_f16_bytes(&b->eval->session);
	for (size_t w = from * o->windows; w < to * o->windows; w++) {
		const struct eval_scores *s = eval_board_scores(b, w, slot);
		r->bytes_per_token += s->bytes_per_token / n;
		r->greedy += (double)s->greedy / n;
		r->prefill_tokens_per_s += s->prefill_tokens_per_s / n;
		r->decode_tokens_per_s += s->decode_tokens_per_s / n;
	}
	r->ratio = f16 / r->bytes_per_token;
	r->bits_per_value = 16.0 * r->bytes_per_token / f16;
}

static void find_losses(const struct eval_board *b, size_t from, size_t to, size_t slot,
                        struct eval_result *r)
{
	const struct eval_options *o = b->eval->options;
	double loss = 0.0, reference = 0.0, agreed = 0.0, divergence = 0.0;
	for (size_t w = from * o->windows; w < to * o->windows; w++) {
		loss += eval_scores_sum(eval_board_scores(b, w, slot)->loss, o->tokens);
		reference += eval_scores_sum(eval_board_scores(b, w, 0)->loss, o->tokens);
		agreed += eval_scores_sum(eval_board_scores(b, w, slot)->agreed, o->tokens);
		divergence += eval_scores_sum(eval_board_scores(b, w, slot)->divergence, o->tokens);
	}
	r->scored = (to - from) * o->windows * o->tokens;
	r->ppl = exp(loss / (double)r->scored);
	r->ppl_ref = exp(reference / (double)r->scored);
	r->delta_pct = 100.0 * (r->ppl / r->ppl_ref - 1.0);
	r->kl_mean = divergence / (double)r->scored;
	r->top1_agree = agreed / (double)r->scored;
}

static void find_spread(const struct eval_board *b, struct gathered *g, size_t from, size_t to,
                        size_t slot, struct eval_result *r)
{
	struct stats_interval i;
	gather(b, g, from, to, slot, loss_more_of);
	i = interval(g);
	r->delta_low = 100.0 * expm1(i.low);
	r->delta_high = 100.0 * expm1(i.high);
	gather(b, g, from, to, slot, agreed_of);
	i = interval(g);
	r->top1_low = i.low;
	r->top1_high = i.high;
	gather(b, g, from, to, slot, divergence_of);
	i = interval(g);
	r->kl_low = i.low;
	r->kl_high = i.high;
	stats_sort(g->values, g->n_values);
	r->kl_median = stats_quantile(g->values, g->n_values, 0.5);
	r->kl_q99 = stats_quantile(g->values, g->n_values, 0.99);
}

/* Part 0 is all texts, part t + 1 text t. */
static void report(const struct eval_board *b, struct gathered *g, struct eval_result *results)
{
	const struct eval_options *o = b->eval->options;
	for (size_t part = 0; part < eval_parts(o); part++) {
		size_t from = part == 0 ? 0 : part - 1, to = part == 0 ? o->n_texts : part;
		for (size_t i = 0; i < o->n_recipes; i++) {
			struct eval_result *r = &results[part * o->n_recipes + i];
			*r = (struct eval_result){.recipe = o->recipes[i],
			                          .text = part == 0 ? NULL : o->texts[part - 1]};
			find_losses(b, from, to, eval_slot(o, i), r);
			find_spread(b, g, from, to, eval_slot(o, i), r);
			find_positions(b, from, to, eval_slot(o, i), r);
			find_costs(b, from, to, eval_slot(o, i), r);
		}
	}
}

static bool report_all(const struct eval_board *b, struct eval_result *results,
                       struct tool_error *error)
{
	/* a window's blocks are no more than its tokens */
	size_t n = b->work.n_windows * b->eval->options->tokens;
	struct gathered g = {.values = calloc(3 * n, sizeof *g.values)};
	if (g.values == NULL)
		return tool_fail(error, "out of memory");
	g.sums = g.values + n;
	g.counts = g.sums + n;
	report(b, &g, results);
	free(g.values);
	return true;
}

/* Hashes the tokens of a window, at which eval->ids then points. */
static uint64_t begin_window(void *opaque, size_t window)
{
	struct eval *eval = opaque;
	const struct eval_options *o = eval->options;
	eval->ids = eval->texts[window / o->windows].ids + window % o->windows * o->stride;
	return records_window(eval->ids, eval_window_tokens(o));
}

static bool run_window(void *opaque, size_t window, const bool *wanted, struct eval_scores *scores,
                       struct tool_error *error)
{
	struct eval *eval = opaque;
	(void)window;
	return eval_perplexity(eval, wanted, !eval_judges(eval->options), scores, error);
}

bool eval_judge(struct eval *eval, struct eval_result *results, struct tool_error *error)
{
	const struct eval_options *o = eval->options;
	const struct eval_work work = {.n_windows = o->n_texts * o->windows,
	                               .n_each = o->tokens,
	                               .begin = begin_window,
	                               .run = run_window,
	                               .opaque = eval};
	struct eval_board board;
	bool done = eval_board_open(&board, eval, &work, error) && eval_board_run(&board, error) &&
	            report_all(&board, results, error);
	eval_board_close(&board);
	return done;
}
