/* SPDX-License-Identifier: MIT */
/** \file advise_budget.c \brief Codecs with levels, bits shared out by price, recipes by layer. */
#include "advise_budget.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tool_error.h"

static const struct budget_codec codecs[] = {
	{.name = "kivi",
     .before_k = "kivi:k=",
     .before_v = ",v=",
     .behind = "",
     .levels = {{"2", 2}, {"3", 3}, {"4", 4}, {"8", 8}},
     .n_levels = 4,
     .quiet = 3,
     .rival = 1,
     .uniform = "kivi:bits=3"},
	/* an entropy code takes a bit more for half the step: bits are binary logarithms of ranges in steps */
	{.name = "kvcomp",
     .before_k = "kvcomp:rel_k=",
     .before_v = ",rel_v=",
     .behind = ",entropy=huffman",
     .levels = {{"0.333333", 1.585},
                {"0.25", 2},
                {"0.2", 2.322},
                {"0.142857", 2.807},
                {"0.1", 3.322},
                {"0.0666667", 3.907},
                {"0.05", 4.322}},
     .n_levels = 7,
     .quiet = 6,
     .rival = 3,
     .uniform = "kvcomp:rel_k=0.142857,rel_v=0.142857,entropy=huffman"},
};

const struct budget_codec *budget_codecs(size_t *n)
{
	*n = sizeof codecs / sizeof codecs[0];
	return codecs;
}

/* ---------------------------------------------------------------- sharing out ---- */

/* A unit's step to a finer level. */
struct upgrade {
	size_t unit, level;
	double price; /* cost that it takes off, per bit */
};

/* The best of a unit's steps that `left` bits pay for; price 0: there is none. */
static struct upgrade best_of_unit(const struct budget_codec *c, const double *law,
                                   double sensitivity, size_t unit, size_t level, double left)
{
	struct upgrade best = {unit, level, 0};
	for (size_t l = level + 1; l < c->n_levels; l++) {
		const double bits = c->levels[l].bits - c->levels[level].bits;
		const double price = sensitivity * (law[level] - law[l]) / bits;
		if (bits <= left && price > best.price)
			best = (struct upgrade){unit, l, price};
	}
	return best;
}

void budget_share(const struct budget_codec *c, const double *law, const double *sensitivity,
                  size_t n, double bits, size_t *levels)
{
	/* a sum of bits that should come out even may miss that by rounding */
	double left = (double)n * (bits - c->levels[0].bits) * (1 + 1e-12);
	memset(levels, 0, n * sizeof *levels);
	for (;;) {
		struct upgrade best = {0, 0, 0};
		for (size_t u = 0; u < n; u++) {
			const struct upgrade one = best_of_unit(c, law, sensitivity[u], u, levels[u], left);
			best = one.price > best.price ? one : best;
		}
		if (best.price <= 0)
			return;
		left -= c->levels[best.level].bits - c->levels[levels[best.unit]].bits;
		levels[best.unit] = best.level;
	}
}

/* ---------------------------------------------------------------- recipes ---- */

/* A text under way; full: it didn't fit. */
struct writer {
	char *text;
	size_t size, used;
	bool full;
};

static void TOOL_PRINTF(2, 3) add(struct writer *w, const char *format, ...)
{
	va_list arguments;
	if (w->full)
		return;
	va_start(arguments, format);
	const int n = vsnprintf(w->text + w->used, w->size - w->used, format, arguments);
	va_end(arguments);
	w->full = n < 0 || (size_t)n >= w->size - w->used;
	w->used += w->full ? 0 : (size_t)n;
}

static void add_stages(struct writer *w, const struct budget_codec *c, size_t k, size_t v,
                       const char *keys)
{
	add(w, "%s%s%s%s%s ; %s", c->before_k, c->levels[k].text, c->before_v, c->levels[v].text,
	    c->behind, keys);
}

static bool same(const size_t *levels, size_t a, size_t b)
{
	return levels[2 * a] == levels[2 * b] && levels[2 * a + 1] == levels[2 * b + 1];
}

/* Numbers and ranges of the layers that have what layer `first` has. */
static void add_layers(struct writer *w, const size_t *levels, size_t layers, size_t first)
{
	for (size_t l = first; l < layers; l++) {
		size_t last = l;
		if (!same(levels, first, l))
			continue;
		while (last + 1 < layers && same(levels, first, last + 1))
			last++;
		add(w, l == first ? "%zu" : ",%zu", l);
		if (last > l)
			add(w, "-%zu", last);
		l = last;
	}
}

static bool is_first(const size_t *levels, size_t layer)
{
	for (size_t l = 0; l < layer; l++)
		if (same(levels, l, layer))
			return false;
	return true;
}

bool budget_recipe(const struct budget_codec *c, const size_t *levels, size_t layers,
                   const char *keys, char *text, size_t size)
{
	struct writer w = {text, size, 0, false};
	add(&w, "layers=");
	for (size_t l = 0; l < layers; l++) {
		if (!is_first(levels, l))
			continue;
		add(&w, l == 0 ? "" : " ; ");
		add_layers(&w, levels, layers, l);
		add(&w, ": ");
		add_stages(&w, c, levels[2 * l], levels[2 * l + 1], keys);
	}
	return !w.full;
}

bool budget_probe(const struct budget_codec *c, size_t unit, size_t layers, const char *keys,
                  char *text, size_t size)
{
	struct writer w = {text, size, 0, false};
	const size_t layer = unit / 2;
	const bool is_v = unit % 2 != 0;
	add(&w, "layers=%zu: ", layer);
	add_stages(&w, c, is_v ? c->quiet : 0, is_v ? 0 : c->quiet, keys);
	if (layers > 1)
		add(&w, " ; ");
	if (layer > 0)
		add(&w, layer > 1 ? "0-%zu%s" : "%zu%s", layer - 1, layer + 1 < layers ? "," : ": f16");
	if (layer + 1 < layers)
		add(&w, "%zu-: f16", layer + 1);
	return !w.full;
}

bool budget_uniform(const struct budget_codec *c, size_t level, const char *keys, char *text,
                    size_t size)
{
	struct writer w = {text, size, 0, false};
	add_stages(&w, c, level, level, keys);
	return !w.full;
}
