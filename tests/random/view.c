/* SPDX-License-Identifier: MIT */
/** \file view.c \brief Softmax over slots. */
#include "view.h"

#include "../support/each.h"
#include "kept.h"
#include "model.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>

static void add_slot(struct view *v, struct view_slot slot)
{
	if (v->n == v->room) {
		v->room = 2 * v->room + 256;
		v->slot = realloc(v->slot, v->room * sizeof *v->slot);
		ck_assert_ptr_nonnull(v->slot);
	}
	v->slot[v->n++] = slot;
}

static void add_row(struct view *v, size_t position, const double *k, const double *values,
                    bool sealed)
{
	struct view_slot slot = {.position = position, .sealed = sealed};
	slot.k = k + v->head * world_dim(v->w, SIDE_K);
	slot.v = values + v->head * world_dim(v->w, SIDE_V);
	add_slot(v, slot);
}

/* Slots of a head come as floats. */
static void add_kept(struct view *v, const struct head_kept *kept)
{
	size_t dk = world_dim(v->w, SIDE_K), dv = world_dim(v->w, SIDE_V);
	v->rows = model_new(kept->n * (dk + dv));
	for (size_t i = 0; i < kept->n; i++) {
		double *row = v->rows + i * (dk + dv);
		struct view_slot slot = {.k = row, .v = row + dk, .position = kept->positions[i]};
		for (size_t d = 0; d < dk; d++)
			row[d] = (double)kept->k[i * dk + d];
		for (size_t d = 0; d < dv; d++)
			row[dk + d] = (double)kept->v[i * dv + d];
		slot.logit = world_facts(v->w, v->layer)->alpha * log((double)kept->weights[i]);
		slot.sealed = true;
		add_slot(v, slot);
	}
}

void view_open(const struct world *w, const struct model *m, int layer, size_t head, struct view *v)
{
	const struct facts *f = world_facts(w, layer);
	bool dense = facts_layer_dense(f, layer), selects = f->selects && !dense;
	size_t k_row = world_row(w, SIDE_K), v_row = world_row(w, SIDE_V), sinks = model_sinks(f, m);
	size_t tail = m->bands[world_band(w, layer)].tail;
	*v = (struct view){.w = w, .layer = layer, .head = head};
	for (size_t t = 0; t < m->n; t++) {
		bool sealed = !dense && t >= sinks && t < tail;
		if (!selects || !sealed)
			add_row(v, t, m->read[layer][SIDE_K] + t * k_row, m->read[layer][SIDE_V] + t * v_row,
			        sealed);
	}
	if (selects)
		add_kept(v, kept_head(w, m, layer, head));
}

void view_add(struct view *v, size_t from, size_t n, double *const rows[2])
{
	for (size_t i = 0; i < n; i++)
		add_row(v, from + i, rows[SIDE_K] + i * world_row(v->w, SIDE_K),
		        rows[SIDE_V] + i * world_row(v->w, SIDE_V), false);
}

void view_close(struct view *v)
{
	free(v->slot);
	free(v->rows);
}

/* ---------------------------------------------------------------- attention ---- */

static bool sees(const struct view *v, const struct view_slot *slot, size_t position,
                 const bool *chosen)
{
	const int *window = v->w->geometry.window;
	size_t reach = window ? (size_t)window[v->layer] : 0;
	if (slot->position > position || (chosen && slot->sealed && !chosen[slot->position]))
		return false;
	return reach == 0 || slot->position + reach > position;
}

static double norm(const double *x, size_t n)
{
	double sum = 0.0;
	for (size_t d = 0; d < n; d++)
		sum += x[d] * x[d];
	return sqrt(sum);
}

/* Codes that are turned have products of other signs and sizes: their sum of magnitudes is at most that of the norms. */
static double logit_of(const struct view *v, const struct view_slot *slot, const double *q,
                       struct answer *a)
{
	const clkv_geometry *g = &v->w->geometry;
	size_t dk = world_dim(v->w, SIDE_K);
	double scale = g->scale != 0.0f ? (double)g->scale : 1.0 / sqrt((double)dk);
	double cap = (double)g->softcap, dot = 0.0, size = 0.0;
	for (size_t d = 0; d < dk; d++) {
		dot += q[d] * slot->k[d];
		size += fabs(q[d] * slot->k[d]);
	}
	if (world_facts(v->w, v->layer)->turned)
		size = norm(q, dk) * norm(slot->k, dk);
	a->logit_abs = fmax(a->logit_abs, fabs(scale) * size + fabs(slot->logit));
	dot *= scale;
	return (cap > 0.0 ? cap * tanh(dot / cap) : dot) + slot->logit;
}

static void add_values(const struct view *v, const double *p, double *out, struct answer *a)
{
	size_t dv = world_dim(v->w, SIDE_V);
	double squares = 0.0, norms = 0.0;
	for (size_t d = 0; d < dv; d++) {
		double spread = 0.0;
		out[d] = 0.0;
		for (size_t i = 0; i < v->n; i++) {
			out[d] += p[i] * v->slot[i].v[d];
			spread += p[i] * fabs(v->slot[i].v[d]);
			a->most = p[i] > 0.0 ? fmax(a->most, fabs(v->slot[i].v[d])) : a->most;
		}
		squares += spread * spread;
	}
	for (size_t i = 0; i < v->n && world_facts(v->w, v->layer)->turned; i++)
		norms += p[i] * norm(v->slot[i].v, dv);
	a->value_abs = fmax(sqrt(squares), norms);
}

struct answer view_attend(const struct view *v, size_t position, const double *q,
                          const double *sink, const bool *chosen, double *out)
{
	struct answer a = {0};
	double *p = model_new(v->n), top = sink ? *sink : -INFINITY, sum = 0.0;
	for (size_t i = 0; i < v->n; i++) {
		p[i] = -INFINITY;
		if (!sees(v, &v->slot[i], position, chosen))
			continue;
		p[i] = logit_of(v, &v->slot[i], q, &a);
		top = fmax(top, p[i]);
		a.n++;
	}
	for (size_t i = 0; i < v->n; i++)
		sum += p[i] = exp(p[i] - top);
	if (sink)
		sum += exp(*sink - top);
	for (size_t i = 0; i < v->n; i++)
		p[i] /= sum;
	a.lse = top + log(sum);
	add_values(v, p, out, &a);
	free(p);
	return a;
}
