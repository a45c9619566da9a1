/* SPDX-License-Identifier: MIT */
/** \file operations.c \brief Sequences made, forked, cut, saved and destroyed at random; calls that are refused. */
#include "operations.h"

#include "../support/each.h"
#include "../support/memory_file.h"
#include "model.h"
#include "strike.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

static struct model *any(struct world *w)
{
	return &w->models[world_below(w, w->n_models)];
}

/* A call that made a sequence, or found that there are as many as there may be. */
static bool made(struct world *w, clkv_status status, const clkv_error *error, const char *call)
{
	if (strike_happened(w, status, error, call))
		return false;
	bool full = w->n_models == w->options.max_sequences;
	EACH_MSG(status == (full ? CLKV_ERROR_POOL_FULL : CLKV_OK), "%s beside %zu of %zu: %s: %s",
	         call, w->n_models, w->options.max_sequences, clkv_status_string(status), error->text);
	return !full;
}

void operate_create(struct world *w)
{
	clkv_seq *seq = NULL;
	clkv_error error;
	strike_arm(w);
	clkv_status status = clkv_seq_create(w->cache, &seq, &error);
	if (made(w, status, &error, "clkv_seq_create"))
		model_check(w, model_add(w, seq));
	else
		EACH_MSG(seq == NULL, "a failure gave a sequence");
}

void operate_destroy(struct world *w)
{
	size_t i = world_below(w, w->n_models);
	world_trace(w, "sequence %zu, the last of %zu takes its number", i, w->n_models);
	model_drop(w, i);
}

void operate_fork(struct world *w)
{
	struct model *from = any(w);
	clkv_seq *seq = NULL;
	clkv_error error;
	world_trace(w, "sequence %zu of %zu tokens as %zu", (size_t)(from - w->models), from->n,
	            w->n_models);
	strike_arm(w);
	clkv_status status = clkv_seq_fork(from->seq, &seq, &error);
	if (made(w, status, &error, "clkv_seq_fork")) {
		w->scattered = true;
		model_check(w, model_add_copy(w, from, seq));
	}
	model_check(w, from);
}

/* Mostly to a length that is allowed. */
void operate_truncate(struct world *w)
{
	struct model *m = any(w);
	clkv_seq_info info = model_info(m);
	size_t n = world_between(w, info.min_length, info.length);
	clkv_error error;
	if (world_one_in(w, 5))
		n = world_one_in(w, 2) ? 0 : world_below(w, info.length + 3);
	world_trace(w, "sequence %zu of %zu tokens to %zu", (size_t)(m - w->models), m->n, n);
	bool allowed = n == 0 || (n >= info.min_length && n <= info.length);
	strike_arm(w);
	clkv_status status = clkv_seq_truncate(m->seq, n, &error);
	if (!strike_happened(w, status, &error, "clkv_seq_truncate")) {
		EACH_MSG(status == (allowed ? CLKV_OK : CLKV_ERROR_INVALID_ARGUMENT),
		         "clkv_seq_truncate to %zu of %zu to %zu: %s: %s", n, info.min_length, info.length,
		         clkv_status_string(status), error.text);
		if (allowed)
			model_cut(w, m, n);
	}
	model_check(w, m);
}

/* ---------------------------------------------------------------- files ---- */

/* The bytes that were saved make the same sequence in the same cache, from reads of any size. */
static void load(struct world *w, struct model *from, struct memory_file *file, bool other)
{
	clkv_seq *seq = NULL;
	clkv_error error;
	file->at = file->calls = 0;
	file->chunk = world_one_in(w, 2) ? world_between(w, 1, 100) : 0;
	strike_arm(w);
	clkv_status status = clkv_seq_load(w->cache, world_queue(w), memory_read, file, &seq, &error);
	if (strike_happened(w, status, &error, "clkv_seq_load"))
		return;
	if (status == CLKV_ERROR_POOL_FULL) {
		w->progress->full++;
		return;
	}
	EACH_MSG(status == CLKV_OK, "clkv_seq_load: %s: %s (%s %d)", clkv_status_string(status),
	         error.text, error.call, (int)error.cl_code);
	EACH_MSG(file->at == file->n, "clkv_seq_load read %zu of %zu bytes", file->at, file->n);
	model_load(w, model_add_copy(w, from, seq), other);
}

/* By way of f16, which loses nothing of what is stored: rows are decoded, and sealed anew when they are loaded. */
void operate_save(struct world *w)
{
	struct memory_file file = {0};
	struct model *from = any(w);
	bool other = world_one_in(w, 3);
	world_trace(w, "sequence %zu of %zu tokens%s", (size_t)(from - w->models), from->n,
	            other ? " as f16" : "");
	clkv_error error;
	strike_arm(w);
	clkv_status status =
		clkv_seq_save(from->seq, other ? "f16" : NULL, world_queue(w), memory_write, &file, &error);
	bool struck = strike_happened(w, status, &error, "clkv_seq_save");
	if (!struck && w->some.selects && other)
		EACH_MSG(status == CLKV_ERROR_UNSUPPORTED, "clkv_seq_save of what was selected: %s",
		         clkv_status_string(status));
	else if (!struck)
		EACH_MSG(status == CLKV_OK, "clkv_seq_save: %s: %s (%s %d)", clkv_status_string(status),
		         error.text, error.call, (int)error.cl_code);
	if (status == CLKV_OK)
		load(w, from, &file, other);
	memory_close(&file);
	model_check(w, from);
}

/* ---------------------------------------------------------------- refused ---- */

static void expect_invalid(clkv_status status, const char *what)
{
	EACH_MSG(status == CLKV_ERROR_INVALID_ARGUMENT, "%s: %s", what, clkv_status_string(status));
}

static void refuse_items(struct world *w, struct model *m)
{
	clkv_step_item two[2] = {{m->seq, 1, CLKV_DECODE}, {m->seq, 1, CLKV_DECODE}};
	clkv_step *step = NULL;
	cl_command_queue queue = world_queue(w);
	expect_invalid(clkv_step_begin(w->cache, two, 0, queue, &step, NULL), "a step of nothing");
	if (w->options.max_sequences > 1)
		expect_invalid(clkv_step_begin(w->cache, two, 2, queue, &step, NULL), "a sequence twice");
	two[0].n_tokens = 0;
	expect_invalid(clkv_step_begin(w->cache, two, 1, queue, &step, NULL), "no row");
	two[0].n_tokens = w->options.max_step_tokens + 1;
	expect_invalid(clkv_step_begin(w->cache, two, 1, queue, &step, NULL), "too many rows");
	two[0] = (clkv_step_item){NULL, 1, CLKV_DECODE};
	expect_invalid(clkv_step_begin(w->cache, two, 1, queue, &step, NULL), "no sequence");
	EACH_MSG(step == NULL, "a refused begin gave a step");
}

static void refuse_reading(struct world *w, struct model *m)
{
	struct tensor x;
	struct tensor_layout layout = {.dtype = CLKV_F32};
	size_t heads = (size_t)w->geometry.kv_heads;
	cl_command_queue queue = world_queue(w);
	tensor_open(&x, queue, layout, 2, heads, world_dim(w, SIDE_K), NULL);
	expect_invalid(clkv_seq_read(m->seq, 0, m->n, 2, &x.t, NULL, queue, NULL), "rows to come");
	expect_invalid(clkv_seq_read(m->seq, w->geometry.layers, 0, 1, &x.t, NULL, queue, NULL),
	               "a layer that isn't there");
	tensor_close(&x);
}

void operate_refuse(struct world *w)
{
	struct model *m = any(w);
	if (m->n + w->options.max_step_tokens < w->options.max_tokens)
		refuse_items(w, m);
	refuse_reading(w, m);
	expect_invalid(clkv_seq_truncate(m->seq, m->n + 1, NULL), "truncating to more than there is");
	model_check(w, m);
}

void operate_look(struct world *w)
{
	model_check(w, any(w));
}

void operate_empty(struct world *w)
{
	world_empty(w);
}

/* ---------------------------------------------------------------- draws ---- */

static const struct operation {
	const char *name;
	void (*run)(struct world *w);
	size_t weight;
} operations[] = {
	{"create", operate_create, 8},
	{"destroy", operate_destroy, 5},
	{"fork", operate_fork, 7},
	{"truncate", operate_truncate, 9},
	{"step", operate_step, 60},
	{"save", operate_save, 5},
	{"end_prompt", operate_end_prompt, 4},
	{"reorder", operate_reorder, 3},
	{"refuse", operate_refuse, 3},
	{"look", operate_look, 4},
	{"empty", operate_empty, 1},
	{"remove", operate_remove, 4},
};

static const struct operation *draw(struct world *w)
{
	const size_t n = sizeof operations / sizeof *operations;
	size_t sum = 0, at;
	for (size_t i = 0; i < n; i++)
		sum += operations[i].weight;
	at = world_below(w, sum);
	for (size_t i = 0; i < n; i++) {
		if (at < operations[i].weight)
			return &operations[i];
		at -= operations[i].weight;
	}
	return &operations[0];
}

void operate(struct world *w)
{
	const struct operation *o = w->n_models > 0 ? draw(w) : &operations[0];
	snprintf(w->progress->name, sizeof w->progress->name, "%s", o->name);
	o->run(w);
	world_check(w);
	w->progress->done++;
}
