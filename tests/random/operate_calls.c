/* SPDX-License-Identifier: MIT */
/** \file operate_calls.c \brief Calls on sequences at random that bring no rows: what engines need beside steps. */
#include "operations.h"

#include "../support/each.h"
#include "model.h"
#include "strike.h"

static struct model *any(struct world *w)
{
	return &w->models[world_below(w, w->n_models)];
}

void operate_end_prompt(struct world *w)
{
	struct model *m = any(w);
	clkv_error error;
	world_trace(w, "sequence %zu of %zu tokens", (size_t)(m - w->models), m->n);
	strike_arm(w);
	clkv_status status = clkv_seq_end_prompt(m->seq, world_queue(w), &error);
	if (strike_happened(w, status, &error, "clkv_seq_end_prompt")) {
		model_check(w, m);
		return;
	}
	w->progress->full += status == CLKV_ERROR_POOL_FULL;
	/* the newest queries may have gone with rows that were cut or rejected; nobody may have read it again */
	bool missing = status == CLKV_ERROR_INVALID_STATE && (w->observes > 0 || w->some.rereads);
	EACH_MSG(status == CLKV_OK || status == CLKV_ERROR_POOL_FULL || missing,
	         "clkv_seq_end_prompt: %s: %s (%s %d)", clkv_status_string(status), error.text,
	         error.call, (int)error.cl_code);
	if (status == CLKV_OK)
		model_commit(w, m, 0, CLKV_PROMPT_END, NULL);
	else
		model_check(w, m);
}

/* Sequences of the cache in any order, some twice and some not at all. */
void operate_reorder(struct world *w)
{
	clkv_seq *seqs[WORLD_SEQS];
	size_t from[WORLD_SEQS], n = w->n_models;
	clkv_error error;
	for (size_t i = 0; i < n; i++) {
		seqs[i] = w->models[i].seq;
		from[i] = world_below(w, n);
		world_trace(w, "sequence %zu becomes what %zu was", i, from[i]);
	}
	strike_arm(w);
	clkv_status status = clkv_seq_reorder(seqs, from, n, &error);
	if (!strike_happened(w, status, &error, "clkv_seq_reorder")) {
		EACH_MSG(status == CLKV_OK, "clkv_seq_reorder: %s: %s", clkv_status_string(status),
		         error.text);
		model_reorder(w, from);
	}
	for (size_t i = 0; i < n; i++)
		model_check(w, &w->models[i]);
}

/* Mostly to an end that leaves something to move; of recipes that select, only the newest, as a cut would. */
static void draw_range(struct world *w, const struct model *m, size_t *from, size_t *to)
{
	*from = world_below(w, m->n + 1);
	*to = w->some.selects || world_one_in(w, 6) ? m->n : world_between(w, *from, m->n);
	if (w->some.selects)
		*from = world_between(w, model_info(m).min_length, m->n);
}

void operate_remove(struct world *w)
{
	struct model *m = any(w);
	size_t from, to, block = w->facts[0].block, most = w->options.max_step_tokens;
	clkv_error error;
	draw_range(w, m, &from, &to);
	bool moves = from < to && to < m->n, full = w->n_models == w->options.max_sequences;
	world_trace(w, "sequence %zu of %zu tokens loses %zu to %zu", (size_t)(m - w->models), m->n,
	            from, to);
	strike_arm(w);
	clkv_status status = clkv_seq_remove(m->seq, from, to, world_queue(w), &error);
	if (strike_happened(w, status, &error, "clkv_seq_remove")) {
		model_check(w, m);
		return;
	}
	w->progress->full += status == CLKV_ERROR_POOL_FULL;
	bool refused = status == CLKV_ERROR_UNSUPPORTED && (w->observes > 0 || w->some.prunes);
	EACH_MSG(status == CLKV_OK || (moves && (status == CLKV_ERROR_POOL_FULL || refused)),
	         "clkv_seq_remove: %s: %s (%s %d)", clkv_status_string(status), error.text, error.call,
	         (int)error.cl_code);
	EACH_MSG(!moves || !full || status != CLKV_OK, "no sequence was free to make the rest in");
	if (status == CLKV_OK && moves)
		model_remove(w, m, from, to, block < most ? block : most);
	else if (status == CLKV_OK && from < to)
		model_cut(w, m, from);
	model_check(w, m);
}
