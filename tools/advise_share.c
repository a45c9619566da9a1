/* SPDX-License-Identifier: MIT */
/**
 * \file    advise_share.c
 * \brief   What each layer's codes cost alone, measured; recipes that follow from it.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "advise.h"
#include "advise_budget.h"

/* Tokens that are scored of each probe: sensitivities of layers differ by factors of ten and more, and their errors of a sixth or so
 * matter little to who shares out; behind a prompt of at most so many, of which so many must be sealed; caches that are there at
 * a time. */
enum {
	PROBE_TOKENS = 128,
	PROBE_CONTEXT = 512,
	PROBE_SEALED = 128,
	PROBE_BATCH = 16,
	KEYS_BYTES = 64
};

/* The recipes of a codec: one for each level, then one for each unit. */
struct probes {
	const struct budget_codec *codec;
	size_t layers, n;
	char keys[KEYS_BYTES];
	char (*recipe)[ADVISE_RECIPE_BYTES]; /* [n] */
	double *kl;                          /* [n]: the law's levels, then the units' costs */
	size_t *levels;                      /* [units] */
};

static size_t n_units(const struct probes *p)
{
	return 2 * p->layers;
}

static bool open_probes(struct probes *p, const struct advise *a, const struct budget_codec *codec,
                        struct tool_error *error)
{
	*p = (struct probes){.codec = codec, .layers = (size_t)a->eval.session.model->n_layers};
	p->n = codec->n_levels + n_units(p);
	p->recipe = calloc(p->n, sizeof *p->recipe);
	p->kl = calloc(p->n, sizeof *p->kl);
	p->levels = calloc(n_units(p), sizeof *p->levels);
	if (p->recipe == NULL || p->kl == NULL || p->levels == NULL)
		return tool_fail(error, "out of memory");
	(void)snprintf(p->keys, sizeof p->keys, "sinks=%zu, window=%zu", a->options->sinks,
	               a->options->window);
	bool fits = true;
	for (size_t l = 0; l < codec->n_levels; l++)
		fits = fits && budget_uniform(codec, l, p->keys, p->recipe[l], ADVISE_RECIPE_BYTES);
	for (size_t u = 0; u < n_units(p); u++)
		fits = fits && budget_probe(codec, u, p->layers, p->keys, p->recipe[codec->n_levels + u],
		                            ADVISE_RECIPE_BYTES);
	return fits ||
	       tool_fail(error, "a recipe of one layer doesn't fit in %d bytes", ADVISE_RECIPE_BYTES);
}

static void close_probes(struct probes *p)
{
	free(p->recipe);
	free(p->kl);
	free(p->levels);
}

/* Divergences of n recipes on the window at the begin of a text. */
static bool judge(struct eval *eval, char (*recipe)[ADVISE_RECIPE_BYTES], size_t n, double *kl,
                  struct tool_error *error)
{
	struct eval_options options = *eval->options;
	struct eval_result results[PROBE_BATCH] = {{0}};
	options.n_recipes = n;
	for (size_t i = 0; i < n; i++)
		options.recipes[i] = recipe[i];
	bool done = advise_judge(eval, &options, results, error);
	for (size_t i = 0; i < n; i++) {
		kl[i] = results[i].kl_mean;
		free(results[i].against);
	}
	return done;
}

/* Not the judged text: what is fitted to it would look better on it than it is. */
static bool measure_probes(struct probes *p, const struct advise *a, const struct text_input *text,
                           struct tool_error *error)
{
	const size_t room = text->n - PROBE_TOKENS - 1;
	const size_t context = room < PROBE_CONTEXT ? room : PROBE_CONTEXT;
	const size_t least = a->options->sinks + a->options->window + PROBE_SEALED;
	if (context < least)
		return tool_fail(
			error,
			"layers can't be told apart on a prompt of %zu tokens, of which %zu sinks and a "
			"window of %zu stay in half: take %s",
			context, a->options->sinks, a->options->window,
			least > PROBE_CONTEXT ? "a shorter --window" : "a longer text to calibrate on");
	const struct eval_options options = {
		.texts = {a->options->text},
		.n_texts = 1,
		.contexts = {context},
		.n_contexts = 1,
		.tokens = PROBE_TOKENS,
		.windows = 1,
		.stride = PROBE_TOKENS,
		.rows = ADVISE_ROWS,
		.untimed = true,
	};
	struct eval eval = {.options = &options, .session = a->eval.session};
	int32_t *ids = malloc(text->n * sizeof *ids);
	bool done = ids != NULL || tool_fail(error, "out of memory");
	if (done)
		memcpy(ids, text->ids, text->n * sizeof *ids);
	eval.texts[0] = (struct eval_text){.ids = ids, .n_ids = text->n};
	for (size_t from = 0, n; from < p->n && done; from += n) {
		n = p->n - from < PROBE_BATCH ? p->n - from : PROBE_BATCH;
		done = judge(&eval, p->recipe + from, n, p->kl + from, error);
	}
	free(ids);
	return done;
}

static void share(struct probes *p)
{
	const struct budget_codec *c = p->codec;
	double *costs = p->kl + c->n_levels;
	/* a broken probe is one that mustn't stay at the coarsest level */
	for (size_t u = 0; u < n_units(p); u++)
		costs[u] = isfinite(costs[u]) ? fmax(costs[u], 0) : 1e3;
	for (size_t l = c->n_levels; l-- > 0;)
		p->kl[l] = p->kl[0] > 0 ? p->kl[l] / p->kl[0] : 1;
	budget_share(c, p->kl, costs, n_units(p), c->levels[c->rival].bits, p->levels);
}

static size_t find_recipe(const struct advise *a, const char *recipe)
{
	size_t i = 0;
	while (i < a->n && strcmp(a->points[i].recipe, recipe) != 0)
		i++;
	return i;
}

/* The candidate that shares its bits out, and its rival unless that is there already. */
static void add_points(struct advise *a, const struct probes *p)
{
	const struct budget_codec *c = p->codec;
	char uniform[ADVISE_LABEL_BYTES + KEYS_BYTES];
	(void)snprintf(uniform, sizeof uniform, "%s ; %s", c->uniform, p->keys);
	const size_t rival = find_recipe(a, uniform);
	if (a->n + 2 > EVAL_MOST_RECIPES)
		return;
	if (rival == a->n) {
		struct advise_point *all = &a->points[a->n++];
		*all = (struct advise_point){.delta = 0};
		(void)snprintf(all->recipe, sizeof all->recipe, "%s", uniform);
		(void)snprintf(all->label, sizeof all->label, "%s, %.1f bits for all", c->name,
		               c->levels[c->rival].bits);
	}
	struct advise_point *one = &a->points[a->n];
	*one = (struct advise_point){.rival = rival + 1};
	(void)snprintf(one->label, sizeof one->label, "%s, %.1f bits by layer", c->name,
	               c->levels[c->rival].bits);
	if (budget_recipe(c, p->levels, p->layers, p->keys, one->recipe, sizeof one->recipe))
		a->n++;
	else
		advise_warn(&a->warnings, "'%s' is left out: its recipe doesn't fit in %d bytes",
		            one->label, ADVISE_RECIPE_BYTES);
}

bool advise_share(struct advise *a, const struct text_input *text, struct tool_error *error)
{
	const clkv_geometry geometry = engine_geometry(a->eval.session.model);
	size_t n;
	const struct budget_codec *codec = budget_codecs(&n);
	bool done = true;
	for (; n > 0 && done; n--, codec++) {
		struct probes p;
		clkv_error cause = {0};
		done = open_probes(&p, a, codec, error);
		if (done &&
		    clkv_recipe_check(a->eval.session.context, &geometry, p.recipe[0], &cause) == CLKV_OK) {
			done = measure_probes(&p, a, text, error);
			if (done) {
				share(&p);
				add_points(a, &p);
			}
		}
		close_probes(&p);
	}
	return done;
}
