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
	/* the newest queries may have gone with rows that were cut or rejected */
	bool missing = status == CLKV_ERROR_INVALID_STATE && w->observes > 0;
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
