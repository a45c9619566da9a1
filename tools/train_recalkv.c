/* SPDX-License-Identifier: MIT */
/**
 * \file    train_recalkv.c
 * \brief   Factors of similar heads' keys and of a layer's values, from the rows of texts.
 *
 * Source: ReCalKV, arXiv 2505.24357. With inputs X and whitening C C^T = X^T X, the decomposition of W C, cut off, loses least of
 * the rows Y = X W: it's that of the rows, whose second moments are all it needs. So inputs are not asked for: keys come from a
 * stream, turned back to before RoPE. V's factors then take a round of the calibration at half of the rank, as theirs do; as
 * whitening saw the same rows, it finds little to do.
 *
 * Weighed, an error e of a key in front of RoPE, at position t, moves the logit of a query q at p by (R_-t q) . e: M_k is the sum of
 * such turned queries' squares over the text's, each at ASKED positions up to its own. An error of a value costs what it does in
 * train_factors.c. Errors of different heads are taken to add up.
 */
#include "train_groups.h"

#include "eigen.h"
#include "factors_fit.h"
#include "fitted_groups.h"
#include "head_groups.h"
#include "moments.h"
#include "output_gram.h"
#include "progress.h"
#include "turn_back.h"
#include "weight_gram.h"

#include <stdlib.h>

enum { ASKED = 4 };

struct training {
	struct session *session;
	bool weighed;
	size_t left_out; /* tokens of the text under way that come before those that count */
	size_t rows;     /* that count, of all texts */
	struct kept_rows kept;
	struct fitted_groups factors;
	double *c_k;         /* [layers][groups][heads_k * dim]^2 */
	double *c_v;         /* [layers][heads * dim]^2 */
	double *m_k;         /* weighed: [layers][heads][dim][dim] */
	float *row;          /* [heads * dim] */
	double *frequencies; /* [dim / 2] */
};

/* A query's square at positions spread over those up to its own. */
static void add_query(const struct training *t, size_t layer, size_t head, size_t position,
                      const float *query)
{
	const size_t dim = t->factors.dim;
	for (size_t i = 0; i < ASKED; i++) {
		turn_back(t->session->model, t->frequencies, (size_t)t->session->model->rope_dims,
		          position * (2 * i + 1) / (2 * ASKED), query, t->row);
		moments_add(dim, 1.0, t->row, t->m_k + (layer * t->factors.heads + head) * dim * dim);
	}
}

static void add_queries(void *opaque, const struct asked_rows *asked)
{
	const struct training *t = opaque;
	const struct model *m = t->session->model;
	const size_t q_heads = (size_t)m->q_heads, group = q_heads / t->factors.heads;
	for (size_t r = 0; r < asked->rows && t->weighed; r++)
		for (size_t h = 0; h < q_heads && asked->first + r >= t->left_out; h++)
			add_query(t, asked->layer, h / group, asked->first + r,
			          asked->queries + (r * q_heads + h) * t->factors.dim);
}

static void add_keys(const struct training *t, size_t layer, size_t position, const float *keys)
{
	const struct fitted_groups *f = &t->factors;
	const size_t each = f->heads_k, width = each * f->dim;
	for (size_t g = 0; g < f->heads / each; g++) {
		for (size_t j = 0; j < each; j++) {
			const int head = f->order[layer * f->heads + g * each + j];
			turn_back(t->session->model, t->frequencies, (size_t)t->session->model->rope_dims,
			          position, keys + (size_t)head * f->dim, t->row + j * f->dim);
		}
		moments_add(width, 1.0, t->row, t->c_k + fitted_groups_k(f, layer, g));
	}
}

static void add_rows(void *opaque, const struct kept_rows *rows)
{
	const struct training *t = opaque;
	const size_t width = t->factors.heads * t->factors.dim;
	for (size_t i = 0; i < rows->n; i++) {
		add_keys(t, rows->layer, rows->first + i, rows->keys + i * width);
		moments_add(width, 1.0, rows->values + i * width,
		            t->c_v + fitted_groups_v(&t->factors, rows->layer));
	}
}

static bool add_text(struct training *t, const struct text_input *text, struct tool_error *error)
{
	const struct text_viewer viewer = {add_queries, add_rows, t};
	t->left_out = text_rows_first(text->n);
	t->rows += text->n - t->left_out;
	return text_rows_show(t->session, text, &t->kept, &viewer, error);
}

static bool order_heads(struct training *t, struct tool_error *error)
{
	const struct fitted_groups *f = &t->factors;
	const size_t width = f->heads * f->dim;
	double *gram = calloc(width * width + f->heads * f->heads, sizeof *gram);
	bool done = gram || tool_fail(error, "out of memory");
	for (size_t l = 0; l < f->layers && done; l++) {
		double *alignment = gram + width * width;
		done = weight_gram(t->session->model->layers[l].k, true, gram) ||
		       tool_fail(error, "out of memory");
		if (done) {
			head_alignment(f->heads, f->dim, gram, alignment);
			head_groups(f->heads, f->heads_k, alignment, f->order + l * f->heads);
		}
	}
	free(gram);
	return done;
}

/* m [each * dim]^2 = the metrics of heads of a group, NULL: of all, beside each other, none of one head with another. */
static void join_metrics(const struct training *t, const int *members, size_t each,
                         const double *metrics, double *m)
{
	const size_t dim = t->factors.dim, width = each * dim;
	for (size_t i = 0; i < width * width; i++)
		m[i] = 0;
	for (size_t j = 0; j < each; j++)
		for (size_t i = 0; i < dim * dim; i++)
			m[(j * dim + i / dim) * width + j * dim + i % dim] =
				metrics[(members ? (size_t)members[j] : j) * dim * dim + i];
}

/* Of all heads' values [heads][dim][dim]. False: no memory. */
static bool value_metrics(const struct training *t, size_t layer, double *metrics)
{
	const struct model *m = t->session->model;
	const size_t dim = t->factors.dim, heads = t->factors.heads;
	const size_t group = (size_t)m->q_heads / heads;
	float *grams = calloc((size_t)m->q_heads * dim * dim, sizeof *grams);
	bool done = grams && output_grams(m, layer, grams);
	for (size_t i = 0; i < heads * dim * dim && done; i++)
		metrics[i] = output_gram_sum(grams, dim, group, i / (dim * dim), i % (dim * dim));
	free(grams);
	return done;
}

/* Both sides of a layer, by metrics. */
static bool fit_weighed(const struct training *t, size_t layer, struct tool_error *error)
{
	const struct fitted_groups *f = &t->factors;
	const size_t width = f->heads * f->dim, square = f->heads * f->dim * f->dim;
	const int *order = f->order + layer * f->heads;
	double *m = calloc(width * width + square, sizeof *m), *metrics = m + width * width;
	bool done = (m && value_metrics(t, layer, metrics)) || tool_fail(error, "out of memory");
	for (size_t g = 0; g < f->heads / f->heads_k && done; g++) {
		const size_t at = fitted_groups_k(f, layer, g);
		join_metrics(t, order + g * f->heads_k, f->heads_k, t->m_k + layer * square, m);
		done =
			factors_fit(f->heads_k * f->dim, m, t->c_k + at, f->k_down + at, f->k_up + at, error);
	}
	if (done) {
		const size_t at = fitted_groups_v(f, layer);
		join_metrics(t, NULL, f->heads, metrics, m);
		done = factors_fit(width, m, t->c_v + at, f->v_down + at, f->v_up + at, error);
	}
	free(m);
	return done;
}

/* Calibration sees moments, which fitting overwrites. */
static bool fit_values(const struct training *t, size_t layer, struct tool_error *error)
{
	const struct fitted_groups *f = &t->factors;
	const size_t width = f->heads * f->dim, n = width * width, at = fitted_groups_v(f, layer);
	double *moment = calloc(n, sizeof *moment);
	if (moment == NULL)
		return tool_fail(error, "out of memory");
	for (size_t i = 0; i < n; i++)
		moment[i] = t->c_v[at + i];
	bool done = factors_components(width, t->c_v + at, f->v_down + at, f->v_up + at, error) &&
	            factors_calibrate(width, width / 2, moment, f->v_down + at, f->v_up + at, error);
	free(moment);
	return done;
}

static bool fit_plain(const struct training *t, size_t layer, struct tool_error *error)
{
	const struct fitted_groups *f = &t->factors;
	for (size_t g = 0; g < f->heads / f->heads_k; g++) {
		const size_t at = fitted_groups_k(f, layer, g);
		if (!factors_components(f->heads_k * f->dim, t->c_k + at, f->k_down + at, f->k_up + at,
		                        error))
			return false;
	}
	return fit_values(t, layer, error);
}

static bool fit(struct training *t, struct tool_error *error)
{
	const struct fitted_groups *f = &t->factors;
	const size_t width = f->heads * f->dim, each = f->heads_k * f->dim;
	for (size_t i = 0; i < f->layers * width * each; i++)
		t->c_k[i] /= (double)t->rows;
	for (size_t i = 0; i < f->layers * width * width; i++)
		t->c_v[i] /= (double)t->rows;
	for (size_t l = 0; l < f->layers; l++) {
		if (!(t->weighed ? fit_weighed(t, l, error) : fit_plain(t, l, error)))
			return false;
		progress_show("factors", l + 1, f->layers);
	}
	return true;
}

static bool reserve(struct training *t, size_t heads, struct tool_error *error)
{
	struct fitted_groups *f = &t->factors;
	if (!fitted_groups_open(t->session->model, heads, f, error))
		return false;
	const size_t width = f->heads * f->dim;
	t->c_k = calloc(f->layers * width * heads * f->dim, sizeof *t->c_k);
	t->c_v = calloc(f->layers * width * width, sizeof *t->c_v);
	t->row = calloc(width, sizeof *t->row);
	t->m_k = calloc(f->layers * width * f->dim, sizeof *t->m_k);
	t->frequencies = calloc(f->dim / 2 + 1, sizeof *t->frequencies);
	if (!t->c_k || !t->c_v || !t->row || !t->m_k || !t->frequencies)
		return tool_fail(error, "out of memory");
	turn_frequencies(t->session->model, t->frequencies);
	return kept_rows_open(t->session, TEXT_ROWS_PART, &t->kept, error);
}

bool train_recalkv(struct session *session, const struct text_input *texts, size_t n_texts,
                   size_t heads, bool weighed, const char *path, struct tool_error *error)
{
	struct training t = {.session = session, .weighed = weighed};
	const size_t all = (size_t)session->model->kv_heads;
	heads = heads < all ? heads : all;
	if (all % heads != 0)
		return tool_fail(error, "--heads %zu doesn't divide the model's %zu KV heads", heads, all);
	if (!eigen_ready(error))
		return false;
	bool done = reserve(&t, heads, error) && order_heads(&t, error);
	for (size_t i = 0; i < n_texts && done; i++)
		done = add_text(&t, &texts[i], error);
	done = done && fit(&t, error) && fitted_groups_save(&t.factors, session->model, path, error);
	kept_rows_close(&t.kept);
	fitted_groups_close(&t.factors);
	free(t.c_k);
	free(t.c_v);
	free(t.row);
	free(t.m_k);
	free(t.frequencies);
	progress_clear();
	return done;
}
