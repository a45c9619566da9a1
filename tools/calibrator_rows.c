/* SPDX-License-Identifier: MIT */
/** \file calibrator_rows.c \brief Texts through the model: the second half of each asks, evenly, so many that a minute of one
 *  core does. */
#include "calibrator.h"

#include "turn_back.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Which row of the sample a position is, or n_queries. */
static size_t sampled(const struct text *text, size_t position)
{
	size_t i = 0;
	while (i < text->n_queries && text->positions[i] != position)
		i++;
	return i;
}

static void see_rows(void *opaque, const struct asked_rows *asked)
{
	struct calibrator *t = opaque;
	const struct text *text = t->running;
	const size_t row = calibrator_query_row(t);
	memcpy(t->norms + asked->layer * t->tokens + text->first + asked->first, asked->norms,
	       asked->rows * sizeof(float));
	for (size_t r = 0; r < asked->rows; r++) {
		const size_t i = sampled(text, asked->first + r);
		if (i < text->n_queries)
			memcpy(text->queries + (asked->layer * text->n_queries + i) * row,
			       asked->queries + r * row, row * sizeof(float));
	}
}

static void choose_queries(const struct calibrator *t, struct text *text)
{
	const size_t half = text->in.n / 2, rows = text->in.n - half,
				 most = CALIBRATION_QUERIES / t->n_texts;
	text->n_queries = rows < most ? rows : most;
	for (size_t i = 0; i < text->n_queries; i++)
		text->positions[i] = half + i * rows / text->n_queries;
}

bool calibrator_run(struct calibrator *t, struct text *text, struct tool_error *error)
{
	choose_queries(t, text);
	text->queries = calloc(t->layers * text->n_queries * calibrator_query_row(t), sizeof(float));
	if (text->queries == NULL)
		return tool_fail(error, "out of memory");
	t->running = text;
	return session_stream_open(t->session, "f16", text->in.n, &text->stream, error) &&
	       text_rows_run(t->session, &text->stream, text->in.ids, text->in.n, see_rows, t, error);
}

/* Rows of a layer of a text, head by head. */
static bool read_layer(struct calibrator *t, size_t layer, const struct text *text,
                       struct tool_error *error)
{
	if (!kept_rows_read(t->session, &text->stream, layer, 0, text->in.n, &t->kept, error))
		return false;
	for (size_t i = 0; i < text->in.n; i++)
		for (size_t h = 0; h < t->heads; h++) {
			const size_t to = (h * t->tokens + text->first + i) * t->dim,
						 from = (i * t->heads + h) * t->dim;
			memcpy(t->keys + to, t->kept.keys + from, t->dim * sizeof(float));
			memcpy(t->values + to, t->kept.values + from, t->dim * sizeof(float));
			turn_back(t->session->model, t->frequencies, t->turned, i, t->keys + to, t->plain + to);
		}
	return true;
}

bool calibrator_read(struct calibrator *t, size_t layer, struct tool_error *error)
{
	for (size_t i = 0; i < t->n_texts; i++)
		if (!read_layer(t, layer, &t->texts[i], error))
			return false;
	return true;
}

struct head_rows calibrator_rows(const struct calibrator *t, size_t layer, size_t head,
                                 const struct text *text)
{
	return (struct head_rows){
		.dim = t->dim,
		.group = t->group,
		.n = text->in.n,
		.n_queries = text->n_queries,
		.keys = calibrator_key(t, head, text->first),
		.values = calibrator_value(t, head, text->first),
		.queries = text->queries + layer * text->n_queries * calibrator_query_row(t) +
	               head * t->group * t->dim,
		.query_stride = calibrator_query_row(t),
		.positions = text->positions,
		.gram = t->gram + head * t->group * t->dim * t->dim,
		.scale = (float)(1 / sqrt((double)t->dim)),
		.window = (size_t)t->session->model->window,
		.key_costs = t->key_costs + text->first,
		.value_costs = t->value_costs + text->first,
	};
}

size_t calibrator_longest(const struct calibrator *t)
{
	size_t most = 0;
	for (size_t i = 0; i < t->n_texts; i++)
		most = t->texts[i].in.n > most ? t->texts[i].in.n : most;
	return most;
}
