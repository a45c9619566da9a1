/* SPDX-License-Identifier: MIT */
/**
 * \file    train_factors.c
 * \brief   Second moments of queries, keys and values of texts, and the factors that follow.
 *
 * Per layer and KV head, over the texts' tokens, everything behind RoPE:
 *
 *     K: C_k = sum of k k^T    M_k = sum of q q^T, the group's heads     an error e of a key moves logits by e M_k e^T
 *     V: C_v = sum of v v^T    M_v = sum of W_g W_g^T over the group     and one of a value the layer's output by e M_v e^T
 *
 * The first tokens of a text, which caches keep in half as sinks, are left out where there are enough others.
 */
#include "train_factors.h"

#include "eigen.h"
#include "factors_fit.h"
#include "factors_save.h"
#include "moments.h"
#include "output_gram.h"
#include "progress.h"

#include <stdlib.h>

struct training {
	struct session *session;
	size_t left_out,
		rows; /* tokens of the text under way that come before those that count; all that count */
	size_t layers, heads, group, dim;
	struct kept_rows kept;
	double *m_k, *c_k, *c_v;              /* [layers][heads][dim][dim] */
	double *m_v;                          /* [dim][dim] of a head */
	float *grams;                         /* [heads * group][dim][dim] of a layer */
	float *k_down, *k_up, *v_down, *v_up; /* [layers][heads][dim][dim] */
};

static size_t place_of(const struct training *t, size_t layer, size_t head)
{
	return (layer * t->heads + head) * t->dim * t->dim;
}

/* Those of rows that count. */
static void add_queries(void *opaque, const struct asked_rows *asked)
{
	const struct training *t = opaque;
	const struct moments m = {t->heads, t->group, t->dim, t->m_k};
	moments_add_queries(&m, asked, t->left_out);
}

static void add_rows(void *opaque, const struct kept_rows *rows)
{
	const struct training *t = opaque;
	for (size_t i = 0; i < rows->n * t->heads; i++) {
		const size_t at = place_of(t, rows->layer, i % t->heads);
		moments_add(t->dim, 1.0, rows->keys + i * t->dim, t->c_k + at);
		moments_add(t->dim, 1.0, rows->values + i * t->dim, t->c_v + at);
	}
}

static bool add_text(struct training *t, const struct text_input *text, struct tool_error *error)
{
	const struct text_viewer viewer = {add_queries, add_rows, t};
	t->left_out = text_rows_first(text->n);
	t->rows += text->n - t->left_out;
	return text_rows_show(t->session, text, &t->kept, &viewer, error);
}

/* From a sum over rows to their mean. */
static void take_mean(const struct training *t, double *sums)
{
	for (size_t i = 0; i < t->dim * t->dim; i++)
		sums[i] /= (double)t->rows;
}

static bool fit_layer(struct training *t, size_t layer, struct tool_error *error)
{
	if (!output_grams(t->session->model, layer, t->grams))
		return tool_fail(error, "out of memory");
	for (size_t h = 0; h < t->heads; h++) {
		const size_t at = place_of(t, layer, h);
		for (size_t i = 0; i < t->dim * t->dim; i++)
			t->m_v[i] = output_gram_sum(t->grams, t->dim, t->group, h, i);
		take_mean(t, t->c_k + at);
		take_mean(t, t->c_v + at);
		if (!factors_fit(t->dim, t->m_k + at, t->c_k + at, t->k_down + at, t->k_up + at, error) ||
		    !factors_fit(t->dim, t->m_v, t->c_v + at, t->v_down + at, t->v_up + at, error))
			return false;
	}
	return true;
}

static bool fit(struct training *t, struct tool_error *error)
{
	for (size_t l = 0; l < t->layers; l++) {
		if (!fit_layer(t, l, error))
			return false;
		progress_show("factors", l + 1, t->layers);
	}
	return true;
}

static bool save(const struct training *t, const char *path, struct tool_error *error)
{
	clkv_factors factors = CLKV_INIT(clkv_factors);
	factors.rank_k = factors.rank_v = (int)t->dim;
	factors.k_down = t->k_down, factors.k_up = t->k_up;
	factors.v_down = t->v_down, factors.v_up = t->v_up;
	return factors_save(t->session->model, &factors, path, "writing the factors", error);
}

static bool reserve(struct training *t, struct tool_error *error)
{
	const size_t size = t->dim * t->dim, all = t->layers * t->heads * size;
	t->m_k = calloc(all, sizeof(double));
	t->c_k = calloc(all, sizeof(double));
	t->c_v = calloc(all, sizeof(double));
	t->m_v = calloc(size, sizeof(double));
	t->grams = calloc(t->heads * t->group * size, sizeof(float));
	t->k_down = calloc(all, sizeof(float));
	t->k_up = calloc(all, sizeof(float));
	t->v_down = calloc(all, sizeof(float));
	t->v_up = calloc(all, sizeof(float));
	if (!t->m_k || !t->c_k || !t->c_v || !t->m_v || !t->grams || !t->k_down || !t->k_up ||
	    !t->v_down || !t->v_up)
		return tool_fail(error, "out of memory");
	return kept_rows_open(t->session, TEXT_ROWS_PART, &t->kept, error);
}

static void release(struct training *t)
{
	kept_rows_close(&t->kept);
	free(t->m_k);
	free(t->c_k);
	free(t->c_v);
	free(t->m_v);
	free(t->grams);
	free(t->k_down);
	free(t->k_up);
	free(t->v_down);
	free(t->v_up);
}

bool train_factors(struct session *session, const struct text_input *texts, size_t n_texts,
                   const char *path, struct tool_error *error)
{
	const struct model *m = session->model;
	struct training t = {
		.session = session,
		.layers = (size_t)m->n_layers,
		.heads = (size_t)m->kv_heads,
		.group = (size_t)(m->q_heads / m->kv_heads),
		.dim = (size_t)m->head_dim,
	};
	if (!eigen_ready(error))
		return false;
	bool done = reserve(&t, error);
	for (size_t i = 0; i < n_texts && done; i++)
		done = add_text(&t, &texts[i], error);
	done = done && fit(&t, error) && save(&t, path, error);
	release(&t);
	progress_clear();
	return done;
}
