/* SPDX-License-Identifier: MIT */
/**
 * \file    train_clla.c
 * \brief   Factors of latents that several layers share, from the rows of texts.
 *
 * Source: CLLA, arXiv 2410.15252, which trains a model whose layers share latents of the first one's input. Here the model stays as
 * it is: latents are the principal components of the first layer's rows, keys as they were in front of RoPE, and the other
 * layers' rows what least squares make of them (shared_fit.c). Rows of the layers of a group are those of the same token. Jointly,
 * latents are principal components of all these layers' rows side by side, as of heads of one layer.
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
	bool joint;
	size_t layers, heads, dim, width, share, groups;
	size_t left_out; /* tokens of the text under way that come before those that count */
	size_t rows;     /* that count, of all texts */
	struct kept_rows kept;
	double *sums[2];        /* K, V: [groups][share * width]^2 */
	float *side_by_side[2]; /* the text's rows of a group's layers, [tokens][share * width] */
	float *down[2], *up[2]; /* [groups][share * width][rank], turned over */
	double *frequencies;
};

/* Numbers of a group's row. */
static size_t all_of(const struct training *t)
{
	return t->share * t->width;
}

/* Latents of a group in the file. */
static size_t rank_of(const struct training *t)
{
	return t->joint ? all_of(t) : t->width;
}

static struct shared_side side_of(const struct training *t, int side, size_t group)
{
	return (struct shared_side){t->width, t->share, t->sums[side] + group * all_of(t) * all_of(t)};
}

/* Rows of a layer to their places; those of a group's last layer complete it. */
static void add_rows(void *opaque, const struct kept_rows *rows)
{
	const struct training *t = opaque;
	const size_t all = all_of(t), other = rows->layer % t->share;
	for (size_t i = 0; i < rows->n; i++) {
		const size_t position = rows->first + i, at = (position - t->left_out) * all;
		float *k = t->side_by_side[0] + at, *v = t->side_by_side[1] + at;
		for (size_t h = 0; h < t->heads; h++)
			turn_back(t->session->model, t->frequencies, (size_t)t->session->model->rope_dims,
			          position, rows->keys + i * t->width + h * t->dim,
			          k + other * t->width + h * t->dim);
		for (size_t c = 0; c < t->width; c++)
			v[other * t->width + c] = rows->values[i * t->width + c];
		if (other + 1 < t->share)
			continue;
		moments_add(all, 1.0, k, side_of(t, 0, rows->layer / t->share).moment);
		moments_add(all, 1.0, v, side_of(t, 1, rows->layer / t->share).moment);
	}
}

static bool add_text(struct training *t, const struct text_input *text, struct tool_error *error)
{
	const struct text_viewer viewer = {NULL, add_rows, t};
	t->left_out = text_rows_first(text->n);
	const size_t rows = text->n - t->left_out;
	t->rows += rows;
	for (int i = 0; i < 2; i++)
		t->side_by_side[i] = calloc(rows * all_of(t), sizeof *t->side_by_side[i]);
	bool done = (t->side_by_side[0] && t->side_by_side[1]) || tool_fail(error, "out of memory");
	done = done && text_rows_show(t->session, text, &t->kept, &viewer, error);
	for (int i = 0; i < 2; i++) {
		free(t->side_by_side[i]);
		t->side_by_side[i] = NULL;
	}
	return done;
}

/* explained [side][all, half]: the mean over groups, of latents of the first layer's rows. */
static bool fit_group(const struct training *t, int side, size_t group, double explained[2],
                      struct tool_error *error)
{
	const struct shared_side s = side_of(t, side, group);
	const size_t each = all_of(t) * rank_of(t);
	float *down = t->down[side] + group * each, *up = t->up[side] + group * each;
	if (t->joint)
		return shared_fit_all(&s, down, up, error);
	if (!shared_fit_first(&s, down, up, error))
		return false;
	explained[0] += shared_explained(&s, up, t->width) / (double)t->groups;
	explained[1] += shared_explained(&s, up, t->width / 2) / (double)t->groups;
	return true;
}

static bool fit(struct training *t, double explained[2][2], struct tool_error *error)
{
	for (int i = 0; i < 2; i++)
		for (size_t j = 0; j < t->groups * all_of(t) * all_of(t); j++)
			t->sums[i][j] /= (double)t->rows;
	for (size_t g = 0; g < t->groups; g++) {
		if (!fit_group(t, 0, g, explained[0], error) || !fit_group(t, 1, g, explained[1], error))
			return false;
		progress_show("factors", g + 1, t->groups);
	}
	return true;
}

static bool save(const struct training *t, const char *path, struct tool_error *error)
{
	clkv_factors f = CLKV_INIT(clkv_factors);
	f.rank_k = f.rank_v = (int)rank_of(t);
	f.k_down = t->down[0], f.k_up = t->up[0];
	f.v_down = t->down[1], f.v_up = t->up[1];
	f.heads_k = f.heads_v = (int)t->heads;
	f.before_rope = 1;
	f.share = (int)t->share;
	return factors_save(t->session->model, &f, path, "writing the factors", error);
}

static bool reserve(struct training *t, struct tool_error *error)
{
	const size_t each = t->groups * all_of(t) * rank_of(t);
	bool done = true;
	for (int i = 0; i < 2; i++) {
		t->sums[i] = calloc(t->groups * all_of(t) * all_of(t), sizeof *t->sums[i]);
		t->down[i] = calloc(each, sizeof *t->down[i]);
		t->up[i] = calloc(each, sizeof *t->up[i]);
		done = done && t->sums[i] && t->down[i] && t->up[i];
	}
	t->frequencies = calloc(t->dim / 2 + 1, sizeof *t->frequencies);
	if (!done || !t->frequencies)
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
	free(t->frequencies);
	kept_rows_close(&t->kept);
}

bool train_clla(struct session *session, const struct text_input *texts, size_t n_texts,
                size_t share, bool joint, const char *path, double explained[2][2],
                struct tool_error *error)
{
	const struct model *m = session->model;
	const size_t layers = (size_t)m->n_layers, heads = (size_t)m->kv_heads;
	struct training t = {
		.session = session,
		.joint = joint,
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
