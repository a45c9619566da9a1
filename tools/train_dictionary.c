/* SPDX-License-Identifier: MIT */
/**
 * \file    train_dictionary.c
 * \brief   Keys and values of texts, weighed by what their errors cost, and the dictionaries that come close to them.
 *
 * Per layer and KV head, everything behind RoPE. An error e of a key moves logits by e M e^T, M the sum of q q^T over the texts'
 * tokens and the group's heads; one of a value moves the layer's output by e M e^T, M the sum of W_g W_g^T over the group's parts of
 * the output projection. With M = S S^T rows y = x S have errors that cost their square, so the dictionary is of these: with an atom
 * d of y, the column of A is S d and the row of B is d S^-1. Chunks of a row have the blocks of M that are theirs.
 * The first tokens of a text, which caches keep in half as sinks, are left out where there are enough others.
 * Atoms of a prompt are rows of its own (dictionary_prompt.c), behind those that the other texts' rows are fitted to; its
 * queries weigh errors as the others' do.
 */
#include "train_dictionary.h"

#include "dictionary_fit.h"
#include "eigen.h"
#include "factors_save.h"
#include "moments.h"
#include "output_gram.h"
#include "progress.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RECIPE_TEXT = 4096 };

/* The least part of the largest eigenvalue that a direction is taken to have: a dictionary for other texts must not give up what
 * this one's queries happen to miss. */
static const double least_part = 1e-4;

struct training {
	struct session *session;
	size_t layers, heads, group, dim;
	size_t atoms, pairs[2], chunks[2];
	struct prompt_atoms prompt;
	size_t left_out, n_rows; /* of the text under way; of all texts, those that count */
	size_t n_fitted;         /* of these, rows of texts that are no prompt: they come first */
	size_t there;            /* of these in `rows` so far */
	struct engine_stream *streams;
	struct kept_rows kept;
	double *m_k;            /* [layers][heads][dim][dim] */
	float *grams;           /* [heads * group][dim][dim] of a layer */
	float *rows[2];         /* keys and values of a layer, [heads][n_rows][dim] */
	double *metric, *roots; /* [dim][dim] of a chunk, [dim] */
	float *whitened;        /* [n_rows][dim of a chunk] */
	float *fitted;          /* [atoms][dim of a chunk] */
	float *down[2], *up[2]; /* [layers][heads][dim][atoms], [...][atoms][dim] */
	double lost[2], before[2],
		after[2]; /* of the texts' rows; of the prompt's, without its atoms and with them */
};

static void add_queries(void *opaque, const struct asked_rows *asked)
{
	const struct training *t = opaque;
	const struct moments m = {t->heads, t->group, t->dim, t->m_k};
	moments_add_queries(&m, asked, t->left_out);
}

static bool run_text(struct training *t, const struct text_input *text,
                     struct engine_stream *stream, struct tool_error *error)
{
	t->left_out = text_rows_first(text->n);
	return session_stream_open(t->session, "f16", text->n, stream, error) &&
	       text_rows_run(t->session, stream, text->ids, text->n, add_queries, t, error);
}

/* Behind those that are there. */
static void take_rows(void *opaque, const struct kept_rows *rows)
{
	struct training *t = opaque;
	for (size_t i = 0; i < rows->n * t->heads; i++) {
		const size_t at = (i % t->heads * t->n_rows + t->there + i / t->heads) * t->dim;
		memcpy(t->rows[0] + at, rows->keys + i * t->dim, t->dim * sizeof(float));
		memcpy(t->rows[1] + at, rows->values + i * t->dim, t->dim * sizeof(float));
	}
	t->there += rows->n;
}

/* What an error of a head's rows costs, [dim][dim]. */
static double metric_at(const struct training *t, int side, size_t layer, size_t head, size_t at)
{
	return side == 0 ? t->m_k[(layer * t->heads + head) * t->dim * t->dim + at]
	                 : output_gram_sum(t->grams, t->dim, t->group, head, at);
}

/* The metric of a chunk becomes its eigenvectors, with the roots of its values. */
static bool take_metric(struct training *t, int side, size_t layer, size_t head, size_t first,
                        size_t dim, struct tool_error *error)
{
	for (size_t i = 0; i < dim * dim; i++) {
		const size_t row = first + i / dim, col = first + i % dim;
		t->metric[i] = metric_at(t, side, layer, head, row * t->dim + col);
	}
	if (!eigen_vectors((int)dim, t->metric, t->roots, error))
		return false;
	if (!(t->roots[0] > 0) || !isfinite(t->roots[0]))
		return tool_fail(error,
		                 "queries or weights of zeros, or that aren't numbers, weigh nothing");
	const double least = t->roots[0] * least_part;
	for (size_t i = 0; i < dim; i++)
		t->roots[i] = sqrt(t->roots[i] > least ? t->roots[i] : least);
	return true;
}

/* y = x U sqrt(L), or with divide x = y U^T / sqrt(L), turned: y [dim] of x [dim]. */
static void whiten(const struct training *t, size_t dim, const float *x, float *y)
{
	for (size_t i = 0; i < dim; i++) {
		double sum = 0;
		for (size_t c = 0; c < dim; c++)
			sum += (double)x[c] * t->metric[c * dim + i];
		y[i] = (float)(sum * t->roots[i]);
	}
}

/* Column and row of an atom, for channels first on of a head. */
static void put_atom(const struct training *t, size_t dim, size_t first, size_t n,
                     const float *atom, float *down, float *up)
{
	for (size_t c = 0; c < dim; c++) {
		double a = 0, b = 0;
		for (size_t i = 0; i < dim; i++) {
			const double u = t->metric[c * dim + i] * (double)atom[i];
			a += u * t->roots[i];
			b += u / t->roots[i];
		}
		down[(first + c) * t->atoms + n] = (float)a;
		up[n * t->dim + first + c] = (float)b;
	}
}

static bool fit_chunk(struct training *t, int side, size_t layer, size_t head, size_t chunk,
                      struct tool_error *error)
{
	const size_t dim = t->dim / t->chunks[side], first = chunk * dim;
	const size_t at = (layer * t->heads + head) * t->dim * t->atoms;
	const struct dictionary_rows rows = {t->n_fitted, dim, t->whitened};
	const struct dictionary_rows own = {t->n_rows - t->n_fitted, dim,
	                                    t->whitened + t->n_fitted * dim};
	const size_t fitted = t->atoms - t->prompt.online - t->prompt.guard;
	const size_t pairs = t->pairs[side] / t->chunks[side];
	const double part = 1 / (double)(t->layers * t->heads * t->chunks[side]);
	double lost, before = 0, after = 0;
	if (!take_metric(t, side, layer, head, first, dim, error))
		return false;
	for (size_t i = 0; i < t->n_rows; i++)
		whiten(t, dim, t->rows[side] + (head * t->n_rows + i) * t->dim + first,
		       t->whitened + i * dim);
	if (!dictionary_fit(&rows, fitted, pairs, t->fitted, &lost, error))
		return false;
	if (own.n > 0 &&
	    !dictionary_add_prompt(&own, fitted, &t->prompt, pairs, t->fitted, &before, &after, error))
		return false;
	for (size_t n = 0; n < t->atoms; n++)
		put_atom(t, dim, first, n, t->fitted + n * dim, t->down[side] + at, t->up[side] + at);
	t->lost[side] += lost * part;
	t->before[side] += before * part;
	t->after[side] += after * part;
	return true;
}

static bool fit_layer(struct training *t, size_t layer, const struct text_input *texts,
                      size_t n_texts, struct tool_error *error)
{
	bool done = true;
	t->there = 0;
	if (!output_grams(t->session->model, layer, t->grams))
		return tool_fail(error, "out of memory");
	for (size_t i = 0; i < n_texts && done; i++)
		done = kept_rows_each(t->session, &t->streams[i], layer, text_rows_first(texts[i].n),
		                      texts[i].n, &t->kept, take_rows, t, error);
	for (size_t i = 0; i < 2 * t->heads && done; i++)
		for (size_t c = 0; c < t->chunks[i % 2] && done; c++)
			done = fit_chunk(t, (int)(i % 2), layer, i / 2, c, error);
	progress_show("dictionaries", layer + 1, t->layers);
	return done;
}

static bool save(const struct training *t, const char *path, struct tool_error *error)
{
	clkv_factors factors = CLKV_INIT(clkv_factors);
	factors.rank_k = factors.rank_v = (int)t->atoms;
	factors.k_down = t->down[0], factors.k_up = t->up[0];
	factors.v_down = t->down[1], factors.v_up = t->up[1];
	return factors_save(t->session->model, &factors, path, "writing the dictionaries", error);
}

/* A number of the recipe in full; 0: it has none. */
static size_t number_of(const char *recipe, const char *key)
{
	const char *at = strstr(recipe, key);
	return at != NULL ? (size_t)strtoul(at + strlen(key), NULL, 10) : 0;
}

static bool read_recipe(struct training *t, const char *recipe, struct tool_error *error)
{
	char text[RECIPE_TEXT];
	clkv_error cause = {0};
	clkv_geometry geometry = engine_geometry(t->session->model);
	if (clkv_recipe_check(t->session->context, &geometry, recipe, &cause) != CLKV_OK ||
	    clkv_recipe_print(recipe, text, sizeof text, &cause) != CLKV_OK)
		return tool_fail_clkv(error, "the recipe", &cause);
	t->atoms = number_of(text, "atoms=");
	t->chunks[0] = number_of(text, "chunks_k=");
	t->chunks[1] = number_of(text, "chunks_v=");
	t->pairs[0] = number_of(text, ",k=") ? number_of(text, ",k=") : number_of(text, "pairs=");
	t->pairs[1] = number_of(text, ",v=") ? number_of(text, ",v=") : number_of(text, "pairs=");
	return (strncmp(text, "csr:", 4) == 0 && t->atoms > 0) ||
	       tool_fail(error, "--for csr takes a recipe with csr, not '%s'", recipe);
}

static bool reserve(struct training *t, size_t n_texts, struct tool_error *error)
{
	const size_t size = t->dim * t->dim, heads = t->layers * t->heads;
	bool done = true;
	t->streams = calloc(n_texts, sizeof *t->streams);
	t->m_k = calloc(heads * size, sizeof(double));
	t->grams = calloc(t->heads * t->group * size, sizeof(float));
	t->metric = calloc(size, sizeof(double));
	t->roots = calloc(t->dim, sizeof(double));
	t->whitened = calloc(t->n_rows * t->dim, sizeof(float));
	t->fitted = calloc(t->atoms * t->dim, sizeof(float));
	for (int i = 0; i < 2; i++) {
		t->rows[i] = calloc(t->heads * t->n_rows * t->dim, sizeof(float));
		t->down[i] = calloc(heads * t->dim * t->atoms, sizeof(float));
		t->up[i] = calloc(heads * t->dim * t->atoms, sizeof(float));
		done = done && t->rows[i] && t->down[i] && t->up[i];
	}
	if (!done || !t->streams || !t->m_k || !t->grams || !t->metric || !t->roots || !t->whitened ||
	    !t->fitted)
		return tool_fail(error, "out of memory");
	return kept_rows_open(t->session, TEXT_ROWS_PART, &t->kept, error);
}

static void release(struct training *t, size_t n_texts)
{
	kept_rows_close(&t->kept);
	for (size_t i = 0; i < n_texts && t->streams; i++)
		session_stream_close(&t->streams[i]);
	free(t->streams);
	free(t->m_k);
	free(t->grams);
	free(t->metric);
	free(t->roots);
	free(t->whitened);
	free(t->fitted);
	for (int i = 0; i < 2; i++) {
		free(t->rows[i]);
		free(t->down[i]);
		free(t->up[i]);
	}
}

static bool check_rows(const struct training *t, struct tool_error *error)
{
	const size_t own = t->prompt.online + t->prompt.guard, there = t->n_rows - t->n_fitted;
	if (own % 16 > 0 || t->prompt.online % 16 > 0 || own + 16 > t->atoms)
		return tool_fail(
			error,
			"%zu atoms of a prompt and %zu to guard it; allowed: multiples of 16 that leave "
			"16 of the recipe's %zu atoms to the texts",
			t->prompt.online, t->prompt.guard, t->atoms);
	if (there < own)
		return tool_fail(
			error,
			"a prompt of %zu tokens is too short for its dictionary: %zu atoms of its own; "
			"allowed: a longer prompt, or fewer with --online and --guard",
			there, own);
	return t->n_fitted >= t->atoms - own ||
	       tool_fail(error, "%zu tokens are fewer than %zu atoms: longer texts, or fewer atoms",
	                 t->n_fitted, t->atoms - own);
}

static void print_losses(const struct training *t)
{
	(void)printf("left of the texts' rows, by what errors cost: %.4f of K, %.4f of V\n", t->lost[0],
	             t->lost[1]);
	if (t->n_rows > t->n_fitted)
		(void)printf("left of the prompt's: %.4f of K, %.4f of V; without its atoms %.4f, %.4f\n",
		             t->after[0], t->after[1], t->before[0], t->before[1]);
}

bool train_dictionary(struct session *session, const struct dictionary_sources *from,
                      const char *path, struct tool_error *error)
{
	const struct model *m = session->model;
	struct training t = {
		.session = session,
		.layers = (size_t)m->n_layers,
		.heads = (size_t)m->kv_heads,
		.group = (size_t)(m->q_heads / m->kv_heads),
		.dim = (size_t)m->head_dim,
		.prompt = from->prompt,
	};
	const size_t n = from->n_texts;
	const bool has_prompt = from->prompt.online + from->prompt.guard > 0;
	for (size_t i = 0; i < n; i++) {
		const size_t rows = from->texts[i].n - text_rows_first(from->texts[i].n);
		t.n_rows += rows;
		t.n_fitted += has_prompt && i == n - 1 ? 0 : rows;
	}
	if (!eigen_ready(error) || !read_recipe(&t, from->recipe, error) || !check_rows(&t, error))
		return false;
	bool done = reserve(&t, n, error);
	for (size_t i = 0; i < n && done; i++)
		done = run_text(&t, &from->texts[i], &t.streams[i], error);
	for (size_t l = 0; l < t.layers && done; l++)
		done = fit_layer(&t, l, from->texts, n, error);
	done = done && save(&t, path, error);
	release(&t, n);
	progress_clear();
	if (done)
		print_losses(&t);
	return done;
}
