/* SPDX-License-Identifier: MIT */
/** \file selected.c \brief What a head must have kept, and whether it has. */
#include "selected.h"

#include "../ref/ref_half.h"
#include "bounds.h"
#include "each.h"
#include "fixture.h"
#include "random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void *new_array(size_t n, size_t size)
{
	void *values = calloc(n + 1, size);
	ck_assert_ptr_nonnull(values);
	return values;
}

static double *new_doubles(size_t n)
{
	return new_array(n, sizeof(double));
}

double selected_quarters(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	uint64_t place = random_mix(row, (uint64_t)layer * 4u + (uint64_t)side);
	double noise = random_normal(random_mix(place, head * 1024u + d));
	return fmin(fmax(rint(4.0 * noise), -8.0), 8.0) / 4.0;
}

void selected_cache(struct feed *feed, const struct selected_case *c,
                    const clkv_cache_options *options)
{
	if (!feed->value)
		feed->value = selected_quarters;
	feed->lse = true;
	feed_open(feed, fixture.context, fixture.queue, c->recipe, options);
}

/* ---------------------------------------------------------------- heads ---- */

static size_t count_heads(const struct selected *s)
{
	return (size_t)s->feed->geometry.layers * feed_heads(s->feed, FEED_K);
}

static struct ref_head *head_of(const struct selected *s, int layer, size_t head)
{
	return &s->heads[(size_t)layer * feed_heads(s->feed, FEED_K) + head];
}

/* Of layers that keep everything. */
static const struct ref_select dense = {.budget = 1e9, .block = 1};

static bool selects(const struct selected_case *c, int layer)
{
	return layer >= c->skip && !(c->others >> layer & 1);
}

void selected_open(struct selected *s, const struct selected_case *c, const struct feed *feed)
{
	const clkv_geometry *g = &feed->geometry;
	size_t kv_heads = feed_heads(feed, FEED_K), group = feed_heads(feed, FEED_Q) / kv_heads;
	*s = (struct selected){.c = c, .feed = feed};
	s->heads = new_array(count_heads(s), sizeof *s->heads);
	s->sinks = feed->sinks ? new_doubles(kv_heads * group) : NULL;
	for (size_t i = 0; s->sinks && i < kv_heads * group; i++)
		s->sinks[i] = (double)feed->sinks[i];
	for (int layer = 0; layer < g->layers; layer++)
		for (size_t i = 0; i < kv_heads; i++) {
			struct ref_head *h = head_of(s, layer, i);
			ref_head_open(h, selects(c, layer) ? &c->rule : &dense, feed_dim(feed, FEED_K),
			              feed_dim(feed, FEED_V), group);
			if (g->scale != 0.0f)
				h->a.scale = (double)g->scale;
			h->a.softcap = (double)g->softcap;
			h->sinks = s->sinks ? s->sinks + i * group : NULL;
			h->see = g->window ? (size_t)g->window[layer] : 0;
			/* a root of a sum of squares: dk + 3 roundings; keys that were rotated may be other halves */
			h->norm_slack = (double)(h->a.dk + 8) * 0x1p-24 + (c->rope ? REF_HALF_EPS : 0.0);
		}
}

void selected_close(struct selected *s)
{
	for (size_t i = 0; i < count_heads(s); i++)
		ref_head_close(&s->heads[i]);
	free(s->heads);
	free(s->sinks);
	*s = (struct selected){0};
}

void selected_fork(const struct selected *from, struct selected *to)
{
	selected_open(to, from->c, from->feed);
	for (size_t i = 0; i < count_heads(from); i++) {
		const struct ref_select *rule = to->heads[i].s;
		const double *sinks = to->heads[i].sinks;
		ref_head_close(&to->heads[i]);
		ref_head_copy(&from->heads[i], &to->heads[i]);
		to->heads[i].s = rule;
		to->heads[i].sinks = sinks;
	}
}

void selected_truncate(struct selected *s, struct stream *stream, size_t n)
{
	clkv_error error;
	feed_ok(clkv_seq_truncate(stream->seq, n, &error), &error, "clkv_seq_truncate");
	stream->n = n;
	for (size_t i = 0; i < count_heads(s); i++)
		ck_assert(ref_select_truncate(&s->heads[i], n));
}

/* ---------------------------------------------------------------- rows ---- */

/* Rows of a side as attention reads them, of positions from on. */
static double *rows_of(const struct selected *s, const struct stream *stream, int layer,
                       enum feed_side side, size_t from, size_t n)
{
	size_t heads = feed_heads(s->feed, side), dim = feed_dim(s->feed, side);
	double *rows = new_doubles(n * heads * dim), *plain = new_doubles(n * heads * dim);
	feed_rows(s->feed, layer, side, stream->row + from, n, plain);
	for (size_t i = 0; i < n * heads * dim; i++) {
		const struct ref_rope *rope = side == FEED_V ? NULL : s->c->rope;
		size_t d = i % dim;
		rows[i] = plain[i];
		if (rope && d < rope->dims)
			rows[i] = ref_rope(rope, (double)(from + i / (heads * dim)), d, plain[i],
			                   plain[i - d + ref_rope_partner(rope, d)]);
		if (side != FEED_Q)
			rows[i] = ref_stored(rows[i]);
	}
	free(plain);
	return rows;
}

struct row {
	const struct selected *s;
	int layer;
	size_t head; /* query head */
	size_t position;
};

static double bound_of(const struct selected *s, const struct ref_head *h,
                       const struct ref_select_sums *sums)
{
	return bound_attend(h->a.dk, sums->n, sums->sums.logit_abs + sums->correction, s->c->codes) +
	       s->c->approx;
}

static void check_row(const struct row *row, const struct ref_head *h,
                      const struct ref_select_sums *sums, const double *want, const double *out,
                      double lse)
{
	double r = bound_of(row->s, h, sums);
	double limit = (r + bound_dtype(row->s->feed->out.dtype)) * sums->sums.value_abs;
	for (size_t d = 0; d < h->a.dv; d++)
		EACH_MSG(fabs(out[d] - want[d]) <= limit,
		         "layer %d, position %zu, head %zu, channel %zu: %g instead of %g over %zu slots "
		         "(%zu merged), allowed +-%g",
		         row->layer, row->position, row->head, d, out[d], want[d], sums->n, h->n_merged,
		         limit);
	EACH_MSG(fabs(lse - sums->sums.lse) <= r + 0x1p-22 * fabs(sums->sums.lse),
	         "layer %d, position %zu, head %zu: lse %g instead of %g over %zu slots", row->layer,
	         row->position, row->head, lse, sums->sums.lse, sums->n);
}

void selected_append(struct selected *s, int layer, size_t n, const double *k, const double *v)
{
	size_t heads = feed_heads(s->feed, FEED_K);
	size_t dk = feed_dim(s->feed, FEED_K), dv = feed_dim(s->feed, FEED_V);
	for (size_t i = 0; i < heads; i++)
		ref_select_append(head_of(s, layer, i), n, k + i * dk, heads * dk, v + i * dv, heads * dv);
}

/* A weight, and sums of those of all rows and heads, term by term. Where each row weighs, a prompt's weights lie in half between. */
static void widen_slack(const struct selected *s, struct ref_head *h,
                        const struct ref_select_sums *sums)
{
	const double half = h->s->score == REF_MASS ? REF_HALF_EPS : 0.0;
	h->slack = fmax(h->slack, 2.0 * bound_of(s, h, sums) + half +
	                              (double)(h->length * h->group + 64) * 0x1p-24);
}

void selected_attend(struct selected *s, int layer, size_t i, const double *q)
{
	size_t heads = feed_heads(s->feed, FEED_K), dk = feed_dim(s->feed, FEED_K);
	double *out = new_doubles(feed_heads(s->feed, FEED_Q) * feed_dim(s->feed, FEED_V));
	struct ref_select_sums sums[64];
	for (size_t head = 0; head < heads; head++) {
		struct ref_head *h = head_of(s, layer, head);
		ref_select_row(h, i, q + head * h->group * dk, out, sums);
		for (size_t g = 0; g < h->group; g++)
			widen_slack(s, h, &sums[g]);
	}
	free(out);
}

/* Rows of an item in one layer; `first` is its first row in the result. NULL: nothing was attended with. */
static void check_rows(const struct selected *s, const struct feed_item *item, int layer,
                       size_t first, const struct feed_result *result,
                       struct selected_figures *figures)
{
	const struct stream *stream = item->stream;
	size_t kv_heads = feed_heads(s->feed, FEED_K), dk = feed_dim(s->feed, FEED_K);
	size_t dv = feed_dim(s->feed, FEED_V), group = feed_heads(s->feed, FEED_Q) / kv_heads;
	double *k = rows_of(s, stream, layer, FEED_K, stream->n, item->n);
	double *v = rows_of(s, stream, layer, FEED_V, stream->n, item->n);
	double *q = rows_of(s, stream, layer, FEED_Q, stream->n, item->n);
	double *want = new_doubles(group * dv);
	struct ref_select_sums sums[64];
	for (size_t i = 0; i < kv_heads; i++) {
		struct ref_head *h = head_of(s, layer, i);
		ref_select_append(h, item->n, k + i * dk, kv_heads * dk, v + i * dv, kv_heads * dv);
		for (size_t r = 0; r < item->n && result; r++) {
			size_t at = (size_t)layer * result->rows + first + r;
			ref_select_row(h, r, q + (r * kv_heads + i) * group * dk, want, sums);
			for (size_t g = 0; g < group; g++) {
				struct row row = {s, layer, i * group + g, stream->n + r};
				check_row(&row, h, &sums[g], want + g * dv,
				          result->out + at * result->out_row + row.head * dv,
				          result->lse[at * result->lse_row + row.head]);
				widen_slack(s, h, &sums[g]);
				figures->rows++;
			}
		}
	}
	free(k);
	free(v);
	free(q);
	free(want);
}

/* ---------------------------------------------------------------- what is kept ---- */

void selected_read(const struct feed *feed, const struct stream *stream, int layer, size_t head,
                   struct selected_kept *x)
{
	clkv_error error;
	size_t room = FEED_TOKENS;
	*x = (struct selected_kept){
		.kept = CLKV_INIT(clkv_kept), .dk = feed_dim(feed, FEED_K), .dv = feed_dim(feed, FEED_V)};
	x->kept.room = room;
	x->kept.positions = new_array(room, sizeof *x->kept.positions);
	x->kept.weights = new_array(room, sizeof *x->kept.weights);
	x->kept.scores = new_array(room, sizeof *x->kept.scores);
	x->kept.k = new_array(room * x->dk, sizeof *x->kept.k);
	x->kept.v = new_array(room * x->dv, sizeof *x->kept.v);
	feed_ok(clkv_seq_get_kept(stream->seq, layer, (int)head, &x->kept, feed->queue, &error), &error,
	        "clkv_seq_get_kept");
	ck_assert_uint_le(x->kept.n, room);
}

void selected_free(struct selected_kept *x)
{
	free(x->kept.positions);
	free(x->kept.weights);
	free(x->kept.scores);
	free(x->kept.k);
	free(x->kept.v);
}

bool selected_has(const struct feed *feed, const struct stream *stream, int layer, size_t head,
                  size_t position)
{
	struct selected_kept x;
	selected_read(feed, stream, layer, head, &x);
	bool has = position >= x.kept.tail && position < stream->n;
	for (size_t i = 0; i < x.kept.n; i++)
		has = has || (x.kept.weights[i] == 1.0f && x.kept.positions[i] == position);
	selected_free(&x);
	return has;
}

/* A head of a commit. */
struct place {
	struct selected *s;
	const struct stream *stream;
	int layer;
	size_t head;
	struct ref_head *h;
	const double *values; /**< rows of V, all heads; NULL: kept ones don't change */
};

/* The candidates that the device has kept. */
static bool *claimed(const struct place *p, const struct selected_kept *x)
{
	const struct ref_choice *c = &p->h->choice;
	bool *kept = new_array(c->n, sizeof *kept);
	size_t many = c->keep == SIZE_MAX ? x->kept.n : c->keep < c->n ? c->keep : c->n;
	EACH_MSG(many <= x->kept.n, "layer %d, head %zu: %zu slots instead of at least %zu", p->layer,
	         p->head, x->kept.n, many);
	for (size_t i = x->kept.n - many; i < x->kept.n; i++) {
		size_t j = 0;
		while (j < c->n && p->h->slot[c->first + j].position != x->kept.positions[i])
			j++;
		EACH_MSG(j < c->n, "layer %d, head %zu: token %u was no candidate", p->layer, p->head,
		         x->kept.positions[i]);
		kept[j] = true;
	}
	return kept;
}

static void follow_choice(const struct place *p, const struct selected_kept *x,
                          struct selected_figures *figures)
{
	struct ref_choice *c = &p->h->choice;
	bool *kept = claimed(p, x);
	size_t dropped = 0;
	for (size_t i = 0; i < c->n; i++) {
		EACH_MSG(!c->sure || kept[i] == c->kept[i],
		         "layer %d, head %zu, %zu tokens: token %zu of score %.9g is %s (%zu of %zu stay)",
		         p->layer, p->head, p->h->length, p->h->slot[c->first + i].position, c->score[i],
		         kept[i] ? "kept" : "dropped", c->keep, c->n);
		dropped += !kept[i];
	}
	EACH_MSG(ref_select_admits(c, kept), "layer %d, head %zu, %zu tokens: not the best are kept",
	         p->layer, p->head, p->h->length);
	memcpy(c->kept, kept, c->n * sizeof *kept);
	free(kept);
	figures->choices++;
	figures->dropped += dropped;
	figures->unsure += !c->sure;
	ref_select_apply(p->h);
	figures->merges += p->h->n_merged > 0 && dropped > 0;
	figures->unsure_merges += !p->h->merges_sure;
}

/* A row of V is nearest to that of its own position: K and V of codes are still pairs. */
static void check_pair(const struct place *p, size_t position, const float *v)
{
	size_t dv = p->h->a.dv, heads = feed_heads(p->s->feed, FEED_V), best = SIZE_MAX;
	double least = INFINITY;
	for (size_t t = 0; t < p->stream->n; t++) {
		double apart = 0.0;
		for (size_t d = 0; d < dv; d++) {
			double gap = (double)v[d] - p->values[(t * heads + p->head) * dv + d];
			apart += gap * gap;
		}
		if (apart < least)
			best = t;
		least = fmin(least, apart);
	}
	EACH_MSG(best == position, "layer %d, head %zu: token %zu has the value of token %zu", p->layer,
	         p->head, position, best);
}

/* A merged slot's means may round to the other half next to a tie; a kept row stays, or is encoded anew. */
static void check_values(const struct place *p, const struct ref_slot *slot, const float *values,
                         const double *want, size_t n, const char *side)
{
	double apart = 0.0, size = 0.0;
	for (size_t d = 0; d < n; d++) {
		double gap = fabs((double)values[d] - want[d]), allowed = 0.0;
		apart += gap * gap;
		size += want[d] * want[d];
		if (slot->merged || p->s->c->approx > 0.0)
			allowed = 2.0 * REF_HALF_EPS * fabs(want[d]) + 0x1p-20;
		EACH_MSG((p->s->c->loose > 0.0 && !slot->merged) || gap <= allowed,
		         "layer %d, head %zu, %s of %s %zu, channel %zu: %.9g instead of %.9g", p->layer,
		         p->head, side, slot->merged ? "the slot up to" : "token", slot->position, d,
		         (double)values[d], want[d]);
	}
	EACH_MSG(p->s->c->loose == 0.0 || slot->merged ||
	             apart <= p->s->c->loose * p->s->c->loose * size,
	         "layer %d, head %zu, %s of token %zu: relative error %g", p->layer, p->head, side,
	         slot->position, sqrt(apart / size));
}

static double score_slack(const struct ref_head *h, const struct ref_slot *slot)
{
	switch (h->s->score) {
	case REF_PLACE:
		return 0.0;
	case REF_NORM:
		return h->norm_slack * fabs(slot->score);
	case REF_EXPECTED:
		return h->expected_slack * slot->score +
		       ref_select_flushed(h, h->s->lengths ? slot->length : 1.0);
	case REF_MASS:
	case REF_SEEN:
		break;
	}
	return h->s->above ? 1.0 : h->slack * fabs(slot->score);
}

static void check_slot(const struct place *p, const struct ref_slot *slot,
                       const struct selected_kept *x, size_t i)
{
	/* log2 of a weight below 2^16, from single precision and back: 16 * 2^-24 and a few ulps of exp2 and log2 */
	double weight = (double)x->kept.weights[i], score = (double)x->kept.scores[i];
	EACH_MSG(x->kept.positions[i] == slot->position,
	         "layer %d, head %zu, slot %zu (%s): token %u instead of %zu", p->layer, p->head, i,
	         slot->merged ? "merged" : "kept", x->kept.positions[i], slot->position);
	EACH_MSG(fabs(weight - slot->weight) <= (slot->merged ? 0x1p-16 * slot->weight : 0.0),
	         "layer %d, head %zu, slot %zu: weight %.9g instead of %.9g", p->layer, p->head, i,
	         weight, slot->weight);
	if (!slot->merged || p->h->s->score == REF_MASS)
		EACH_MSG(fabs(score - slot->score) <= score_slack(p->h, slot),
		         "layer %d, head %zu, token %zu: score %.9g instead of %.9g", p->layer, p->head,
		         slot->position, score, slot->score);
	check_values(p, slot, x->kept.k + i * x->dk, slot->k, x->dk, "K");
	check_values(p, slot, x->kept.v + i * x->dv, slot->v, x->dv, "V");
	if (p->values && !slot->merged)
		check_pair(p, slot->position, x->kept.v + i * x->dv);
}

static void take_over(struct ref_slot *slot, const struct selected_kept *x, size_t i)
{
	slot->position = x->kept.positions[i];
	slot->weight = (double)x->kept.weights[i];
	slot->score = (double)x->kept.scores[i];
	for (size_t d = 0; d < x->dk; d++)
		slot->k[d] = (double)x->kept.k[i * x->dk + d];
	for (size_t d = 0; d < x->dv; d++)
		slot->v[d] = (double)x->kept.v[i * x->dv + d];
}

/* All slots but sinks and open ones, and that together they stand for all tokens if none is dropped for good. */
static void check_head(const struct place *p, const struct selected_kept *x)
{
	struct ref_head *h = p->h;
	size_t n = 0, open = 0;
	double weights = 0.0, want = 0.0;
	ck_assert_uint_eq(x->kept.tail, h->selected ? h->tail : x->kept.tail);
	for (size_t i = 0; i < h->n; i++) {
		struct ref_slot *slot = &h->slot[i];
		if (!slot->merged && (slot->position < h->s->sinks || slot->position >= h->tail)) {
			open++;
			continue;
		}
		EACH_MSG(n < x->kept.n, "layer %d, head %zu, %zu tokens: only %zu slots", p->layer, p->head,
		         h->length, x->kept.n);
		if (!slot->merged || h->merges_sure)
			check_slot(p, slot, x, n);
		want += slot->weight;
		weights += (double)x->kept.weights[n];
		take_over(slot, x, n++);
	}
	EACH_MSG(n == x->kept.n, "layer %d, head %zu, %zu tokens: %zu slots instead of %zu", p->layer,
	         p->head, h->length, x->kept.n, n);
	EACH_MSG(fabs(weights - want) <= 0x1p-12 * want, "layer %d, head %zu: %g tokens instead of %g",
	         p->layer, p->head, weights, want);
	EACH_MSG(h->n_merged == 0 || fabs(weights + (double)open - (double)h->length) < 0.25,
	         "layer %d, head %zu: %g of %zu tokens", p->layer, p->head, weights + (double)open,
	         h->length);
	h->merges_sure = true;
}

static void check_kept(const struct place *p, struct selected_figures *figures)
{
	struct selected_kept x;
	if (!selects(p->s->c, p->layer))
		return;
	selected_read(p->s->feed, p->stream, p->layer, p->head, &x);
	if (p->h->choice.n > 0)
		follow_choice(p, &x, figures);
	check_head(p, &x);
	selected_free(&x);
}

/* After a choice of the reference, or without. */
static void check_heads(struct selected *s, const struct stream *stream,
                        struct selected_figures *figures)
{
	clkv_seq_info info = stream_info(stream);
	ck_assert_uint_eq(info.length, stream->n);
	for (int layer = 0; layer < s->feed->geometry.layers; layer++) {
		double *values = NULL;
		if (s->c->loose > 0.0)
			values = rows_of(s, stream, layer, FEED_V, 0, stream->n);
		for (size_t head = 0; head < feed_heads(s->feed, FEED_K); head++) {
			struct place p = {s, stream, layer, head, head_of(s, layer, head), values};
			check_kept(&p, figures);
			EACH_MSG(p.h->length == stream->n, "the reference has %zu tokens", p.h->length);
			if (selects(s->c, layer) && p.h->selected)
				ck_assert(s->c->others ? info.min_length >= p.h->tail
				                       : info.min_length == p.h->tail);
		}
		free(values);
	}
}

void selected_check(struct selected *s, const struct stream *stream,
                    struct selected_figures *figures)
{
	struct selected_figures none = {0};
	for (size_t i = 0; i < count_heads(s); i++)
		s->heads[i].choice.n = 0;
	check_heads(s, stream, figures ? figures : &none);
}

/* ---------------------------------------------------------------- steps ---- */

void selected_commit(struct selected *s, const struct stream *stream, size_t n, clkv_phase phase,
                     struct selected_figures *figures)
{
	for (size_t h = 0; h < count_heads(s); h++)
		ref_select_choose(&s->heads[h], n, (enum ref_phase)phase);
	check_heads(s, stream, figures);
}

void selected_abort(struct selected *s)
{
	for (size_t h = 0; h < count_heads(s); h++)
		ref_select_abort(&s->heads[h]);
}

void selected_step(struct feed *feed, struct feed_item *items, struct selected *const *s,
                   size_t n_items, struct selected_figures *figures)
{
	struct selected_figures none = {0}, *f = figures ? figures : &none;
	struct feed_result result;
	size_t kept[FEED_ITEMS], first = 0;
	clkv_error error;
	clkv_step *step = feed_begin(feed, items, n_items, &result);
	for (size_t i = 0; i < n_items; first += items[i++].n)
		for (int layer = 0; layer < feed->geometry.layers; layer++)
			check_rows(s[i], &items[i], layer, first, feed->append_only ? NULL : &result, f);
	for (size_t i = 0; i < n_items; i++)
		kept[i] = items[i].n - items[i].dropped;
	feed_ok(clkv_step_commit(step, kept, &error), &error, "clkv_step_commit");
	feed_kept(items, n_items);
	for (size_t i = 0; i < n_items; i++)
		selected_commit(s[i], items[i].stream, kept[i], items[i].phase, f);
	feed_result_close(&result);
}

void selected_one(struct feed *feed, struct stream *stream, struct selected *s, size_t n,
                  clkv_phase phase, uint64_t seed, struct selected_figures *figures)
{
	struct feed_item item = {.stream = stream, .n = n, .phase = phase, .seed = seed};
	selected_step(feed, &item, &s, 1, figures);
}

void selected_each(struct feed *feed, struct stream *stream, struct selected *s, size_t n,
                   uint64_t seed, struct selected_figures *figures)
{
	for (size_t i = 0; i < n; i++)
		selected_one(feed, stream, s, 1, CLKV_DECODE, seed, figures);
}

/* ---------------------------------------------------------------- two sequences ---- */

static void same_head(const struct selected_kept *a, const struct selected_kept *b, int layer,
                      size_t head, double limit)
{
	EACH_MSG(a->kept.n == b->kept.n && a->kept.tail == b->kept.tail,
	         "layer %d, head %zu: %zu and %zu slots, open from %zu and %zu", layer, head, a->kept.n,
	         b->kept.n, a->kept.tail, b->kept.tail);
	size_t n = a->kept.n;
	for (size_t i = 0; i < n; i++) {
		double x = (double)a->kept.scores[i], y = (double)b->kept.scores[i];
		EACH_MSG(a->kept.positions[i] == b->kept.positions[i],
		         "layer %d, head %zu, slot %zu: tokens %u and %u", layer, head, i,
		         a->kept.positions[i], b->kept.positions[i]);
		EACH_MSG(fabs(x - y) <= limit * fabs(x), "layer %d, head %zu, slot %zu: scores %g and %g",
		         layer, head, i, x, y);
	}
	EACH_MSG(memcmp(a->kept.weights, b->kept.weights, n * sizeof(float)) == 0,
	         "layer %d, head %zu: weights differ", layer, head);
	EACH_MSG(memcmp(a->kept.k, b->kept.k, n * a->dk * sizeof(float)) == 0 &&
	             memcmp(a->kept.v, b->kept.v, n * a->dv * sizeof(float)) == 0,
	         "layer %d, head %zu: rows differ", layer, head);
}

void selected_same(const struct feed *feed, const struct stream *a, const struct stream *b,
                   int skip, double limit)
{
	for (int layer = skip; layer < feed->geometry.layers; layer++)
		for (size_t head = 0; head < feed_heads(feed, FEED_K); head++) {
			struct selected_kept x, y;
			selected_read(feed, a, layer, head, &x);
			selected_read(feed, b, layer, head, &y);
			same_head(&x, &y, layer, head, limit);
			selected_free(&x);
			selected_free(&y);
		}
}

void selected_expect(const struct selected_figures *f, bool merges)
{
	ck_assert_uint_gt(f->rows, 0);
	ck_assert_uint_gt(f->choices, 0);
	ck_assert_uint_gt(f->dropped, 0);
	ck_assert_msg(3 * f->unsure <= 2 * f->choices, "%zu of %zu choices are unsure", f->unsure,
	              f->choices);
	ck_assert_msg(!merges || f->merges > 0, "nothing was merged");
	ck_assert_msg(3 * f->unsure_merges <= 2 * f->merges, "%zu of %zu merges are unsure",
	              f->unsure_merges, f->merges);
}
