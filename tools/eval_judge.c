/* SPDX-License-Identifier: MIT */
/**
 * \file    eval_judge.c
 * \brief   All windows of all texts, and what their scored tokens say of each recipe.
 *
 * The board has text by text its windows.
 */
#include <math.h>
#include <stdlib.h>

#include "eval_pairs.h"
#include "eval_records.h"

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

static void find_spread(const struct eval_board *b, struct eval_gathered *g, size_t from, size_t to,
                        size_t slot, struct eval_result *r)
{
	struct stats_interval i;
	eval_gather(g, b, from, to, slot, 0, eval_loss_more_of);
	i = eval_gathered_interval(g);
	r->delta_low = 100.0 * expm1(i.low);
	r->delta_high = 100.0 * expm1(i.high);
	eval_gather(g, b, from, to, slot, 0, eval_agreed_of);
	i = eval_gathered_interval(g);
	r->top1_low = i.low;
	r->top1_high = i.high;
	eval_gather(g, b, from, to, slot, 0, eval_divergence_of);
	i = eval_gathered_interval(g);
	r->kl_low = i.low;
	r->kl_high = i.high;
	stats_sort(g->values, g->n_values);
	r->kl_median = stats_quantile(g->values, g->n_values, 0.5);
	r->kl_q99 = stats_quantile(g->values, g->n_values, 0.99);
}

/* What texts from .. to - 1 say of recipe i, the first of whose part is results[0]. */
static bool report_one(const struct eval_board *b, struct eval_gathered *g, size_t from, size_t to,
                       size_t i, struct eval_result *results, struct tool_error *error)
{
	const size_t slot = eval_slot(b->eval->options, i);
	struct eval_result *r = &results[i];
	r->against = calloc(i + 1, sizeof *r->against);
	if (r->against == NULL)
		return tool_fail(error, "out of memory");
	find_losses(b, from, to, slot, r);
	find_spread(b, g, from, to, slot, r);
	find_positions(b, from, to, slot, r);
	find_costs(b, from, to, slot, r);
	eval_pairs_fill(r, b, g, from, to, i);
	return true;
}

/* Part 0 is all texts, part t + 1 text t. */
static bool report(const struct eval_board *b, struct eval_gathered *g, struct eval_result *results,
                   struct tool_error *error)
{
	const struct eval_options *o = b->eval->options;
	for (size_t part = 0; part < eval_parts(o); part++, results += o->n_recipes) {
		size_t from = part == 0 ? 0 : part - 1, to = part == 0 ? o->n_texts : part;
		for (size_t i = 0; i < o->n_recipes; i++) {
			results[i] = (struct eval_result){.recipe = o->recipes[i],
			                                  .text = part == 0 ? NULL : o->texts[part - 1]};
			if (!report_one(b, g, from, to, i, results, error))
				return false;
		}
	}
	return true;
}

static bool report_all(const struct eval_board *b, struct eval_result *results,
                       struct tool_error *error)
{
	struct eval_gathered g = {.values = NULL};
	bool done = eval_gathered_open(&g, b, error) && report(b, &g, results, error);
	eval_gathered_close(&g);
	return done;
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
	const bool timed = !eval_judges(eval->options) && !eval->options->untimed;
	(void)window;
	return eval_perplexity(eval, wanted, timed, scores, error);
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
