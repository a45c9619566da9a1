/* SPDX-License-Identifier: MIT */
/** \file pruned.c \brief What each sealed token reads as, by the reference of pruned blocks. */
#include "pruned.h"

#include "../ref/ref_half.h"
#include "bounds.h"
#include "each.h"
#include "expect.h"
#include "fixture.h"
#include "recipe_text.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *new_array(size_t n, size_t size)
{
	void *p = calloc(n + 1, size);
	ck_assert_ptr_nonnull(p);
	return p;
}

/* The stage behind, if K goes through a codec. */
static void read_codec(struct pruned_case *c, const char *stage)
{
	bool kivi = strstr(stage, "kivi") != NULL;
	if (strstr(stage, "kvcomp")) {
		c->codec = strstr(stage, "unit_k=block") ? PRUNED_BLOCK_RANGE : PRUNED_CHANNEL_RANGE;
		c->step = recipe_number(stage, "rel_k", 0.0);
		c->exact = (size_t)recipe_number(stage, "exact", 1);
		return;
	}
	int bits = (int)recipe_number(stage, kivi ? "bits" : "k", 16);
	if (bits == 16)
		return;
	c->codec = kivi || strstr(stage, "axis_k=channel") ? PRUNED_CHANNEL_CODES : PRUNED_TOKEN_CODES;
	c->step = 1.0 / ((1 << bits) - 1);
	c->group = 32;
}

struct pruned_case pruned_case(const struct pruned_row *row)
{
	static const char *const aggregations[] = {"mean", "rms", "abs", "norm"};
	static const char *const fills[] = {"zero", "const", "signmag", "mean", "fit", "exp", "normal"};
	struct pruned_case c = {.recipe = row->recipe, .kept = row->kept, .shape = row->shape};
	const char *text = row->recipe, *behind = strchr(text, '|');
	c.kind = strncmp(text, "spark", 5) == 0 ? PRUNED_SPARK : PRUNED_THINK;
	c.obs = (size_t)recipe_number(text, "obs", 32);
	c.block = (size_t)recipe_number(text, "block", 64);
	c.qagg = (enum ref_qagg)recipe_word(text, "qagg", aggregations, 4, REF_QAGG_RMS);
	int fill = recipe_word(text, "recover", fills, 7, REF_RECOVER_FIT);
	c.recover = fill > REF_RECOVER_FIT ? REF_RECOVER_ZERO : (enum ref_recover)fill;
	c.squared = c.kind == PRUNED_SPARK && strstr(text, "saliency=abs") == NULL;
	c.fill = recipe_number(text, "fill", 0.01);
	c.refine = (int)recipe_number(text, "refine", 2);
	c.refresh = (size_t)recipe_number(text, "refresh", 1);
	if (behind)
		read_codec(&c, behind);
	return c;
}

static size_t want_size(const struct watch *w)
{
	return MOST_TOKENS * (size_t)(w->c->shape.kv_heads * w->c->shape.dk);
}

void watch_open(struct watch *w, const struct pruned_case *c, const struct feed *feed)
{
	memset(w, 0, sizeof *w);
	w->c = c;
	w->feed = feed;
	ref_seal_open(&w->seal, 0, 0, c->block, true);
	for (int layer = 0; layer < feed->geometry.layers; layer++)
		w->want[layer] = new_array(want_size(w), sizeof *w->want[layer]);
}

void watch_close(struct watch *w)
{
	for (int layer = 0; layer < FEED_LAYERS; layer++)
		free(w->want[layer]);
}

void watch_fork(const struct watch *from, struct watch *to)
{
	*to = *from;
	for (int layer = 0; layer < from->feed->geometry.layers; layer++) {
		to->want[layer] = new_array(want_size(from), sizeof *to->want[layer]);
		memcpy(to->want[layer], from->want[layer], want_size(from) * sizeof *to->want[layer]);
	}
}

/* Strengths for a group of heads of a sequence that now has `end` tokens. */
void watch_strengths(const struct watch *w, int layer, size_t head, size_t end, double *strength)
{
	size_t heads = (size_t)w->c->shape.q_heads, group = heads / (size_t)w->c->shape.kv_heads,
		   rows = 0;
	size_t dk = (size_t)w->c->shape.dk;
	double *all = new_array(heads * dk, sizeof *all);
	double *q = new_array(w->c->obs * group * dk, sizeof *q);
	for (size_t i = 0; i < w->c->obs; i++) {
		if (w->seen[i].tag == 0 || w->seen[i].tag > end || w->seen[i].tag + w->c->obs <= end)
			continue;
		feed_rows(w->feed, layer, FEED_Q, &w->seen[i].row, 1, all);
		for (size_t j = 0; j < group * dk; j++)
			q[rows * group * dk + j] = ref_stored(all[head * group * dk + j]);
		rows++;
	}
	ref_strength(w->c->qagg, rows, group, dk, q, strength);
	free(all);
	free(q);
}

/* K of one head as it is stored: [count][dk]. */
double *watch_stored_k(const struct watch *w, const struct stream *s, int layer, size_t head,
                       size_t from, size_t count)
{
	size_t heads = (size_t)w->c->shape.kv_heads, dk = (size_t)w->c->shape.dk;
	double *all = new_array(count * heads * dk, sizeof *all);
	double *k = new_array(count * dk, sizeof *k);
	feed_rows(w->feed, layer, FEED_K, s->row + from, count, all);
	for (size_t t = 0; t < count; t++)
		for (size_t c = 0; c < dk; c++)
			k[t * dk + c] = ref_stored(all[(t * heads + head) * dk + c]);
	free(all);
	return k;
}

/* Whether values (t, c) and (u, d) of a block share their parameters. A unit is made of the rows that are stored:
 * of masks of channels the kept ones, counted by `rank`. */
static bool same_unit(const struct pruned_case *c, const size_t *rank, size_t t, size_t i, size_t u,
                      size_t j)
{
	switch (c->codec) {
	case PRUNED_TOKEN_CODES:
		return t == u && rank[i] / c->group == rank[j] / c->group;
	case PRUNED_CHANNEL_CODES:
		return i == j && t / c->group == u / c->group;
	case PRUNED_CHANNEL_RANGE:
		return i == j;
	default:
		return true;
	}
}

/* How far a code of a unit of range R may be from its value. Integers: half a step of R / (2^bits - 1), and what
 * the step loses in half: 2^-11 of itself at each of its multiples, so 2^-11 of R at the highest. Error-bounded
 * codes: half of rel * R as promised. Both are read in single precision. */
static double codec_bound(const struct pruned_case *c, double range, double most)
{
	double half_step = range * c->step / 2.0, single = 0x1p-22 * most;
	if (c->codec == PRUNED_CHANNEL_RANGE || c->codec == PRUNED_BLOCK_RANGE)
		return half_step * (1.0 + 1e-5) + single + 1e-7;
	return half_step * (1.0 + REF_HALF_EPS) + range * REF_HALF_EPS + REF_HALF_TINY / c->step +
	       single;
}

/* Widens what kept values of a block may be: values [count][dk]. */
static void allow_codes(const struct pruned_case *c, size_t count, struct ref_pruned *values)
{
	size_t dk = (size_t)c->shape.dk, rank[256], n = 0;
	for (size_t i = 0; i < dk; i++) {
		rank[i] = c->kind == PRUNED_THINK ? n : i;
		n += values[i].kept;
	}
	for (size_t t = 0; t < count; t++)
		for (size_t i = 0; i < dk; i++) {
			struct ref_pruned *v = &values[t * dk + i];
			double least = v->value, most = v->value;
			if (!v->kept)
				continue;
			size_t u0 = c->codec == PRUNED_TOKEN_CODES ? t : 0,
				   u1 = c->codec == PRUNED_TOKEN_CODES ? t + 1 : count;
			for (size_t u = u0; u < u1; u++)
				for (size_t j = 0; j < dk; j++) {
					const struct ref_pruned *x = &values[u * dk + j];
					if (x->kept && same_unit(c, rank, t, i, u, j)) {
						least = fmin(least, x->value);
						most = fmax(most, x->value);
					}
				}
			double bound = codec_bound(c, most - least, fmax(fabs(most), fabs(least)));
			v->low = v->value - bound;
			v->high = v->value + bound;
		}
}

/* PRUNED_BLOCK_RANGE compares each value with all: this finds the range of the whole side first. */
static void allow_block_codes(const struct pruned_case *c, size_t count, struct ref_pruned *values)
{
	double least = INFINITY, most = -INFINITY;
	size_t n = count * (size_t)c->shape.dk;
	for (size_t i = 0; i < n; i++) {
		least = values[i].kept ? fmin(least, values[i].value) : least;
		most = values[i].kept ? fmax(most, values[i].value) : most;
	}
	double bound = codec_bound(c, most - least, fmax(fabs(most), fabs(least)));
	for (size_t i = 0; i < n; i++)
		if (values[i].kept) {
			values[i].low = values[i].value - bound;
			values[i].high = values[i].value + bound;
		}
}

/* One head's part of a block of tokens. */
static void want_block(struct watch *w, const struct stream *s, int layer, size_t head, size_t from,
                       size_t count, size_t end)
{
	const struct pruned_case *c = w->c;
	size_t dk = (size_t)c->shape.dk, heads = (size_t)c->shape.kv_heads;
	double strength[256], *k = watch_stored_k(w, s, layer, head, from, count);
	struct ref_pruned *values = new_array(count * dk, sizeof *values);
	struct ref_spark spark = {c->kept, c->recover, c->squared, c->fill, c->refine};
	bool sure[128], all = true;
	if (c->kind == PRUNED_SPARK) {
		watch_strengths(w, layer, head, end, strength);
		all = ref_spark(&spark, count, dk, k, strength, sure, values);
	}
	for (size_t t = 0; t < count; t++) {
		for (size_t i = 0; i < dk && c->kind == PRUNED_THINK; i++) {
			struct ref_pruned v = {.kept = w->mask[layer][head][i]};
			v.value = v.low = v.high = v.kept ? k[t * dk + i] : 0.0;
			values[t * dk + i] = v;
		}
		if (c->kind == PRUNED_THINK)
			sure[t] = w->mask_sure[layer][head];
		if (c->codec != PRUNED_NONE)
			all = all && sure[t]; /* what one token keeps moves the range of others */
	}
	if (c->codec == PRUNED_BLOCK_RANGE)
		allow_block_codes(c, count, values);
	else if (c->codec != PRUNED_NONE)
		allow_codes(c, count, values);
	for (size_t i = 0; i < c->exact * dk && from == 0; i++)
		values[i].low = values[i].high = values[i].value = k[i];
	for (size_t t = 0; t < count; t++) {
		w->sure[layer][head][from + t] = all && sure[t];
		memcpy(w->want[layer] + ((from + t) * heads + head) * dk, values + t * dk,
		       dk * sizeof *values);
	}
	free(values);
	free(k);
}

/* Blocks [from, to) of tokens were sealed together. */
static void want_sealed(struct watch *w, const struct stream *s, size_t from, size_t to)
{
	const struct pruned_case *c = w->c;
	bool fresh = w->blocks == 0 || (c->refresh > 0 && w->blocks % c->refresh == 0);
	for (int layer = 0; layer < w->feed->geometry.layers; layer++)
		for (size_t head = 0; head < (size_t)c->shape.kv_heads; head++) {
			double strength[256];
			if (c->kind == PRUNED_THINK && fresh) {
				double *k = watch_stored_k(w, s, layer, head, from, to - from);
				watch_strengths(w, layer, head, s->n, strength);
				w->mask_sure[layer][head] = ref_think(c->kept, to - from, (size_t)c->shape.dk, k,
				                                      strength, w->mask[layer][head]);
				free(k);
			}
			for (size_t at = from; at < to; at += c->block)
				want_block(w, s, layer, head, at, to - at < c->block ? to - at : c->block, s->n);
		}
	w->blocks += (to - from + c->block - 1) / c->block;
}

/* After a step that gave the stream n tokens. */
void watch_step(struct watch *w, const struct stream *s, size_t n, clkv_phase phase)
{
	ck_assert_uint_le(s->n, MOST_TOKENS);
	for (size_t p = s->n - n; p < s->n && !w->feed->append_only; p++) {
		w->seen[p % w->c->obs].tag = p + 1;
		w->seen[p % w->c->obs].row = s->row[p];
	}
	size_t from = w->seal.tail;
	ref_seal_commit(&w->seal, n, (enum ref_phase)phase);
	ck_assert_uint_eq(stream_info(s).length, w->seal.length);
	ck_assert_uint_eq(stream_info(s).sealed, w->seal.tail);
	if (w->seal.tail > from)
		want_sealed(w, s, from, w->seal.tail);
}

/* A mask that stays is that of the last sealed token which is left. */
void watch_cut(struct watch *w, size_t n)
{
	size_t heads = (size_t)w->c->shape.kv_heads, dk = (size_t)w->c->shape.dk;
	ref_seal_cut(&w->seal, n);
	w->blocks = w->seal.n_blocks;
	if (w->blocks == 0)
		return;
	size_t last = w->seal.tail - 1;
	for (int layer = 0; layer < w->feed->geometry.layers; layer++)
		for (size_t head = 0; head < heads; head++) {
			for (size_t i = 0; i < dk; i++)
				w->mask[layer][head][i] = w->want[layer][(last * heads + head) * dk + i].kept;
			w->mask_sure[layer][head] = w->sure[layer][head][last];
		}
}

void watch_feed(struct watch *w, struct feed *feed, struct stream *s, size_t n, clkv_phase phase,
                uint64_t seed)
{
	feed_one(feed, s, n, phase, seed, NULL);
	watch_step(w, s, n, phase);
}

/* The same, and attention is checked against attention over the values that are read. */
void watch_attend(struct watch *w, struct feed *feed, struct stream *s, size_t n, clkv_phase phase,
                  uint64_t seed)
{
	expect_rows(feed, s, n, phase, seed, EXPECT_DECODED,
	            w->c->codec == PRUNED_NONE ? PRUNED_ATTEND : BOUND_ATTEND_CODES);
	watch_step(w, s, n, phase);
}

struct row {
	int layer;
	size_t head, token;
	const double *k, *given;
	const struct ref_pruned *want;
};

static void check_row(const struct watch *w, const struct row *r, bool sealed)
{
	size_t dk = (size_t)w->c->shape.dk, kept = 0;
	for (size_t i = 0; i < dk; i++) {
		kept += r->k[i] != 0.0;
		if (!sealed) {
			EACH_MSG(r->k[i] == ref_stored(r->given[i]),
			         "layer %d, head %zu, open token %zu, channel %zu: %.9g instead of %.9g",
			         r->layer, r->head, r->token, i, r->k[i], ref_stored(r->given[i]));
			continue;
		}
		const struct ref_pruned *v = &r->want[i];
		EACH_MSG(!w->sure[r->layer][r->head][r->token] || (r->k[i] >= v->low && r->k[i] <= v->high),
		         "layer %d, head %zu, token %zu, %s channel %zu of %.9g: %.9g instead of %.9g "
		         "(%.9g to %.9g)",
		         r->layer, r->head, r->token, v->kept ? "kept" : "pruned", i,
		         ref_stored(r->given[i]), r->k[i], v->value, v->low, v->high);
	}
	if (sealed && w->c->codec == PRUNED_NONE &&
	    (w->c->kind == PRUNED_THINK || w->c->recover == REF_RECOVER_ZERO))
		EACH_MSG(kept == w->c->kept, "layer %d, head %zu, token %zu: %zu channels instead of %zu",
		         r->layer, r->head, r->token, kept, w->c->kept);
}

/* Every value of K. What single precision may decide otherwise is left out: a fifth of the rows at most, or one block,
 * of which a row moves the factors of all. */
void watch_check(const struct watch *w, const struct stream *s)
{
	size_t heads = (size_t)w->c->shape.kv_heads, dk = (size_t)w->c->shape.dk, n = s->n * heads * dk;
	double *k = new_array(n, sizeof *k), *given = new_array(n, sizeof *given);
	size_t rows = 0, unsure = 0;
	for (int layer = 0; layer < w->feed->geometry.layers; layer++) {
		feed_read(w->feed, s, layer, 0, s->n, k, NULL);
		feed_rows(w->feed, layer, FEED_K, s->row, s->n, given);
		for (size_t t = 0; t < s->n; t++)
			for (size_t h = 0; h < heads; h++) {
				size_t at = (t * heads + h) * dk;
				struct row r = {layer, h, t, k + at, given + at, w->want[layer] + at};
				check_row(w, &r, t < w->seal.tail);
				rows += t < w->seal.tail;
				unsure += t < w->seal.tail && !w->sure[layer][h][t];
			}
	}
	ck_assert_msg(unsure * 5 <= rows + 5 * w->c->block, "%zu of %zu rows next to ties", unsure,
	              rows);
	free(k);
	free(given);
}

struct feed pruned_feed(const struct pruned_case *c)
{
	struct feed feed = {.lse = true};
	feed.geometry = feed_geometry(2, c->shape.q_heads, c->shape.kv_heads, c->shape.dk, c->shape.dv);
	return feed;
}

static double up(double n, double to)
{
	return ceil(n / to) * to;
}

double pruned_section(double dk, double block, double kept, double amplitudes, bool factors,
                      bool signs)
{
	return dk * block / 8.0 + amplitudes * block * 2.0 + (factors ? 2.0 * dk : 0.0) +
	       (signs ? (dk - kept) * block / 8.0 : 0.0);
}

double pruned_page(double section, double block, double values)
{
	return up(up(section, 16.0) + 2.0 * block * values, 64.0);
}

/* 16 bytes of a table for each sealed block, 4 for one that isn't; a sequence may hold some more of them. */
static void expect_taken(const clkv_geometry *g, const char *recipe, const clkv_cache_options *o,
                         const struct pruned_bytes *want, uint64_t device)
{
	static struct stream s;
	struct feed feed = {.geometry = *g, .append_only = true};
	double blocks = 256.0 / want->block;
	feed_open(&feed, fixture.context, fixture.queue, recipe, o);
	ck_assert_uint_eq(feed_stats(&feed).allocated.device, device);
	stream_open(&feed, &s);
	feed_one(&feed, &s, 256, CLKV_PROMPT_END, 1, NULL);
	double sealed = (double)feed_stats(&feed).used_sealed, bytes = (double)stream_info(&s).bytes;
	double all = blocks * (want->pages + 16.0 * want->heads + want->dense);
	ck_assert_msg(sealed == blocks * want->pages, "'%s': pages of %g bytes instead of %g", recipe,
	              sealed, blocks * want->pages);
	ck_assert_msg(bytes >= all && bytes <= all + 1024.0,
	              "'%s': a sequence has %g bytes instead of %g", recipe, bytes, all);
	feed_close(&feed);
}

void pruned_expect_bytes(const clkv_geometry *g, const char *recipe,
                         const struct pruned_bytes *want, bool taken)
{
	clkv_cache_options o = CLKV_INIT(clkv_cache_options);
	o.max_tokens = 1024;
	clkv_bytes bytes = feed_required(fixture.context, g, recipe, &o);
	double all = want->pages + 16.0 * want->heads + want->dense + 4.0 * want->dense_heads;
	ck_assert_msg(fabs(bytes.per_token - all / want->block) < 1e-6, "'%s': %g instead of %g",
	              recipe, bytes.per_token, all / want->block);
	if (taken)
		expect_taken(g, recipe, &o, want, bytes.device);
}
