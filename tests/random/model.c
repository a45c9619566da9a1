/* SPDX-License-Identifier: MIT */
/** \file model.c \brief Follows sequences: rows given, rows read, how far they are sealed. */
#include "model.h"

#include "../ref/ref_half.h"
#include "../support/each.h"
#include "kept.h"
#include "store/cache.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

double *model_new(size_t n)
{
	double *values = calloc(n + 1, sizeof *values);
	ck_assert_ptr_nonnull(values);
	return values;
}

clkv_seq_info model_info(const struct model *m)
{
	clkv_seq_info info = CLKV_INIT(clkv_seq_info);
	ck_assert_int_eq(clkv_seq_get_info(m->seq, &info, NULL), CLKV_OK);
	return info;
}

size_t model_sinks(const struct facts *f, const struct model *m)
{
	return f->sinks < m->n ? f->sinks : m->n;
}

clkv_seq *model_band(const struct model *m, size_t band)
{
	clkv_seq *seq = m->seq;
	for (size_t i = 0; i < band; i++)
		seq = seq->next_band;
	return seq;
}

/* clkv_seq_info has the largest of all recipes. */
size_t model_sealed(const struct world *w, const struct model *m, size_t band)
{
	return w->n_bands == 1 ? model_info(m).sealed : clkv__seq_sealed(model_band(m, band));
}

/* ---------------------------------------------------------------- life ---- */

static struct model *model_open(struct world *w, struct model *m, clkv_seq *seq)
{
	*m = (struct model){.seq = seq};
	for (size_t b = 0; b < w->n_bands; b++) {
		recalled_open(&m->bands[b].recalled, &w->facts[b].recall);
		if (w->facts[b].ruled)
			selected_open(&m->bands[b].rule, &w->facts[b].rule, &w->feed);
	}
	for (int layer = 0; layer < w->geometry.layers; layer++)
		for (int side = SIDE_K; side <= SIDE_V; side++) {
			size_t n = w->options.max_tokens * world_row(w, (enum side)side);
			m->given[layer][side] = model_new(n);
			m->read[layer][side] = model_new(n);
		}
	if (w->some.selects)
		kept_open(w, m);
	return m;
}

struct model *model_add(struct world *w, clkv_seq *seq)
{
	EACH_MSG(w->n_models < WORLD_SEQS, "more sequences than max_sequences");
	return model_open(w, &w->models[w->n_models++], seq);
}

static void band_copy(const struct facts *f, const struct band *from, struct band *to)
{
	if (f->ruled)
		selected_close(&to->rule);
	*to = *from;
	if (f->ruled)
		selected_fork(&from->rule, &to->rule);
}

static void model_copy(struct world *w, const struct model *from, struct model *m)
{
	m->n = from->n;
	m->most = from->most;
	for (size_t b = 0; b < w->n_bands; b++)
		band_copy(&w->facts[b], &from->bands[b], &m->bands[b]);
	for (int layer = 0; layer < w->geometry.layers; layer++)
		for (int side = SIDE_K; side <= SIDE_V; side++) {
			size_t bytes = m->n * world_row(w, (enum side)side) * sizeof(double);
			memcpy(m->given[layer][side], from->given[layer][side], bytes);
			memcpy(m->read[layer][side], from->read[layer][side], bytes);
		}
	if (w->some.selects)
		kept_copy(w, from, m);
}

struct model *model_add_copy(struct world *w, const struct model *from, clkv_seq *seq)
{
	struct model *m = model_add(w, seq);
	model_copy(w, from, m);
	return m;
}

static void model_close(struct world *w, struct model *m)
{
	for (int layer = 0; layer < w->geometry.layers; layer++)
		for (int side = SIDE_K; side <= SIDE_V; side++) {
			free(m->given[layer][side]);
			free(m->read[layer][side]);
		}
	if (w->some.selects)
		kept_close(w, m);
	for (size_t b = 0; b < w->n_bands; b++)
		if (w->facts[b].ruled)
			selected_close(&m->bands[b].rule);
}

void model_drop(struct world *w, size_t i)
{
	clkv_seq_destroy(w->models[i].seq);
	model_close(w, &w->models[i]);
	w->models[i] = w->models[--w->n_models];
}

void model_reorder(struct world *w, const size_t *from)
{
	struct model old[WORLD_SEQS];
	memcpy(old, w->models, sizeof old);
	for (size_t i = 0; i < w->n_models; i++)
		model_copy(w, &old[from[i]], model_open(w, &w->models[i], old[i].seq));
	for (size_t i = 0; i < w->n_models; i++)
		model_close(w, &old[i]);
	w->scattered = true;
}

static void cut_rule(const struct world *w, struct selected *rule, size_t n)
{
	size_t heads = (size_t)(w->geometry.layers * w->geometry.kv_heads);
	for (size_t i = 0; i < heads; i++)
		ck_assert(ref_select_truncate(&rule->heads[i], n));
}

static void cut_band(const struct world *w, const struct facts *f, struct band *b, size_t n)
{
	if (f->recalls)
		recalled_truncate(&b->recalled, n);
	if (n < b->tail) {
		b->tail = n;
		b->maybe = true;
	}
	if (f->ruled && !b->lost)
		cut_rule(w, &b->rule, n);
}

void model_cut(struct world *w, struct model *m, size_t n)
{
	m->n = n;
	m->most = n > 0 ? m->most : 0;
	w->scattered = true;
	for (size_t b = 0; b < w->n_bands; b++)
		cut_band(w, &w->facts[b], &m->bands[b], n);
	if (w->some.selects)
		kept_cut(w, m, n);
}

/* ---------------------------------------------------------------- how far it is sealed ---- */

/* Where a recipe's tail begins after a commit. At the first prompt's end exactly the window stays open, else whole batches go. */
static size_t tail_after(const struct world *w, const struct model *m, size_t band,
                         clkv_phase phase, bool partial)
{
	const struct facts *f = &w->facts[band];
	size_t sinks = model_sinks(f, m), tail = m->bands[band].tail;
	size_t first = tail > sinks ? tail : sinks, batch = f->recalls ? f->recall.every : f->block;
	if (f->dense || phase == CLKV_REREAD || (phase == CLKV_PROMPT && f->at_end) ||
	    m->n - first <= f->window)
		return tail;
	size_t n = m->n - first - f->window;
	if (phase != CLKV_PROMPT_END || partial)
		n -= n % batch;
	/* an index is made of so many at least */
	if (f->recalls && n < (tail > sinks ? f->recall.every : f->recall.first))
		return tail;
	return n > 0 ? first + n : tail;
}

static size_t sealed_of(const struct facts *f, const struct model *m, size_t tail)
{
	size_t sinks = model_sinks(f, m);
	return tail > sinks ? tail - sinks : 0;
}

/* Moves a recipe's tail as the rule says, and compares with what the library says. */
static void follow_tail(struct world *w, struct model *m, size_t band, clkv_phase phase)
{
	const struct facts *f = &w->facts[band];
	struct band *b = &m->bands[band];
	size_t sealed = model_sealed(w, m, band), before = b->tail, sinks = model_sinks(f, m);
	size_t want = tail_after(w, m, band, phase, b->partial);
	size_t other = tail_after(w, m, band, phase, !b->partial);
	bool as_other = b->maybe && sealed == sealed_of(f, m, other);
	EACH_MSG(
		sealed == sealed_of(f, m, want) || as_other,
		"%zu tokens of %zu are sealed by recipe %zu instead of %zu (phase %d, the tail began at "
		"%zu)",
		sealed, m->n, band, sealed_of(f, m, want), (int)phase, before);
	b->tail = sealed == sealed_of(f, m, want) ? want : other;
	size_t n = b->tail > before ? b->tail - (before > sinks ? before : sinks) : 0;
	if (f->recalls && n > 0)
		recalled_seal(&b->recalled, n);
	if (want != other) {
		b->partial = b->tail == want ? b->partial : !b->partial;
		b->maybe = false;
	}
	if (phase == CLKV_PROMPT_END && n % f->block != 0) {
		b->partial = true;
		b->maybe = false;
	}
}

void model_check_info(struct world *w, struct model *m)
{
	clkv_seq_info info = model_info(m);
	size_t most = 0;
	EACH_MSG(info.length == m->n, "a sequence has %zu tokens instead of %zu", info.length, m->n);
	EACH_MSG(info.min_length <= info.length, "min_length is %zu, above the length of %zu",
	         info.min_length, info.length);
	EACH_MSG(w->some.selects || info.min_length == 0, "min_length is %zu", info.min_length);
	for (size_t b = 0; b < w->n_bands; b++) {
		size_t sealed = model_sealed(w, m, b), want = sealed_of(&w->facts[b], m, m->bands[b].tail);
		most = sealed > most ? sealed : most;
		EACH_MSG(w->facts[b].selects || sealed == want,
		         "%zu tokens of %zu are sealed by recipe %zu instead of %zu", sealed, m->n, b,
		         want);
	}
	EACH_MSG(info.sealed == most, "%zu tokens are sealed, of a recipe %zu", info.sealed, most);
}

/* ---------------------------------------------------------------- rows ---- */

/* Rows from .. to - 1 of both sides. */
static void read_rows(struct world *w, const struct model *m, int layer, size_t from, size_t to,
                      double *const to_rows[2])
{
	struct tensor_layout layout = {.dtype = CLKV_F32};
	struct tensor x[2];
	cl_command_queue queue = world_queue(w);
	size_t heads = (size_t)w->geometry.kv_heads;
	clkv_error error;
	if (from >= to)
		return;
	for (int side = SIDE_K; side <= SIDE_V; side++)
		tensor_open(&x[side], queue, layout, to - from, heads, world_dim(w, (enum side)side), NULL);
	clkv_status status =
		clkv_seq_read(m->seq, layer, from, to - from, &x[SIDE_K].t, &x[SIDE_V].t, queue, &error);
	EACH_MSG(status == CLKV_OK, "clkv_seq_read of %zu .. %zu: %s: %s", from, to,
	         clkv_status_string(status), error.text);
	for (int side = SIDE_K; side <= SIDE_V; side++) {
		tensor_read(&x[side], queue, to_rows[side] + from * world_row(w, (enum side)side));
		tensor_close(&x[side]);
	}
}

/* Token t of a layer lies in half, so it reads as it was given. */
static bool is_half(const struct world *w, const struct model *m, int layer, size_t t)
{
	const struct facts *f = world_facts(w, layer);
	return facts_layer_dense(f, layer) || t < model_sinks(f, m) ||
	       t >= m->bands[world_band(w, layer)].tail;
}

/* Whether it can be read at all. */
static bool is_readable(const struct world *w, const struct model *m, int layer, size_t t)
{
	return !world_facts(w, layer)->selects || is_half(w, m, layer, t);
}

static void read_layer(struct world *w, const struct model *m, int layer, double *const rows[2])
{
	for (size_t from = 0, to; from < m->n; from = to) {
		to = from + 1;
		while (to < m->n && is_readable(w, m, layer, to) == is_readable(w, m, layer, from))
			to++;
		if (is_readable(w, m, layer, from))
			read_rows(w, m, layer, from, to, rows);
	}
}

static void expect_row(const struct world *w, const double *want, const double *row, int layer,
                       enum side side, size_t t, const char *what)
{
	size_t n = world_row(w, side), dim = world_dim(w, side), d = 0;
	double slack = 0.0;
	if (memcmp(want, row, n * sizeof *row) == 0)
		return;
	for (size_t h = 0; world_facts(w, layer)->turned && h < n; h += dim)
		slack = fmax(slack, model_turn_slack(dim, want + h));
	while (d < n - 1 && fabs(want[d] - row[d]) <= slack)
		d++;
	EACH_MSG(fabs(want[d] - row[d]) <= slack,
	         "layer %d, %s of token %zu, head %zu, channel %zu: %.9g instead of %.9g as %s", layer,
	         side == SIDE_K ? "K" : "V", t, d / dim, d % dim, row[d], want[d], what);
}

/* Which halves a row was turned to is known only now. */
static void take_turned(const struct world *w, struct model *m, int layer, enum side side)
{
	size_t n = world_row(w, side);
	for (size_t t = 0; t < m->n && world_facts(w, layer)->turned; t++)
		if (is_half(w, m, layer, t))
			memcpy(m->given[layer][side] + t * n, m->read[layer][side] + t * n, n * sizeof(double));
}

/* Rows of tokens before `sealed` read as they did; those in half as they were given. Then all are taken over. */
static void compare_layer(struct world *w, struct model *m, int layer, size_t sealed)
{
	double *rows[2];
	for (int side = SIDE_K; side <= SIDE_V; side++)
		rows[side] = model_new(m->n * world_row(w, (enum side)side));
	read_layer(w, m, layer, rows);
	for (int side = SIDE_K; side <= SIDE_V; side++) {
		size_t n = world_row(w, (enum side)side);
		for (size_t t = 0; t < m->n; t++) {
			const double *row = rows[side] + t * n;
			if (is_half(w, m, layer, t))
				expect_row(w, m->given[layer][side] + t * n, row, layer, (enum side)side, t,
				           "given");
			else if (!world_facts(w, layer)->selects && t < sealed)
				expect_row(w, m->read[layer][side] + t * n, row, layer, (enum side)side, t,
				           "before");
		}
		memcpy(m->read[layer][side], rows[side], m->n * n * sizeof(double));
		take_turned(w, m, layer, (enum side)side);
		free(rows[side]);
	}
}

void model_check(struct world *w, struct model *m)
{
	model_check_info(w, m);
	for (int layer = 0; layer < w->geometry.layers; layer++)
		compare_layer(w, m, layer, m->bands[world_band(w, layer)].tail);
	for (size_t b = 0; b < w->n_bands; b++)
		if (w->facts[b].selects)
			kept_check(w, m, b, false);
}

/* What a recipe sealed just now: tokens from `before` on. */
static void check_new(struct world *w, struct model *m, size_t band, size_t before)
{
	const struct facts *f = &w->facts[band];
	size_t sinks = model_sinks(f, m), tail = m->bands[band].tail;
	for (int layer = 0; layer < w->geometry.layers; layer++) {
		if (!facts_have(f, layer))
			continue;
		compare_layer(w, m, layer, before);
		if (facts_layer_dense(f, layer) || f->selects)
			continue;
		for (size_t from = before > sinks ? before : sinks; from < tail; from += f->block)
			model_check_sealed(w, m, layer, from, tail - from < f->block ? tail - from : f->block);
	}
}

struct stream *model_stream(struct world *w, const struct model *m)
{
	w->stream->seq = m->seq;
	w->stream->n = m->n;
	return w->stream;
}

/* What every head keeps is what the rule says. */
static void follow_rule(struct world *w, struct model *m, size_t band, size_t n, clkv_phase phase)
{
	struct selected_figures figures = {0};
	selected_commit(&m->bands[band].rule, model_stream(w, m), n, phase, &figures);
	w->progress->choices += figures.choices;
	w->progress->ties += figures.unsure + figures.unsure_merges;
}

static void commit_band(struct world *w, struct model *m, size_t band, size_t n, clkv_phase phase)
{
	const struct facts *f = &w->facts[band];
	struct band *b = &m->bands[band];
	size_t before = b->tail;
	if (!f->selects) {
		follow_tail(w, m, band, phase);
		check_new(w, m, band, before);
		return;
	}
	kept_check(w, m, band, true);
	check_new(w, m, band, b->tail);
	if (f->ruled && !b->lost)
		follow_rule(w, m, band, n, phase);
}

void model_commit(struct world *w, struct model *m, size_t n, clkv_phase phase,
                  double *rows[WORLD_LAYERS][2])
{
	for (int layer = 0; layer < w->geometry.layers && n > 0; layer++)
		for (int side = SIDE_K; side <= SIDE_V; side++) {
			size_t row = world_row(w, (enum side)side);
			memcpy(m->given[layer][side] + m->n * row, rows[layer][side], n * row * sizeof(double));
		}
	m->n += n;
	m->most = m->n > m->most ? m->n : m->most;
	for (size_t b = 0; b < w->n_bands; b++)
		commit_band(w, m, b, n, phase);
}

/* Whether all recipes have sealed as much as those of the sequence that was saved. */
static bool is_sealed_alike(const struct world *w, const struct model *m)
{
	for (size_t b = 0; b < w->n_bands; b++)
		if (model_sealed(w, m, b) != sealed_of(&w->facts[b], m, m->bands[b].tail))
			return false;
	return true;
}

static void load_band(struct world *w, struct model *m, size_t band)
{
	const struct facts *f = &w->facts[band];
	struct band *b = &m->bands[band];
	size_t sealed = model_sealed(w, m, band);
	b->tail = sealed > 0 ? sealed + model_sinks(f, m) : 0;
	recalled_open(&b->recalled, &f->recall);
	if (f->recalls && sealed > 0)
		recalled_seal(&b->recalled, sealed);
	b->partial = sealed % f->block != 0;
	check_new(w, m, band, 0);
}

void model_load(struct world *w, struct model *m, bool other)
{
	w->scattered = true;
	for (size_t b = 0; b < w->n_bands; b++)
		m->bands[b].maybe = true;
	if (!other && is_sealed_alike(w, m)) {
		model_check(w, m);
		return;
	}
	for (int layer = 0; layer < w->geometry.layers; layer++)
		for (int side = SIDE_K; side <= SIDE_V; side++)
			for (size_t i = 0; i < m->n * world_row(w, (enum side)side); i++)
				m->given[layer][side][i] = ref_half(m->read[layer][side][i]);
	for (size_t b = 0; b < w->n_bands; b++)
		load_band(w, m, b);
}

/* What passes of generation seal of rows that come back. */
static void follow_moved(struct world *w, struct model *m, size_t band, size_t rest, size_t most)
{
	const struct facts *f = &w->facts[band];
	struct band *b = &m->bands[band];
	for (size_t n; rest > 0; rest -= n) {
		n = rest < most ? rest : most;
		size_t before = b->tail, sinks;
		m->n += n;
		b->tail = tail_after(w, m, band, CLKV_DECODE, true);
		sinks = model_sinks(f, m);
		if (f->recalls && b->tail > before)
			recalled_seal(&b->recalled, b->tail - (before > sinks ? before : sinks));
	}
}

void model_remove(struct world *w, struct model *m, size_t from, size_t to, size_t most)
{
	size_t rest = m->n - to, before[FACTS_BANDS];
	for (int layer = 0; layer < w->geometry.layers; layer++)
		for (int side = SIDE_K; side <= SIDE_V; side++) {
			size_t row = world_row(w, (enum side)side);
			double *given = m->given[layer][side] + from * row;
			for (size_t i = 0; i < rest * row; i++)
				given[i] = ref_half(m->read[layer][side][to * row + i]);
		}
	model_cut(w, m, from);
	for (size_t b = 0; b < w->n_bands; b++) {
		m->bands[b].maybe = true;
		before[b] = m->bands[b].tail;
		m->n = from;
		follow_moved(w, m, b, rest, most);
	}
	model_check_info(w, m);
	for (size_t b = 0; b < w->n_bands; b++)
		check_new(w, m, b, before[b]);
}
