/* SPDX-License-Identifier: MIT */
/**
 * \file    train_clla.c
 * \brief   Factors of latents that several layers share, from the rows of texts.
 *
 * Source: CLLA, arXiv 2410.15252, which trains a model whose layers share latents of the first one's input. Here the model stays as
 * it is: latents are the principal components of the first layer's rows, keys as they were in front of RoPE, and the other
 * layers' rows what least squares make of them (shared_fit.c). Rows of the layers of a group are those of the same token.
 */
#include "train_groups.h"

#include "eigen.h"
#include "factors_save.h"
#include "moments.h"
#include "progress.h"
#include "shared_fit.h"
#include "turn_back.h"

#include <clkv.h>
#include <stdlib.h>

struct training {
	struct session *session;
	size_t layers, heads, dim, width, share, groups;
	size_t left_out; /* tokens of the text under way that come before those that count */
	size_t rows;     /* that count, of all texts */
	struct kept_rows kept;
	double *sums[2];        /* K, V: [groups] of a side's moments */
	float *first[2];        /* the text's rows of a group's first layer, [tokens][width] */
	float *row;             /* [width] */
	float *down[2], *up[2]; /* [groups][share * width * width] */
	double *frequencies;
};

/* Numbers of a side's moments of a group. */
static size_t moments_size(const struct training *t)
{
	return t->share * t->width * t->width + t->share;
}

static struct shared_side side_of(const struct training *t, int side, size_t group)
{
	double *at = t->sums[side] + group * moments_size(t);
	const size_t square = t->width * t->width;
	return (struct shared_side){t->width, t->share, at, at + square, at + t->share * square};
}

/* Row x of a layer at row number `at` of the text's. */
static void add_row(const struct training *t, int side, size_t layer, size_t at, const float *x)
{
	const struct shared_side s = side_of(t, side, layer / t->share);
	const size_t w = t->width, other = layer % t->share;
	float *a = t->first[side] + at * w;
	if (other == 0) {
		for (size_t i = 0; i < w; i++)
			a[i] = x[i];
		moments_add(w, 1.0, x, s.first);
		return;
	}
	double *cross = s.cross + (other - 1) * w * w;
	for (size_t i = 0; i < w; i++)
		for (size_t j = 0; j < w; j++)
			cross[i * w + j] += (double)a[i] * (double)x[j];
	for (size_t j = 0; j < w; j++)
		s.own[other - 1] += (double)x[j] * (double)x[j];
}

static void add_rows(void *opaque, const struct kept_rows *rows)
{
	const struct training *t = opaque;
	for (size_t i = 0; i < rows->n; i++) {
		const size_t position = rows->first + i;
		for (size_t h = 0; h < t->heads; h++)
			turn_back(t->session->model, t->frequencies, position,
			          rows->keys + i * t->width + h * t->dim, t->row + h * t->dim);
		add_row(t, 0, rows->layer, position - t->left_out, t->row);
		add_row(t, 1, rows->layer, position - t->left_out, rows->values + i * t->width);
	}
}

static void see_nothing(void *opaque, const struct asked_rows *asked)
{
	(void)opaque, (void)asked;
}

static bool add_text(struct training *t, const struct text_input *text, struct tool_error *error)
{
	struct engine_stream stream = {0};
	t->left_out = text_rows_first(text->n);
	const size_t rows = text->n - t->left_out;
	t->rows += rows;
	for (int i = 0; i < 2; i++)
		t->first[i] = calloc(rows * t->width, sizeof *t->first[i]);
	bool done = (t->first[0] && t->first[1]) || tool_fail(error, "out of memory");
	done = done && session_stream_open(t->session, "f16", text->n, &stream, error) &&
	       text_rows_run(t->session, &stream, text->ids, text->n, see_nothing, t, error);
	for (size_t l = 0; l < t->layers && done; l++) {
		done = kept_rows_each(t->session, &stream, l, t->left_out, text->n, &t->kept, add_rows, t,
		                      error);
		progress_show("rows", l + 1, t->layers);
	}
	session_stream_close(&stream);
	for (int i = 0; i < 2; i++) {
		free(t->first[i]);
		t->first[i] = NULL;
	}
	return done;
}

/* explained [side][all, half]: the mean over groups. */
static bool fit(struct training *t, double explained[2][2], struct tool_error *error)
{
	const size_t each = t->share * t->width * t->width;
	for (int i = 0; i < 2; i++)
		for (size_t j = 0; j < t->groups * moments_size(t); j++)
			t->sums[i][j] /= (double)t->rows;
	for (size_t g = 0; g < t->groups; g++) {
		for (int i = 0; i < 2; i++) {
			const struct shared_side s = side_of(t, i, g);
			float *up = t->up[i] + g * each;
			if (!shared_fit(&s, t->down[i] + g * each, up, error))
				return false;
			explained[i][0] += shared_explained(&s, up, t->width) / (double)t->groups;
			explained[i][1] += shared_explained(&s, up, t->width / 2) / (double)t->groups;
		}
		progress_show("factors", g + 1, t->groups);
	}
	return true;
}

static bool save(const struct training *t, const char *path, struct tool_error *error)
{
	clkv_factors f = CLKV_INIT(clkv_factors);
	f.rank_k = f.rank_v = (int)t->width;
	f.k_down = t->down[0], f.k_up = t->up[0];
	f.v_down = t->down[1], f.v_up = t->up[1];
	f.heads_k = f.heads_v = (int)t->heads;
	f.before_rope = 1;
	f.share = (int)t->share;
	return factors_save(t->session->model, &f, path, "writing the factors", error);
}

static bool reserve(struct training *t, struct tool_error *error)
{
	const size_t each = t->groups * t->share * t->width * t->width;
	bool done = true;
	for (int i = 0; i < 2; i++) {
		t->sums[i] = calloc(t->groups * moments_size(t), sizeof *t->sums[i]);
		t->down[i] = calloc(each, sizeof *t->down[i]);
		t->up[i] = calloc(each, sizeof *t->up[i]);
		done = done && t->sums[i] && t->down[i] && t->up[i];
	}
	t->row = calloc(t->width, sizeof *t->row);
	t->frequencies = calloc(t->dim / 2 + 1, sizeof *t->frequencies);
	if (!done || !t->row || !t->frequencies)
		return tool_fail(error, "out of memory");
	turn_frequencies(t->session->model, t->frequencies);
	return kept_rows_open(t->session, TEXT_ROWS_PART, &t->kept, error);
}

static void release(struct training *t)
{
	for (int i = 0; i < 2; i++) {
		free(t->sums[i]);
		free(t->down[i]);
		free(t->up[i]);
	}
	free(t->row);
	free(t->frequencies);
	kept_rows_close(&t->kept);
}

bool train_clla(struct session *session, const struct text_input *texts, size_t n_texts,
                size_t share, const char *path, double explained[2][2], struct tool_error *error)
{
	const struct model *m = session->model;
	const size_t layers = (size_t)m->n_layers, heads = (size_t)m->kv_heads;
	struct training t = {
		.session = session,
		.layers = layers,
		.heads = heads,
		.dim = (size_t)m->head_dim,
		.width = heads * (size_t)m->head_dim,
		.share = share,
		.groups = layers / share,
	};
	explained[0][0] = explained[0][1] = explained[1][0] = explained[1][1] = 0;
	if (layers % share != 0)
		return tool_fail(error, "--share %zu doesn't divide the model's %zu layers", share, layers);
	if (!eigen_ready(error))
		return false;
	bool done = reserve(&t, error);
	for (size_t i = 0; i < n_texts && done; i++)
		done = add_text(&t, &texts[i], error);
	done = done && fit(&t, explained, error) && save(&t, path, error);
	release(&t);
	progress_clear();
	return done;
}
