/* SPDX-License-Identifier: MIT */
/** \file operate_step.c \brief Steps at random, through all ends that a step can have. */
#include "operations.h"

#include "../support/each.h"
#include "../support/memory_file.h"
#include "model.h"
#include "step_rows.h"
#include "strike.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- begin ---- */

static size_t draw_rows(struct world *w)
{
	switch (world_below(w, 6)) {
	case 0:
		return world_between(w, 1, w->options.max_step_tokens);
	case 1:
	case 2:
		return world_between(w, 2, 40);
	default:
		return world_between(w, 1, 4);
	}
}

static bool has_item(const struct step_rows *s, const clkv_seq *seq)
{
	for (size_t i = 0; i < s->n_items; i++)
		if (s->item[i].seq == seq)
			return true;
	return false;
}

/* Different sequences, as far as their rows fit into a step. */
static void draw_items(struct step_rows *s)
{
	struct world *w = s->w;
	size_t many = world_between(w, 1, w->n_models < STEP_ITEMS ? w->n_models : STEP_ITEMS);
	while (s->n_items < many) {
		struct step_item *item = &s->item[s->n_items];
		clkv_seq *seq = w->models[world_below(w, w->n_models)].seq;
		size_t room = w->options.max_step_tokens - s->tokens, n = draw_rows(w);
		if (room == 0)
			break;
		if (has_item(s, seq))
			continue;
		size_t gap = s->apart ? world_below(w, 20) : 0;
		*item = (struct step_item){.seq = seq, .n = n < room ? n : room, .first = s->n + gap};
		item->phase =
			item->n == 1 && !world_one_in(w, 4) ? CLKV_DECODE : (clkv_phase)world_below(w, 3);
		if (w->some.rereads && step_model(s, s->n_items)->n > 0 && world_one_in(w, 3))
			item->phase = CLKV_REREAD;
		s->n += gap + item->n;
		s->tokens += item->n;
		s->n_items++;
	}
}

/* Whether prompts meet tokens that have left the device. */
static bool meets_moved(struct step_rows *s)
{
	bool meets = false;
	for (size_t i = 0; i < s->n_items; i++)
		for (size_t b = 0; b < s->w->n_bands && s->item[i].phase != CLKV_DECODE; b++)
			meets = meets || (s->w->facts[b].moves && model_sealed(s->w, step_model(s, i), b) > 0);
	return meets;
}

/* A pool of blocks that nobody shares or has cut has room for max_tokens. */
static void expect_full(const struct step_rows *s, const clkv_error *error)
{
	size_t tokens = s->tokens;
	for (size_t i = 0; i < s->w->n_models; i++)
		tokens += s->w->models[i].n;
	s->w->progress->full++;
	EACH_MSG(s->w->scattered || tokens > s->w->options.max_tokens,
	         "%zu tokens with those of the step, of at most %zu: %s", tokens,
	         s->w->options.max_tokens, error->text);
}

/* False: there is no step, and nothing has changed. */
static bool begin(struct step_rows *s)
{
	clkv_step_item list[STEP_ITEMS];
	size_t first_rows[STEP_ITEMS];
	clkv_error error;
	bool moved = meets_moved(s);
	for (size_t i = 0; i < s->n_items; i++) {
		list[i] = (clkv_step_item){s->item[i].seq, s->item[i].n, s->item[i].phase};
		first_rows[i] = s->item[i].first;
	}
	strike_arm(s->w);
	clkv_status status = clkv_step_begin_rows(s->w->cache, list, s->apart ? first_rows : NULL,
	                                          s->n_items, s->queue, &s->step, &error);
	if (strike_happened(s->w, status, &error, "clkv_step_begin"))
		return false;
	if (status == CLKV_ERROR_POOL_FULL)
		expect_full(s, &error);
	else if (status != CLKV_OK)
		EACH_MSG(status == CLKV_ERROR_UNSUPPORTED && moved, "clkv_step_begin: %s: %s (%s %d)",
		         clkv_status_string(status), error.text, error.call, (int)error.cl_code);
	return status == CLKV_OK;
}

/* ---------------------------------------------------------------- in the step ---- */

static void expect_busy(clkv_status status, const char *call)
{
	EACH_MSG(status == CLKV_ERROR_BUSY, "%s in an open step: %s", call, clkv_status_string(status));
}

/* What isn't allowed while the step is open. */
static void try_busy(struct step_rows *s)
{
	struct world *w = s->w;
	struct memory_file file = {0};
	clkv_step_item item = {s->item[0].seq, 1, CLKV_DECODE};
	clkv_step *step = NULL;
	clkv_seq *seq = NULL;
	if (!world_one_in(w, 5))
		return;
	expect_busy(clkv_step_begin(w->cache, &item, 1, s->queue, &step, NULL), "clkv_step_begin");
	expect_busy(clkv_seq_fork(item.seq, &seq, NULL), "clkv_seq_fork");
	expect_busy(clkv_seq_truncate(item.seq, 0, NULL), "clkv_seq_truncate");
	if (!w->some.selects)
		expect_busy(clkv_seq_save(item.seq, NULL, s->queue, memory_write, &file, NULL),
		            "clkv_seq_save");
	memory_close(&file);
}

static bool append_and_attend(struct step_rows *s, int layer, bool attends)
{
	return step_append(s, layer) && (!attends || step_attend(s, layer));
}

/* All layers, one after the other or first all appended. False: a failure struck, or the caller thinks better of it. */
static bool pass(struct step_rows *s)
{
	struct world *w = s->w;
	int layers = w->geometry.layers;
	bool attends = w->observes > 0 || w->some.rereads || !world_one_in(w, 6),
		 apart = world_one_in(w, 4);
	int stops = world_one_in(w, 12) ? (int)world_below(w, (size_t)layers + 1) : layers + 1;
	for (int layer = 0; layer < layers && layer < stops; layer++)
		if (!(apart ? step_append(s, layer) : append_and_attend(s, layer, attends)))
			return false;
	for (int layer = 0; layer < layers && layer < stops && apart && attends; layer++)
		if (!step_attend(s, layer))
			return false;
	return stops > layers;
}

/* ---------------------------------------------------------------- commit ---- */

/* Drafts are rejected, in part or whole; never of a prompt's end. */
static void draw_kept(struct step_rows *s)
{
	bool rejects = world_one_in(s->w, 4);
	for (size_t i = 0; i < s->n_items; i++) {
		struct step_item *item = &s->item[i];
		item->kept = item->n;
		if (rejects && item->phase != CLKV_PROMPT_END)
			item->kept = world_below(s->w, item->n + 1);
		if (item->phase == CLKV_REREAD)
			item->kept = 0;
	}
}

static clkv_status commit(struct step_rows *s, clkv_error *error)
{
	size_t kept[STEP_ITEMS];
	bool all = true;
	draw_kept(s);
	for (size_t i = 0; i < s->n_items; i++) {
		kept[i] = s->item[i].kept;
		all = all && kept[i] == s->item[i].n;
	}
	strike_arm(s->w);
	return clkv_step_commit(s->step, all && world_one_in(s->w, 2) ? NULL : kept, error);
}

/* Drops a sequence that isn't in the step, to make room. */
static void drop_other(struct step_rows *s)
{
	for (size_t i = 0; i < s->w->n_models; i++)
		if (!has_item(s, s->w->models[i].seq)) {
			model_drop(s->w, i);
			return;
		}
}

/* Commits, again after a failure, perhaps with other numbers of rows. False: it gave up, and the step is open. */
static bool commit_or_not(struct step_rows *s)
{
	for (size_t tries = 0; tries < 4; tries++) {
		clkv_error error;
		clkv_status status = commit(s, &error);
		if (strike_happened(s->w, status, &error, "clkv_step_commit") ||
		    status == CLKV_ERROR_POOL_FULL) {
			s->w->progress->full += status == CLKV_ERROR_POOL_FULL;
			if (world_one_in(s->w, 3))
				return false;
			if (status == CLKV_ERROR_POOL_FULL)
				drop_other(s);
			continue;
		}
		/* a prompt's end that nobody has read again */
		if (status == CLKV_ERROR_INVALID_STATE && s->w->some.rereads)
			return false;
		EACH_MSG(status == CLKV_OK, "clkv_step_commit: %s: %s (%s %d)", clkv_status_string(status),
		         error.text, error.call, (int)error.cl_code);
		return true;
	}
	return false;
}

static void follow(struct step_rows *s)
{
	s->w->progress->steps++;
	for (size_t i = 0; i < s->n_items; i++) {
		double *rows[WORLD_LAYERS][2] = {{NULL}};
		for (int layer = 0; layer < s->w->geometry.layers; layer++)
			for (int side = SIDE_K; side <= SIDE_V; side++)
				rows[layer][side] =
					s->rows[layer][side] + s->item[i].first * world_row(s->w, (enum side)side);
		model_commit(s->w, step_model(s, i), s->item[i].kept, s->item[i].phase, rows);
	}
}

/* The step is gone: its sequences are as they were. */
static void check_items(struct step_rows *s)
{
	for (size_t i = 0; i < s->n_items; i++) {
		for (size_t b = 0; b < s->w->n_bands; b++)
			if (s->w->facts[b].ruled)
				selected_abort(&step_model(s, i)->bands[b].rule);
		model_check(s->w, step_model(s, i));
	}
}

void operate_step(struct world *w)
{
	struct step_rows s = {.w = w, .queue = world_queue(w), .apart = world_one_in(w, 5)};
	draw_items(&s);
	for (size_t i = 0; i < s.n_items; i++)
		world_trace(w, "sequence %zu of %zu tokens, %zu rows in phase %d",
		            (size_t)(step_model(&s, i) - w->models), step_model(&s, i)->n, s.item[i].n,
		            (int)s.item[i].phase);
	if (!begin(&s)) {
		check_items(&s);
		return;
	}
	try_busy(&s);
	if (pass(&s) && commit_or_not(&s)) {
		for (size_t i = 0; i < s.n_items; i++)
			world_trace(w, "%zu rows were kept", s.item[i].kept);
		follow(&s);
	} else {
		world_trace(w, "aborted");
		clkv_step_abort(s.step);
		check_items(&s);
	}
	for (int layer = 0; layer < w->geometry.layers; layer++) {
		free(s.rows[layer][SIDE_K]);
		free(s.rows[layer][SIDE_V]);
	}
}
