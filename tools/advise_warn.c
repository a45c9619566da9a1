/* SPDX-License-Identifier: MIT */
/** \file advise_warn.c \brief Thresholds, and what they mean in words. */
#include "advise_warn.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "eval_stats.h"

/* Larger values become this one when they are appended. */
static const double half_most = 65504;
/* Of that range: what comes so near on one text leaves it on another. */
static const double near_range = 1.0 / 8;
/* A layer whose keys reach so many times farther than the median layer's: a step that is a part of a range is that much
 * coarser there. */
static const double layer_stands_out = 4;
/* A channel so many times larger than its head's median one leaves the others less than half a step of 4 bits when they share a
 * scale with it: its range in 15 steps is twice its magnitude. */
static const double channel_stands_out = 16;
/* What attention gives is nearer to nothing than to itself from an error of 1 on; half of that is broken. */
static const double head_breaks = 0.5;
/* Half a nat: tokens are on average 1.6 times less likely; fewer than half of the likeliest tokens stay. */
static const double model_breaks = 0.5;

void advise_warn(struct advise_warnings *w, const char *format, ...)
{
	va_list arguments;
	if (w->n == ADVISE_MOST_WARNINGS) {
		w->left_out++;
		return;
	}
	va_start(arguments, format);
	(void)vsnprintf(w->text[w->n++], ADVISE_WARNING_BYTES, format, arguments);
	va_end(arguments);
}

static void warn_range(struct advise_warnings *w, size_t layer, const char *what, double most)
{
	if (most >= half_most)
		advise_warn(
			w,
			"layer %zu: %s lie beyond the range of half (65504) and were cut to it: even f16 "
			"isn't exact here",
			layer, what);
	else if (most > half_most * near_range)
		advise_warn(w,
		            "layer %zu: %s reach %.0f, more than an eighth of the range of half (65504): "
		            "another text may leave it",
		            layer, what, most);
}

static double median_reach(const struct advise_survey *s)
{
	double median = NAN, *sorted = calloc(s->layers, sizeof *sorted);
	for (size_t l = 0; l < s->layers && sorted != NULL; l++)
		sorted[l] = s->layer[l].k_reach;
	if (sorted != NULL) {
		stats_sort(sorted, s->layers);
		median = stats_quantile(sorted, s->layers, 0.5);
	}
	free(sorted);
	return median;
}

static void warn_channels(struct advise_warnings *w, const struct advise_survey *s)
{
	size_t n = 0, worst = 0;
	for (size_t l = 0; l < s->layers; l++) {
		n += s->layer[l].channel > channel_stands_out;
		worst = s->layer[l].channel > s->layer[worst].channel ? l : worst;
	}
	if (n > 0)
		advise_warn(
			w,
			"%zu of %zu layers have keys with a channel more than %.0f times as large as the "
			"median one (layer %zu: %.0f times): codes of K that share a scale along the "
			"token lose the others",
			n, s->layers, channel_stands_out, worst, s->layer[worst].channel);
}

void advise_warn_layers(struct advise_warnings *w, const struct advise_survey *s)
{
	const double median = median_reach(s);
	for (size_t l = 0; l < s->layers; l++) {
		warn_range(w, l, "keys", s->layer[l].k_most);
		warn_range(w, l, "values", s->layer[l].v_most);
		if (s->layer[l].k_reach > layer_stands_out * median)
			advise_warn(w,
			            "layer %zu: keys reach %.1f, %.1f times as far as the median layer's: what "
			            "has the same bits for all layers loses most here",
			            l, s->layer[l].k_reach, s->layer[l].k_reach / median);
	}
	warn_channels(w, s);
}

void advise_warn_heads(struct advise_warnings *w, const struct advise_survey *s, size_t i,
                       const char *label)
{
	const size_t all = s->layers * s->heads;
	const double *error = s->error + i * all;
	double most = 0;
	size_t n = 0, worst = 0;
	for (size_t h = 0; h < all; h++) {
		const double e = isnan(error[h]) ? INFINITY : error[h];
		n += e > head_breaks;
		worst = e > most ? h : worst;
		most = fmax(e, most);
	}
	if (n > 0)
		advise_warn(w,
		            "'%s' breaks %zu of %zu heads, whose attention is off by more than half of "
		            "itself; most of all head %zu of layer %zu (%.2f)",
		            label, n, all, worst % s->heads, worst / s->heads, most);
}

void advise_warn_broken(struct advise_warnings *w, const char *label, double kl, double top1_agree)
{
	if (!(kl <= model_breaks && top1_agree >= model_breaks))
		advise_warn(
			w,
			"'%s' breaks the model: divergence %.2f, and %.0f %% of the likeliest tokens are "
			"still that",
			label, kl, 100 * top1_agree);
}

void advise_survey_close(struct advise_survey *s)
{
	free(s->layer);
	free(s->error);
	*s = (struct advise_survey){0};
}
