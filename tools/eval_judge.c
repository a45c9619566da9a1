/* SPDX-License-Identifier: MIT */
/**
 * \file    eval_judge.c
 * \brief   All windows of all texts, and what their scored tokens say of each recipe.
 *
 * Scores of window w of text t under slot s lie at scores[(t * windows + w) * slots + s]; slot 0 is f16's, slot 1 + i
 * that of recipe i.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "eval.h"
#include "eval_records.h"
#include "eval_stats.h"
#include "progress.h"

#include "base/hash.h"

/* Any seed would do: it is fixed so that the same scores have the same intervals. */
#define SEED 20261128ULL

struct judge {
	struct eval *eval;
	size_t slots, n_windows; /* of all texts */
	struct eval_scores *scores;
	struct records *records; /* NULL without --resume */
};

/* What a part's tokens are gathered in: room for those of all texts. */
struct gathered {
	double *values, *sums, *counts;
	size_t n_values, n_sums;
	size_t n_blocks[EVAL_MOST_TEXTS], n_strata;
};

static size_t slot_of(const struct eval_options *o, size_t recipe)
{
	return strcmp(o->recipes[recipe], "f16") == 0 ? 0 : recipe + 1;
}

static struct eval_scores *scores_of(const struct judge *j, size_t window, size_t slot)
{
	return &j->scores[window * j->slots + slot];
}

static bool judge_open(struct judge *j, struct tool_error *error)
{
	const struct eval_options *o = j->eval->options;
	j->slots = o->n_recipes + 1;
	j->n_windows = o->n_texts * o->windows;
	j->scores = calloc(j->n_windows * j->slots, sizeof *j->scores);
	if (j->scores == NULL)
		return tool_fail(error, "out of memory");
	for (size_t i = 0; i < j->n_windows * j->slots; i++)
		if (!eval_scores_open(&j->scores[i], o->tokens))
			return tool_fail(error, "no memory for the scores of %zu tokens", o->tokens);
	return true;
}

static void judge_close(struct judge *j)
{
	for (size_t i = 0; j->scores != NULL && i < j->n_windows * j->slots; i++)
		eval_scores_close(&j->scores[i]);
	free(j->scores);
	records_close(j->records);
}

/* A file that recipes are given: which one it was decides what they do. */
static void print_given(FILE *head, const char *name, const void *data, size_t size)
{
	uint64_t hash = clkv__hash(CLKV__HASH_START, data, data != NULL ? size : 0);
	(void)fprintf(head, "%s %016" PRIx64 "\n", name, data != NULL ? hash : 0);
}

/* All that scores hang on beside the window's tokens and the recipe. */
static void print_head(const struct eval *eval, FILE *head)
{
	static const char *const prompts[] = {"exact", "chunked", "growing"};
	const struct eval_options *o = eval->options;
	const struct session *session = &eval->session;
	(void)fprintf(head, RECORDS_TITLE "\nlibrary %s\nmodel %016" PRIx64 "\ndevice %s, %s\n",
	              clkv_version(), model_fingerprint(session->model), session->device.name,
	              session->device.driver);
	(void)fprintf(head, "context %zu\ngenerated %zu\ntokens %zu\nrows %zu\ngreedy %zu\n",
	              o->context, o->generated, o->tokens, o->rows, o->greedy);
	(void)fprintf(head, "prompt %s\nproducts %d\n", prompts[o->prompt], (int)o->products);
	print_given(head, "codebook", session->codebook, session->codebook_size);
	print_given(head, "rotation", session->rotation, session->rotation_size);
}

static bool open_records(struct judge *j, struct tool_error *error)
{
	const struct eval_options *o = j->eval->options;
	char *head = NULL;
	size_t size;
	if (o->resume == NULL)
		return true;
	FILE *out = open_memstream(&head, &size);
	if (out == NULL)
		return tool_fail(error, "out of memory");
	print_head(j->eval, out);
	bool done = fclose(out) == 0 || tool_fail(error, "out of memory");
	done = done && records_open(o->resume, head, o->tokens, &j->records, error);
	free(head);
	return done;
}

static const char *recipe_of(const struct eval_options *o, size_t slot)
{
	return slot == 0 ? "f16" : o->recipes[slot - 1];
}

/* Takes a slot's scores from the file, if it has them. */
static bool recall_scores(struct judge *j, size_t window, uint64_t hash, size_t slot)
{
	const struct eval_scores *found =
		j->records != NULL ? records_find(j->records, hash, recipe_of(j->eval->options, slot))
						   : NULL;
	struct eval_scores *s = scores_of(j, window, slot);
	if (found == NULL)
		return false;
	memcpy(s->loss, found->loss, 3 * s->n * sizeof *s->loss);
	s->bytes_per_token = found->bytes_per_token;
	s->prefill_tokens_per_s = found->prefill_tokens_per_s;
	s->greedy = found->greedy;
	return true;
}

static bool keep_scores(struct judge *j, size_t window, uint64_t hash, const bool *is_new,
                        struct tool_error *error)
{
	for (size_t slot = 0; j->records != NULL && slot < j->slots; slot++)
		if (is_new[slot] && !records_append(j->records, hash, recipe_of(j->eval->options, slot),
		                                    scores_of(j, window, slot), error))
			return false;
	return true;
}

/* Looks which scores of a window are missing, f16's first; returns whether any is. */
static bool find_missing(struct judge *j, size_t window, uint64_t hash, bool *is_new)
{
	const struct eval_options *o = j->eval->options;
	bool any = is_new[0] = !recall_scores(j, window, hash, 0);
	for (size_t i = 0; i < o->n_recipes; i++) {
		is_new[i + 1] = slot_of(o, i) != 0 && !recall_scores(j, window, hash, i + 1);
		any = any || is_new[i + 1];
	}
	return any;
}

/* Hashes the tokens of a window, at which eval->ids then points. */
static uint64_t begin_window(struct judge *j, size_t window)
{
	const struct eval_options *o = j->eval->options;
	j->eval->ids = j->eval->texts[window / o->windows].ids + window % o->windows * o->stride;
	return records_window(j->eval->ids, eval_window_tokens(o));
}

/* How many windows are to be run: what a file has takes no time. */
static size_t count_missing(struct judge *j)
{
	bool is_new[EVAL_MOST_RECIPES + 1];
	size_t n = 0;
	for (size_t w = 0; w < j->n_windows; w++)
		n += find_missing(j, w, begin_window(j, w), is_new);
	return n;
}

static bool run_all(struct judge *j, struct tool_error *error)
{
	bool is_new[EVAL_MOST_RECIPES + 1];
	const size_t n = count_missing(j);
	for (size_t w = 0, done = 0; w < j->n_windows; w++) {
		uint64_t hash = begin_window(j, w);
		if (!find_missing(j, w, hash, is_new))
			continue;
		progress_part(done++, n);
		if (!eval_perplexity(j->eval, is_new + 1, !eval_judges(j->eval->options),
		                     scores_of(j, w, 0), error) ||
		    !keep_scores(j, w, hash, is_new, error))
			return false;
	}
	return true;
}

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
static void gather(const struct judge *j, struct gathered *g, size_t from, size_t to, size_t slot,
                   value_fn value)
{
	const size_t windows = j->eval->options->windows;
	g->n_values = g->n_sums = 0;
	g->n_strata = to - from;
	for (size_t t = from; t < to; t++) {
		size_t before = g->n_sums;
		for (size_t w = t * windows; w < (t + 1) * windows; w++)
			gather_window(g, scores_of(j, w, slot), scores_of(j, w, 0), value);
		g->n_blocks[t - from] = g->n_sums - before;
	}
}

static struct stats_interval interval(const struct gathered *g)
{
	return stats_bootstrap(&(struct stats_strata){g->sums, g->counts, g->n_blocks, g->n_strata},
	                       SEED);
}

/* Fills kl_at: window by window, the p-th part of the scored tokens. */
static void find_positions(const struct judge *j, size_t from, size_t to, size_t slot,
                           struct eval_result *r)
{
	const struct eval_options *o = j->eval->options;
	for (size_t p = 0; p < EVAL_POSITIONS; p++) {
		size_t first = p * o->tokens / EVAL_POSITIONS, end = (p + 1) * o->tokens / EVAL_POSITIONS;
		double sum = 0.0;
		for (size_t w = from * o->windows; w < to * o->windows; w++)
			sum += eval_scores_sum(scores_of(j, w, slot)->divergence + first, end - first);
		r->kl_at[p] = sum / (double)((end - first) * (to - from) * o->windows);
	}
}

/* Means over windows. */
static void find_costs(const struct judge *j, size_t from, size_t to, size_t slot,
                       struct eval_result *r)
{
	const struct eval_options *o = j->eval->options;
	const double n = (double)((to - from) * o->windows);
	const double f16 = (double)session_f16_bytes(&j->eval->session);
	for (size_t w = from * o->windows; w < to * o->windows; w++) {
		const struct eval_scores *s = scores_of(j, w, slot);
		r->bytes_per_token += s->bytes_per_token / n;
		r->greedy += (double)s->greedy / n;
		r->prefill_tokens_per_s += s->prefill_tokens_per_s / n;
		r->decode_tokens_per_s += s->decode_tokens_per_s / n;
	}
	r->ratio = f16 / r->bytes_per_token;
	r->bits_per_value = 16.0 * r->bytes_per_token / f16;
}

static void find_losses(const struct judge *j, size_t from, size_t to, size_t slot,
                        struct eval_result *r)
{
	const struct eval_options *o = j->eval->options;
	double loss = 0.0, reference = 0.0, agreed = 0.0, divergence = 0.0;
	for (size_t w = from * o->windows; w < to * o->windows; w++) {
		loss += eval_scores_sum(scores_of(j, w, slot)->loss, o->tokens);
		reference += eval_scores_sum(scores_of(j, w, 0)->loss, o->tokens);
		agreed += eval_scores_sum(scores_of(j, w, slot)->agreed, o->tokens);
		divergence += eval_scores_sum(scores_of(j, w, slot)->divergence, o->tokens);
	}
	r->scored = (to - from) * o->windows * o->tokens;
	r->ppl = exp(loss / (double)r->scored);
	r->ppl_ref = exp(reference / (double)r->scored);
	r->delta_pct = 100.0 * (r->ppl / r->ppl_ref - 1.0);
	r->kl_mean = divergence / (double)r->scored;
	r->top1_agree = agreed / (double)r->scored;
}

static void find_spread(const struct judge *j, struct gathered *g, size_t from, size_t to,
                        size_t slot, struct eval_result *r)
{
	struct stats_interval i;
	gather(j, g, from, to, slot, loss_more_of);
	i = interval(g);
	r->delta_low = 100.0 * expm1(i.low);
	r->delta_high = 100.0 * expm1(i.high);
	gather(j, g, from, to, slot, agreed_of);
	i = interval(g);
	r->top1_low = i.low;
	r->top1_high = i.high;
	gather(j, g, from, to, slot, divergence_of);
	i = interval(g);
	r->kl_low = i.low;
	r->kl_high = i.high;
	stats_sort(g->values, g->n_values);
	r->kl_median = stats_quantile(g->values, g->n_values, 0.5);
	r->kl_q99 = stats_quantile(g->values, g->n_values, 0.99);
}

/* Part 0 is all texts, part t + 1 text t. */
static void report(const struct judge *j, struct gathered *g, struct eval_result *results)
{
	const struct eval_options *o = j->eval->options;
	for (size_t part = 0; part < eval_parts(o); part++) {
		size_t from = part == 0 ? 0 : part - 1, to = part == 0 ? o->n_texts : part;
		for (size_t i = 0; i < o->n_recipes; i++) {
			struct eval_result *r = &results[part * o->n_recipes + i];
			*r = (struct eval_result){.recipe = o->recipes[i],
			                          .text = part == 0 ? NULL : o->texts[part - 1]};
			find_losses(j, from, to, slot_of(o, i), r);
			find_spread(j, g, from, to, slot_of(o, i), r);
			find_positions(j, from, to, slot_of(o, i), r);
			find_costs(j, from, to, slot_of(o, i), r);
		}
	}
}

static bool report_all(const struct judge *j, struct eval_result *results, struct tool_error *error)
{
	/* a window's blocks are no more than its tokens */
	size_t n = j->n_windows * j->eval->options->tokens;
	struct gathered g = {.values = calloc(3 * n, sizeof *g.values)};
	if (g.values == NULL)
		return tool_fail(error, "out of memory");
	g.sums = g.values + n;
	g.counts = g.sums + n;
	report(j, &g, results);
	free(g.values);
	return true;
}

bool eval_judge(struct eval *eval, struct eval_result *results, struct tool_error *error)
{
	struct judge j = {.eval = eval};
	bool done = judge_open(&j, error) && open_records(&j, error) && run_all(&j, error) &&
	            report_all(&j, results, error);
	judge_close(&j);
	return done;
}
