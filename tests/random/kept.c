/* SPDX-License-Identifier: MIT */
/** \file kept.c \brief Slots of heads: read, compared, taken over. */
#include "kept.h"

#include "../support/each.h"
#include "model.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct head_kept *kept_head(const struct world *w, const struct model *m, int layer, size_t head)
{
	return &m->kept[(size_t)(layer * w->geometry.kv_heads) + head];
}

static size_t n_heads(const struct world *w)
{
	return (size_t)(w->geometry.layers * w->geometry.kv_heads);
}

static void *new_array(size_t n, size_t size)
{
	void *values = calloc(n + 1, size);
	ck_assert_ptr_nonnull(values);
	return values;
}

static void slots_open(const struct world *w, struct head_kept *k, size_t room)
{
	*k = (struct head_kept){0};
	k->positions = new_array(room, sizeof *k->positions);
	k->weights = new_array(room, sizeof *k->weights);
	k->k = new_array(room * world_dim(w, SIDE_K), sizeof *k->k);
	k->v = new_array(room * world_dim(w, SIDE_V), sizeof *k->v);
}

static void slots_close(struct head_kept *k)
{
	free(k->positions);
	free(k->weights);
	free(k->k);
	free(k->v);
	*k = (struct head_kept){0};
}

static void slots_copy(const struct world *w, const struct head_kept *from, struct head_kept *to)
{
	slots_open(w, to, from->n);
	to->n = from->n;
	to->tail = from->tail;
	memcpy(to->positions, from->positions, from->n * sizeof *to->positions);
	memcpy(to->weights, from->weights, from->n * sizeof *to->weights);
	memcpy(to->k, from->k, from->n * world_dim(w, SIDE_K) * sizeof *to->k);
	memcpy(to->v, from->v, from->n * world_dim(w, SIDE_V) * sizeof *to->v);
}

void kept_open(const struct world *w, struct model *m)
{
	m->kept = new_array(n_heads(w), sizeof *m->kept);
	for (size_t i = 0; i < n_heads(w); i++)
		slots_open(w, &m->kept[i], 0);
}

void kept_close(const struct world *w, struct model *m)
{
	for (size_t i = 0; i < n_heads(w); i++)
		slots_close(&m->kept[i]);
	free(m->kept);
}

void kept_copy(const struct world *w, const struct model *from, struct model *to)
{
	for (size_t i = 0; i < n_heads(w); i++) {
		slots_close(&to->kept[i]);
		slots_copy(w, &from->kept[i], &to->kept[i]);
	}
}

void kept_cut(const struct world *w, struct model *m, size_t n)
{
	for (size_t i = 0; i < n_heads(w); i++) {
		struct head_kept *k = &m->kept[i];
		k->tail = k->tail < n ? k->tail : n;
		k->n = n > 0 ? k->n : 0;
	}
}

/* ---------------------------------------------------------------- what is there ---- */

static void read_head(struct world *w, const struct model *m, int layer, size_t head,
                      struct head_kept *k)
{
	clkv_kept kept = CLKV_INIT(clkv_kept);
	clkv_error error;
	slots_open(w, k, m->n);
	kept.room = m->n;
	kept.positions = k->positions;
	kept.weights = k->weights;
	kept.k = k->k;
	kept.v = k->v;
	clkv_status status = clkv_seq_get_kept(m->seq, layer, (int)head, &kept, world_queue(w), &error);
	EACH_MSG(status == CLKV_OK, "clkv_seq_get_kept: %s: %s", clkv_status_string(status),
	         error.text);
	k->n = kept.n;
	k->tail = kept.tail;
}

/* A head of a sequence, before and now. */
struct seen {
	struct world *w;
	const struct model *m;
	int layer;
	size_t head;
	const struct head_kept *before, *now;
};

static void same_rows(const struct seen *s, const float *before, const float *now, enum side side)
{
	size_t n = world_dim(s->w, side) * s->now->n;
	for (size_t i = 0; i < n; i++)
		EACH_MSG(before[i] == now[i] && isfinite(now[i]),
		         "layer %d, head %zu, %s of slot %zu: %g instead of %g", s->layer, s->head,
		         side == SIDE_K ? "K" : "V", i / world_dim(s->w, side), (double)now[i],
		         (double)before[i]);
}

static void check_same(const struct seen *s)
{
	EACH_MSG(s->now->n == s->before->n && s->now->tail == s->before->tail,
	         "layer %d, head %zu: %zu slots before the tail at %zu instead of %zu before %zu",
	         s->layer, s->head, s->now->n, s->now->tail, s->before->n, s->before->tail);
	for (size_t i = 0; i < s->now->n; i++)
		EACH_MSG(s->now->positions[i] == s->before->positions[i] &&
		             s->now->weights[i] == s->before->weights[i],
		         "layer %d, head %zu, slot %zu: token %u of weight %g instead of %u of %g",
		         s->layer, s->head, i, s->now->positions[i], (double)s->now->weights[i],
		         s->before->positions[i], (double)s->before->weights[i]);
	same_rows(s, s->before->k, s->now->k, SIDE_K);
	same_rows(s, s->before->v, s->now->v, SIDE_V);
}

static bool was_single(const struct head_kept *k, uint32_t position)
{
	for (size_t i = 0; i < k->n; i++)
		if (k->positions[i] == position && k->weights[i] == 1.0f)
			return true;
	return false;
}

static void check_single(const struct seen *s, size_t i)
{
	uint32_t t = s->now->positions[i];
	EACH_MSG(t >= s->before->tail || was_single(s->before, t),
	         "layer %d, head %zu: token %u was dropped before and is back", s->layer, s->head, t);
	for (int side = SIDE_K; side <= SIDE_V && world_facts(s->w, s->layer)->single; side++) {
		size_t dim = world_dim(s->w, (enum side)side), row = world_row(s->w, (enum side)side);
		const float *now = (side == SIDE_K ? s->now->k : s->now->v) + i * dim;
		const double *given = s->m->given[s->layer][side] + t * row + s->head * dim;
		for (size_t d = 0; d < dim; d++)
			EACH_MSG((double)now[d] == given[d],
			         "layer %d, head %zu, %s of token %u, channel %zu: %g instead of %g", s->layer,
			         s->head, side == SIDE_K ? "K" : "V", t, d, (double)now[d], given[d]);
	}
}

/* Positions lie between sinks and tail, each once; slots stand for all tokens if none is dropped for good. */
static void check_slots(const struct seen *s)
{
	const struct facts *f = world_facts(s->w, s->layer);
	size_t sinks = model_sinks(f, s->m);
	bool *held = new_array(s->m->n, sizeof *held);
	double weights = 0.0;
	for (size_t i = 0; i < s->now->n; i++) {
		uint32_t t = s->now->positions[i];
		EACH_MSG(t >= sinks && t < s->now->tail && !held[t],
		         "layer %d, head %zu, slot %zu: token %u is a sink, in the tail from %zu on, or "
		         "kept twice",
		         s->layer, s->head, i, t, s->now->tail);
		held[t] = true;
		EACH_MSG(s->now->weights[i] >= 1.0f, "layer %d, head %zu, slot %zu: weight %g", s->layer,
		         s->head, i, (double)s->now->weights[i]);
		weights += (double)s->now->weights[i];
		if (s->now->weights[i] == 1.0f)
			check_single(s, i);
	}
	if (s->head == 0)
		world_trace(s->w, "sequence %zu keeps %zu slots of layer %d for %g tokens before %zu",
		            (size_t)(s->m - s->w->models), s->now->n, s->layer, weights, s->now->tail);
	/* weights are whole, but their logarithms are kept in single precision */
	EACH_MSG(!f->conserves || fabs(weights + (double)sinks - (double)s->now->tail) < 1.0 ||
	             s->now->tail <= sinks,
	         "layer %d, head %zu: %zu slots stand for %g of %zu tokens", s->layer, s->head,
	         s->now->n, weights, s->now->tail - sinks);
	free(held);
}

/* ---------------------------------------------------------------- a sequence ---- */

/* A layer of the recipe, which selects. */
static bool selects(const struct facts *f, int layer)
{
	return facts_have(f, layer) && !facts_layer_dense(f, layer);
}

/* A budget counts for the mean of all heads, whatever they have each; where it has room for all, all are kept. */
static void check_budget(const struct world *w, const struct model *m, const struct facts *f)
{
	size_t slots = 0, heads = 0, sinks = model_sinks(f, m);
	if (f->budget == 0)
		return;
	for (int layer = 0; layer < w->geometry.layers; layer++)
		for (size_t head = 0; selects(f, layer) && head < (size_t)w->geometry.kv_heads;
		     head++, heads++) {
			const struct head_kept *k = kept_head(w, m, layer, head);
			slots += k->n;
			EACH_MSG(!f->even || f->budget < m->most || k->tail <= sinks || k->n == k->tail - sinks,
			         "layer %d, head %zu: %zu of %zu tokens are kept, with a budget of %zu", layer,
			         head, k->n, k->tail - sinks, f->budget);
		}
	EACH_MSG(slots + sinks * heads <= f->budget * heads || slots == 0,
	         "%zu heads keep %zu slots beside %zu sinks, with a budget of %zu", heads, slots, sinks,
	         f->budget);
}

static void check_head(struct world *w, struct model *m, int layer, size_t head, bool committed)
{
	struct head_kept now, *before = kept_head(w, m, layer, head);
	read_head(w, m, layer, head, &now);
	const struct seen s = {w, m, layer, head, before, &now};
	EACH_MSG(now.n <= m->n && now.tail <= m->n, "layer %d, head %zu: %zu slots of %zu tokens",
	         layer, head, now.n, m->n);
	EACH_MSG(now.tail >= before->tail, "layer %d, head %zu: the tail went back from %zu to %zu",
	         layer, head, before->tail, now.tail);
	/* a head that lets nothing go keeps its slots, but for scores */
	if (!committed || now.tail == before->tail)
		check_same(&s);
	check_slots(&s);
	slots_close(before);
	*before = now;
}

/* All heads of a layer; the tail is that of the first that selects. */
static void check_layer(struct world *w, struct model *m, struct band *b, int layer, bool first,
                        bool committed)
{
	for (size_t head = 0; head < (size_t)w->geometry.kv_heads; head++) {
		check_head(w, m, layer, head, committed);
		size_t tail = kept_head(w, m, layer, head)->tail;
		b->tail = first && head == 0 ? tail : b->tail;
		EACH_MSG(tail == b->tail, "layer %d, head %zu: the tail begins at %zu, elsewhere at %zu",
		         layer, head, tail, b->tail);
	}
}

void kept_check(struct world *w, struct model *m, size_t band, bool committed)
{
	const struct facts *f = &w->facts[band];
	bool first = true;
	for (int layer = 0; layer < w->geometry.layers; layer++) {
		if (!selects(f, layer))
			continue;
		check_layer(w, m, &m->bands[band], layer, first, committed);
		first = false;
	}
	check_budget(w, m, f);
}
