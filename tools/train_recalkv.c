/* SPDX-License-Identifier: MIT */
/**
 * \file    train_recalkv.c
 * \brief   Factors of similar heads' keys and of a layer's values, from the rows of texts.
 *
 * Source: ReCalKV, arXiv 2505.24357. With inputs X and whitening C C^T = X^T X, the decomposition of W C, cut off, loses least of
 * the rows Y = X W: it's that of the rows, whose second moments are all it needs. So inputs are not asked for: keys come from a
 * stream, turned back to before RoPE. V's factors then take a round of the calibration at half of the rank, as theirs do; as
 * whitening saw the same rows, it finds little to do.
 */
#include "train_groups.h"

#include "eigen.h"
#include "factors_fit.h"
#include "fitted_groups.h"
#include "head_groups.h"
#include "moments.h"
#include "progress.h"
#include "weight_gram.h"

#include <math.h>
#include <stdlib.h>

struct training {
	struct session *session;
	size_t left_out; /* tokens of the text under way that come before those that count */
	size_t rows;     /* that count, of all texts */
	struct kept_rows kept;
	struct fitted_groups factors;
	double *c_k; /* [layers][groups][heads_k * dim]^2 */
	double *c_v; /* [layers][heads * dim]^2 */
	float *row;  /* [heads * dim] */
};

/* A head's key as it was before RoPE, which turns neighbouring channels in GGUF's Llama models. */
static void turn_back(const struct model *m, size_t position, const float *x, float *out)
{
	for (int c = 0; c < m->head_dim; c++)
		out[c] = x[c];
	for (int i = 0; i < m->rope_dims / 2; i++) {
		double factor = m->rope_factors ? (double)m->rope_factors[i] : 1;
		double angle = (double)position *
		               pow((double)m->rope_base, -2.0 * i / (double)m->rope_dims) / factor /
		               (double)m->rope_scale;
		double a = (double)x[2 * i], b = (double)x[2 * i + 1], c = cos(angle), s = sin(angle);
		out[2 * i] = (float)(a * c + b * s);
		out[2 * i + 1] = (float)(b * c - a * s);
	}
}

static void add_keys(const struct training *t, size_t layer, size_t position, const float *keys)
{
	const struct fitted_groups *f = &t->factors;
	const size_t each = f->heads_k, width = each * f->dim;
	for (size_t g = 0; g < f->heads / each; g++) {
		for (size_t j = 0; j < each; j++) {
			const int head = f->order[layer * f->heads + g * each + j];
			turn_back(t->session->model, position, keys + (size_t)head * f->dim,
			          t->row + j * f->dim);
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
	struct engine_stream stream = {0};
	t->left_out = text_rows_first(text->n);
	t->rows += text->n - t->left_out;
	bool done = session_stream_open(t->session, "f16", text->n, &stream, error) &&
	            session_prompt(t->session, &stream, text->ids, text->n, "prompt", error);
	for (size_t l = 0; l < t->factors.layers && done; l++) {
		done = kept_rows_each(t->session, &stream, l, t->left_out, text->n, &t->kept, add_rows, t,
		                      error);
		progress_show("rows", l + 1, t->factors.layers);
	}
	session_stream_close(&stream);
	return done;
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

static bool fit(struct training *t, struct tool_error *error)
{
	const struct fitted_groups *f = &t->factors;
	const size_t width = f->heads * f->dim, each = f->heads_k * f->dim;
	for (size_t i = 0; i < f->layers * width * each; i++)
		t->c_k[i] /= (double)t->rows;
	for (size_t i = 0; i < f->layers * width * width; i++)
		t->c_v[i] /= (double)t->rows;
	for (size_t l = 0; l < f->layers; l++) {
		for (size_t g = 0; g < f->heads / f->heads_k; g++) {
			const size_t at = fitted_groups_k(f, l, g);
			if (!factors_components(each, t->c_k + at, f->k_down + at, f->k_up + at, error))
				return false;
		}
		if (!fit_values(t, l, error))
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
	if (!t->c_k || !t->c_v || !t->row)
		return tool_fail(error, "out of memory");
	return kept_rows_open(t->session, TEXT_ROWS_PART, &t->kept, error);
}

bool train_recalkv(struct session *session, const struct text_input *texts, size_t n_texts,
                   size_t heads, const char *path, struct tool_error *error)
{
	struct training t = {.session = session};
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
	progress_clear();
	return done;
}
