/* SPDX-License-Identifier: MIT */
/**
 * \file    train_rotation.c
 * \brief   Statistics of queries, keys and values of a text, and the rotations that follow.
 *
 * Source: OSCAR, arXiv 2605.17757. Per layer and KV head, over the text's tokens, everything behind RoPE:
 *
 *     C_q = mean of q q^T over tokens and the group's heads     an error e of a key moves logits by e^T C_q e
 *     C_v = sum over tokens of w v v^T, w = k^T C_q k           tokens that queries like count more
 *     R   = U H P                                               U: eigenvectors of C_q for K, of C_v for V, largest first;
 *                                                               H: Walsh-Hadamard, P: channels in the order of reversed bits
 *
 * so that what matters most is spread evenly over all channels, and neighbouring ones, which share a scale, get like parts.
 * The first tokens, which caches keep in half as sinks, are left out where there are enough others.
 */
#include "train_rotation.h"

#include "eigen.h"
#include "moments.h"
#include "output_file.h"
#include "progress.h"
#include "text_rows.h"

#include <math.h>
#include <stdlib.h>

enum { MOST_DIM = 256 };

struct training {
	struct session *session;
	size_t n, left_out; /* tokens; how many of them come before those that count */
	size_t layers, heads, groups, dim;
	struct kept_rows kept;
	double *c_q, *c_v; /* [layers][heads][dim][dim] */
	float *r_k, *r_v;  /* the same shape */
};

static double quadratic(size_t dim, const double *c, const float *x)
{
	double sum = 0;
	for (size_t i = 0; i < dim; i++) {
		double row = 0;
		for (size_t j = 0; j < dim; j++)
			row += c[i * dim + j] * (double)x[j];
		sum += row * (double)x[i];
	}
	return sum;
}

static double *matrix_of(const struct training *t, double *all, size_t layer, size_t head)
{
	return all + (layer * t->heads + head) * t->dim * t->dim;
}

/* Those of rows that count. */
static void add_queries(void *opaque, const struct asked_rows *asked)
{
	const struct training *t = opaque;
	const struct moments m = {t->heads, t->groups, t->dim, t->c_q};
	moments_add_queries(&m, asked, t->left_out);
}

static void add_values(void *opaque, const struct kept_rows *rows)
{
	const struct training *t = opaque;
	for (size_t i = 0; i < rows->n * t->heads; i++) {
		size_t head = i % t->heads;
		double weight =
			quadratic(t->dim, matrix_of(t, t->c_q, rows->layer, head), rows->keys + i * t->dim);
		moments_add(t->dim, weight, rows->values + i * t->dim,
		            matrix_of(t, t->c_v, rows->layer, head));
	}
}

static size_t reversed(size_t x, size_t n)
{
	size_t y = 0;
	for (size_t bit = 1; bit < n; bit *= 2, x /= 2)
		y = 2 * y + x % 2;
	return y;
}

static bool is_odd(size_t bits)
{
	bool odd = false;
	for (; bits > 0; bits &= bits - 1)
		odd = !odd;
	return odd;
}

/* R = U H P, with H and P in blocks of the largest power of two that divides dim. u [dim][dim]: eigenvectors as columns. */
static void spread(size_t dim, const double *u, float *r)
{
	const size_t block = dim & (~dim + 1);
	const double norm = 1.0 / sqrt((double)block);
	for (size_t c = 0; c < dim; c++)
		for (size_t j = 0; j < dim; j++) {
			const size_t first = j / block * block, column = reversed(j % block, block);
			double sum = 0;
			for (size_t i = 0; i < block; i++)
				sum += is_odd(i & column) ? -u[c * dim + first + i] : u[c * dim + first + i];
			r[c * dim + j] = (float)(sum * norm);
		}
}

bool rotation_of(size_t dim, double *metric, float *r, struct tool_error *error)
{
	double values[MOST_DIM];
	if (dim > MOST_DIM)
		return tool_fail(error, "a head of %zu channels; allowed: up to %d", dim, MOST_DIM);
	if (!eigen_vectors((int)dim, metric, values, error))
		return false;
	spread(dim, metric, r);
	return true;
}

static bool rotate(struct training *t, struct tool_error *error)
{
	const size_t n = t->layers * t->heads, size = t->dim * t->dim;
	for (size_t i = 0; i < n; i++) {
		if (!rotation_of(t->dim, t->c_q + i * size, t->r_k + i * size, error) ||
		    !rotation_of(t->dim, t->c_v + i * size, t->r_v + i * size, error))
			return false;
		progress_show("rotations", i + 1, n);
	}
	return true;
}

static bool save(const struct training *t, const char *path, struct tool_error *error)
{
	clkv_error cause = {0};
	const struct model *model = t->session->model;
	clkv_geometry geometry = engine_geometry(model);
	struct output_file file;
	if (!output_file_open(&file, path, error))
		return false;
	clkv_status status = clkv_rotation_write(&geometry, model_fingerprint(model), t->r_k, t->r_v,
	                                         output_file_write, &file, &cause);
	return output_file_close(&file, status, "writing the rotations", &cause, error);
}

static bool reserve(struct training *t, struct tool_error *error)
{
	const size_t matrices = t->layers * t->heads * t->dim * t->dim;
	t->c_q = calloc(matrices, sizeof(double));
	t->c_v = calloc(matrices, sizeof(double));
	t->r_k = calloc(matrices, sizeof(float));
	t->r_v = calloc(matrices, sizeof(float));
	if (!t->c_q || !t->c_v || !t->r_k || !t->r_v)
		return tool_fail(error, "out of memory");
	return kept_rows_open(t->session, TEXT_ROWS_PART, &t->kept, error);
}

static void release(struct training *t)
{
	kept_rows_close(&t->kept);
	free(t->c_q);
	free(t->c_v);
	free(t->r_k);
	free(t->r_v);
}

static bool gather(struct training *t, const int32_t *ids, struct tool_error *error)
{
	const struct text_input text = {ids, t->n};
	const struct text_viewer viewer = {add_queries, add_values, t};
	return reserve(t, error) && text_rows_show(t->session, &text, &t->kept, &viewer, error);
}

bool train_rotation(struct session *session, const int32_t *ids, size_t n, const char *path,
                    struct tool_error *error)
{
	const struct model *m = session->model;
	struct training t = {
		.session = session,
		.n = n,
		.left_out = text_rows_first(n),
		.layers = (size_t)m->n_layers,
		.heads = (size_t)m->kv_heads,
		.groups = (size_t)(m->q_heads / m->kv_heads),
		.dim = (size_t)m->head_dim,
	};
	if (!eigen_ready(error))
		return false;
	bool done = gather(&t, ids, error) && rotate(&t, error) && save(&t, path, error);
	release(&t);
	progress_clear();
	return done;
}
