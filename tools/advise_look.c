/* SPDX-License-Identifier: MIT */
/**
 * \file    advise_look.c
 * \brief   One prompt in all caches at a time.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "advise.h"
#include "eval_heads.h"
#include "progress.h"
#include "text_rows.h"

/* Tokens behind the prompt whose attention is compared: errors of a head are then known to a fifth or so, and what breaks is far
 * beyond that. */
enum { COMPARED_ROWS = 16 };

/* Where a token's row of all KV heads lies. */
struct head_shape {
	size_t heads, dim;
};

static double most_of(const float *row, size_t n)
{
	double most = 0;
	for (size_t i = 0; i < n; i++)
		most = fmax(most, fabs((double)row[i]));
	return most;
}

/* Largest over median of the mean magnitudes of a head's channels; sizes: room for them. */
static double channel_ratio(const float *keys, size_t n, const struct head_shape *s, size_t head,
                            double *sizes)
{
	memset(sizes, 0, s->dim * sizeof *sizes);
	for (size_t t = 0; t < n; t++)
		for (size_t c = 0; c < s->dim; c++)
			sizes[c] += fabs((double)keys[(t * s->heads + head) * s->dim + c]);
	stats_sort(sizes, s->dim);
	return sizes[s->dim - 1] / stats_quantile(sizes, s->dim, 0.5);
}

static bool describe_layer(const struct kept_rows *rows, size_t n, size_t sinks,
                           const struct head_shape *s, struct advise_layer *layer,
                           struct tool_error *error)
{
	const size_t width = s->heads * s->dim;
	double *sizes = calloc(s->dim, sizeof *sizes);
	if (sizes == NULL)
		return tool_fail(error, "out of memory");
	layer->k_most = most_of(rows->keys, n * width);
	layer->v_most = most_of(rows->values, n * width);
	layer->k_reach = most_of(rows->keys + sinks * width, (n - sinks) * width);
	for (size_t h = 0; h < s->heads; h++)
		layer->channel =
			fmax(layer->channel, channel_ratio(rows->keys + sinks * width, n - sinks, s, h, sizes));
	free(sizes);
	return true;
}

static bool describe_layers(struct advise *a, const struct engine_stream *stream,
                            struct tool_error *error)
{
	const struct session *session = &a->eval.session;
	const struct head_shape shape = {(size_t)session->model->kv_heads,
	                                 (size_t)session->model->head_dim};
	const size_t n = stream->length, layers = (size_t)session->model->n_layers;
	struct kept_rows rows;
	a->survey.layers = layers;
	a->survey.layer = calloc(layers, sizeof *a->survey.layer);
	bool done = kept_rows_open(session, n, &rows, error) &&
	            (a->survey.layer != NULL || tool_fail(error, "out of memory"));
	for (size_t l = 0; l < layers && done; l++)
		done = kept_rows_read(session, stream, l, 0, n, &rows, error) &&
		       describe_layer(&rows, n, a->options->sinks, &shape, &a->survey.layer[l], error);
	kept_rows_close(&rows);
	return done;
}

static bool note_bytes(struct advise *a, const struct eval_runs *runs, struct tool_error *error)
{
	for (size_t i = 0; i < a->n; i++) {
		struct advise_point *p = &a->points[i];
		const struct engine_stream *stream = &runs->run[runs->of_recipe[i]].stream;
		double all;
		for (size_t l = 0; l < ADVISE_LENGTHS; l++)
			if (!advise_bytes_at(&a->eval.session, p->recipe, &p->given, stream, advise_lengths[l],
			                     &p->bytes_at[l], error))
				return false;
		if (!advise_bytes_at(&a->eval.session, p->recipe, &p->given, stream, a->options->length,
		                     &all, error))
			return false;
		p->bytes = all / (double)a->options->length;
		p->place = i;
	}
	return true;
}

static bool note_errors(struct advise *a, struct eval_runs *runs, struct tool_error *error)
{
	struct eval_heads heads = {0};
	bool done = eval_heads_compare(runs, COMPARED_ROWS, &heads, error);
	const size_t each = heads.layers * heads.heads;
	if (done) {
		a->survey.n = a->n;
		a->survey.heads = heads.heads;
		a->survey.error = calloc(a->n * each, sizeof *a->survey.error);
		done = a->survey.error != NULL || tool_fail(error, "out of memory");
	}
	for (size_t i = 0; i < a->n && done; i++)
		for (size_t h = 0; h < each; h++)
			a->survey.error[i * each + h] =
				heads.error[runs->of_recipe[i] * each + h] / COMPARED_ROWS;
	eval_heads_close(&heads);
	return done;
}

static int compare_bytes(const void *x, const void *y)
{
	const struct advise_point *a = x, *b = y;
	return (a->bytes > b->bytes) - (a->bytes < b->bytes);
}

bool advise_look(struct advise *a, struct tool_error *error)
{
	struct eval_options options = *a->eval.options;
	struct eval eval = a->eval;
	struct eval_runs runs = {.eval = &eval};
	options.n_recipes = a->n;
	for (size_t i = 0; i < a->n; i++) {
		options.recipes[i] = a->points[i].recipe;
		options.given_of[i] = &a->points[i].given;
	}
	eval.options = &options;
	eval.ids = eval.texts[0].ids;
	bool done = eval_runs_open(&runs, NULL, options.contexts[0] + COMPARED_ROWS + 1, error) &&
	            eval_runs_prompt(&runs, error) && describe_layers(a, &runs.run[0].stream, error) &&
	            note_bytes(a, &runs, error) && note_errors(a, &runs, error);
	eval_runs_close(&runs);
	progress_clear();
	if (done)
		qsort(a->points, a->n, sizeof a->points[0], compare_bytes);
	return done;
}
