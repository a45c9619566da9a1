/* SPDX-License-Identifier: MIT */
/**
 * \file    advise_search.c
 * \brief   Which candidates are measured: all, or on the short ladder as few as the limit needs.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "advise.h"
#include "eval_ranks.h"

/* Of a limit on bytes, with --quick: divergence falls as bytes grow, but for codecs that are worse than their neighbours. */
enum { QUICK_LARGEST = 3 };

static bool is_f16(const struct advise_point *p)
{
	return strcmp(p->recipe, "f16") == 0;
}

/* Bytes are compared at one length, whatever the prompt's. */
static void note(struct advise *a, struct advise_point *p, const struct eval_result *r)
{
	const double f16 = (double)session_f16_bytes(&a->eval.session);
	p->result = *r;
	p->result.against = NULL;
	p->result.recipe = p->label;
	p->result.bytes_per_token = p->bytes;
	p->result.ratio = f16 / p->bytes;
	p->result.bits_per_value = 16.0 * p->bytes / f16;
	p->measured = true;
}

/* f16 against itself: exact by definition. */
static void note_f16(struct advise *a, struct advise_point *p)
{
	const struct eval_result exact = {.top1_agree = 1, .top1_low = 1, .top1_high = 1};
	note(a, p, &exact);
}

/* What was judged beside its rival has been so token by token. */
static void note_rivals(struct advise *a, const size_t *which, size_t n,
                        const struct eval_result *results)
{
	for (size_t i = 0; i < n; i++) {
		struct advise_point *p = &a->points[which[i]];
		for (size_t k = 0; k < n; k++)
			if (p->rival > 0 && a->points[which[k]].place + 1 == p->rival)
				p->against = eval_pair_of(results, i, k);
	}
}

bool advise_judge(struct eval *eval, const struct eval_options *options,
                  struct eval_result *results, struct tool_error *error)
{
	const struct eval_options *of_run = eval->options;
	eval->options = options;
	bool done = eval_judge(eval, results, error);
	eval->options = of_run;
	return done;
}

/* Judges n of the points in one run, over the same tokens. */
static bool measure(struct advise *a, const size_t *which, size_t n, struct tool_error *error)
{
	struct eval_options options = *a->eval.options;
	struct eval_result *results = calloc(n + 1, sizeof *results);
	if (results == NULL)
		return tool_fail(error, "out of memory");
	options.n_recipes = n;
	for (size_t i = 0; i < n; i++) {
		options.recipes[i] = a->points[which[i]].recipe;
		options.given_of[i] = &a->points[which[i]].given;
	}
	bool done = advise_judge(&a->eval, &options, results, error);
	for (size_t i = 0; i < n && done; i++)
		note(a, &a->points[which[i]], &results[i]);
	if (done)
		note_rivals(a, which, n, results);
	for (size_t i = 0; i < n; i++)
		free(results[i].against);
	free(results);
	return done;
}

static struct advise_offer offer_of(const struct advise_point *p)
{
	const struct eval_result *r = &p->result;
	if (!p->measured)
		return (struct advise_offer){p->bytes, NAN, NAN, NAN};
	return (struct advise_offer){p->bytes, r->kl_mean, r->kl_high, r->delta_high};
}

static bool look(void *opaque, size_t step, bool *within, struct tool_error *error)
{
	struct advise *a = opaque;
	if (!measure(a, &step, 1, error))
		return false;
	const struct advise_offer offer = offer_of(&a->points[step]);
	*within = advise_within(&offer, &a->options->limit);
	return true;
}

/* The steps of a ladder end with f16, which everything that costs more is not worth. */
static size_t ladder_steps(const struct advise *a)
{
	size_t n = 0;
	while (n < a->n && !is_f16(&a->points[n]))
		n++;
	return n + 1;
}

static bool measure_affordable(struct advise *a, struct tool_error *error)
{
	size_t which[QUICK_LARGEST], n = 0;
	for (size_t i = a->n; i-- > 0 && n < QUICK_LARGEST;)
		if (!is_f16(&a->points[i]) && a->points[i].bytes <= a->options->limit.most)
			which[n++] = i;
	return n == 0 || measure(a, which, n, error);
}

static bool measure_all(struct advise *a, struct tool_error *error)
{
	size_t which[EVAL_MOST_RECIPES], n = 0;
	for (size_t i = 0; i < a->n; i++)
		if (!is_f16(&a->points[i]))
			which[n++] = i;
	return n == 0 || measure(a, which, n, error);
}

static bool measure_some(struct advise *a, struct tool_error *error)
{
	size_t found;
	if (!a->options->quick)
		return measure_all(a, error);
	if (a->options->limit.kind == ADVISE_BYTES)
		return measure_affordable(a, error);
	return advise_bisect(ladder_steps(a), look, a, &found, error);
}

static void warn_of_points(struct advise *a)
{
	advise_warn_layers(&a->warnings, &a->survey);
	for (size_t i = 0; i < a->n; i++) {
		const struct advise_point *p = &a->points[i];
		if (p->measured)
			advise_warn_broken(&a->warnings, p->label, p->result.kl_mean, p->result.top1_agree);
		advise_warn_heads(&a->warnings, &a->survey, p->place, p->label);
	}
}

bool advise_search(struct advise *a, struct tool_error *error)
{
	struct advise_offer offers[EVAL_MOST_RECIPES];
	bool on_hull[EVAL_MOST_RECIPES];
	for (size_t i = 0; i < a->n; i++)
		if (is_f16(&a->points[i]))
			note_f16(a, &a->points[i]);
	if (!measure_some(a, error))
		return false;
	for (size_t i = 0; i < a->n; i++)
		offers[i] = offer_of(&a->points[i]);
	if (!advise_mark_hull(offers, a->n, on_hull))
		return tool_fail(error, "out of memory");
	for (size_t i = 0; i < a->n; i++)
		a->points[i].on_hull = on_hull[i];
	a->chosen = advise_choose(offers, a->n, &a->options->limit);
	warn_of_points(a);
	return true;
}

const struct advise_point *advise_rival(const struct advise *a, const struct advise_point *p)
{
	size_t i = 0;
	while (a->points[i].place + 1 != p->rival)
		i++;
	return &a->points[i];
}

bool advise_needs_calibration(const struct advise *a)
{
	return a->chosen < a->n && a->points[a->chosen].delta > 0;
}
