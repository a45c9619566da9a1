/* SPDX-License-Identifier: MIT */
/**
 * \file    tune_search.c
 * \brief   One number after the other, each against the default: far fewer runs than all together.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tune.h"

/** A candidate must be this much faster, or as much as two runs of the default differ if that is more:
 *  what is less may be chance. */
#define LEAST_GAIN 0.03

/** Two runs of the default that differ so much are worth a word. */
#define BUSY 0.1

/** Behind one that is so much slower nothing better is looked for. */
#define WORSE 1.15

/** One comparison takes this share of the task's time. */
#define SLICE (1.0 / 16)

struct search {
	const struct tune_task *task;
	double spent; /**< seconds of comparisons */
	double worth; /**< the share of the best so far's time that a better one takes at most */
	struct tune_numbers base, best;
	char base_text[TUNE_TEXT];
	struct tune_side row, prompt; /* with the default, open throughout */
	double best_row, best_prompt; /* ratios */
};

static bool out_of_time(const struct search *s)
{
	return s->spent > s->task->seconds;
}

static clkv_geometry geometry_of(const struct tune_task *task)
{
	clkv_geometry g = CLKV_INIT(clkv_geometry);
	g.layers = 1;
	g.q_heads = (int)task->q_heads;
	g.kv_heads = (int)task->kv_heads;
	g.head_dim_k = (int)task->head_dim;
	return g;
}

/* What the library takes without a tuning file: no folder, no file. */
static bool find_default(struct search *s, struct tool_error *error)
{
	clkv_context_options options = CLKV_INIT(clkv_context_options);
	clkv_geometry g = geometry_of(s->task);
	clkv_context *context;
	clkv_error cause;
	char text[512];
	options.cache_dir = "";
	if (clkv_context_open(s->task->device, &options, &context, &cause) != CLKV_OK)
		return tool_fail_clkv(error, "the device", &cause);
	clkv_status status = clkv_tuning_get(context, &g, s->task->recipe, text, sizeof text, &cause);
	clkv_context_destroy(context);
	if (status != CLKV_OK)
		return tool_fail_clkv(error, s->task->recipe, &cause);
	if (!tune_numbers_read(text, &s->base))
		return tool_fail(error, "the library names a tuning that isn't understood: %s", text);
	tune_numbers_print(&s->base, s->base_text);
	s->best = s->base;
	s->best_row = s->best_prompt = 1.0;
	return true;
}

/* Measures text beside the default; a form that the device refuses gives a ratio of 0. */
static bool measure(struct search *s, struct tune_side *base, const char *recipe, const char *text,
                    double *ratio, struct tool_error *error)
{
	struct tune_side side;
	struct tool_error why = {""};
	double us;
	*ratio = 0;
	if (!tune_side_open(&side, s->task, recipe, text, base->problem.rows, &why)) {
		tune_report_refused(s->task, text, why.text);
		return true;
	}
	if (strncmp(side.in_force, text, strlen(text)) != 0) {
		tune_report_refused(s->task, text, side.in_force);
		tune_side_close(&side);
		return true;
	}
	const double begun = bench_seconds();
	bool done = tune_compare(base, &side, SLICE * s->task->seconds, &us, ratio, error);
	s->spent += bench_seconds() - begun;
	const struct bench_problem *p = &side.problem;
	const double units = (double)(p->tokens * p->kv_heads * p->rows);
	const char *what = recipe != s->task->recipe ? "block" : p->rows > 1 ? "prompt" : "row";
	tune_side_close(&side);
	if (!done)
		return false;
	tune_report_line(s->task, &(struct tune_line){recipe, what, text, us * 1e3 / units, *ratio});
	return true;
}

/* What the numbers decided by rows have made of prompts, before prompts decide theirs. */
static bool start_prompts(struct search *s, struct tool_error *error)
{
	char text[TUNE_TEXT];
	tune_numbers_print(&s->best, text);
	if (strcmp(text, s->base_text) == 0)
		return true;
	return measure(s, &s->prompt, s->task->recipe, text, &s->best_prompt, error);
}

static bool try_coordinate(struct search *s, size_t index, struct tool_error *error)
{
	struct tune_coordinate c;
	tune_coordinate(index, &s->row.machine.info, s->task->head_dim, &s->best, &c);
	/* Processor time doesn't show whether all processors end together. */
	if (c.balance && s->task->cpu_time)
		return true;
	if (c.prompt && !start_prompts(s, error))
		return false;
	struct tune_side *base = c.prompt ? &s->prompt : &s->row;
	double *best = c.prompt ? &s->best_prompt : &s->best_row;
	const unsigned start = tune_value(index, &s->best);
	bool worse[2] = {false, false}; /* downwards, upwards */
	for (size_t i = 0; i < c.n && !out_of_time(s); i++) {
		char text[TUNE_TEXT];
		double ratio;
		bool *is_worse = &worse[tune_value(index, &c.candidates[i]) > start];
		if (*is_worse)
			continue;
		tune_numbers_print(&c.candidates[i], text);
		if (!measure(s, base, s->task->recipe, text, &ratio, error))
			return false;
		*is_worse = ratio == 0 || ratio > WORSE * *best;
		if (ratio > 0 && ratio < s->worth * *best) {
			*best = ratio;
			s->best = c.candidates[i];
		}
	}
	return true;
}

/* The best once more: what was only chance goes back to the default. */
static bool confirm(struct search *s, struct tool_error *error)
{
	char text[TUNE_TEXT];
	tune_numbers_print(&s->best, text);
	if (strcmp(text, s->base_text) == 0)
		return true;
	if (!measure(s, &s->row, s->task->recipe, text, &s->best_row, error) ||
	    !measure(s, &s->prompt, s->task->recipe, text, &s->best_prompt, error))
		return false;
	if (s->best_row > 0 && s->best_row + s->best_prompt < 2.0 && s->best_row < 1.01)
		return true;
	s->best = s->base;
	s->best_row = s->best_prompt = 1.0;
	return true;
}

static bool store(struct search *s, struct tool_error *error)
{
	char text[TUNE_TEXT], path[1200];
	clkv_error cause;
	clkv_geometry g = geometry_of(s->task);
	tune_numbers_print(&s->best, text);
	if (!s->task->dry_run && clkv_tuning_store(s->row.machine.context, &g, s->task->recipe, text,
	                                           path, sizeof path, &cause) != CLKV_OK)
		return tool_fail_clkv(error, "the result can't be stored", &cause);
	tune_report_best(s->task, text, s->best_row, s->best_prompt, s->task->dry_run ? NULL : path);
	return true;
}

/* The recipe with another block, in full; false when it has this one. */
static bool with_block(const char *recipe, int block, char *out, size_t n)
{
	char full[512];
	clkv_error cause;
	if (clkv_recipe_print(recipe, full, sizeof full, &cause) != CLKV_OK)
		return false;
	char *at = strstr(full, "block=");
	if (at == NULL || atoi(at + 6) == block)
		return false;
	int length = (int)(at + 6 - full);
	const char *rest = at + 6 + strspn(at + 6, "0123456789");
	return snprintf(out, n, "%.*s%d%s", length, full, block, rest) < (int)n;
}

/* The ratio of the best tuning with another block to the best with this one; 0: there is none. */
static bool try_block(struct search *s, int block, double *ratio, struct tool_error *error)
{
	char text[TUNE_TEXT], recipe[600];
	*ratio = 0;
	if (!with_block(s->task->recipe, block, recipe, sizeof recipe))
		return true;
	tune_numbers_print(&s->best, text);
	if (!measure(s, &s->row, recipe, text, ratio, error))
		return false;
	*ratio /= s->best_row;
	return true;
}

/* A block size is the recipe's, so it's only spoken of, and only when a second run says the same. */
static bool compare_blocks(struct search *s, struct tool_error *error)
{
	double best = s->worth, ratio;
	int best_block = 0;
	for (int block = 32; s->task->blocks && block <= 128; block *= 2) {
		if (!try_block(s, block, &ratio, error))
			return false;
		if (ratio > 0 && ratio < best) {
			best = ratio;
			best_block = block;
		}
	}
	if (best_block == 0)
		return true;
	if (!try_block(s, best_block, &ratio, error))
		return false;
	if (ratio > 0 && ratio < s->worth)
		tune_report_block(s->task, best_block, ratio > best ? ratio : best);
	return true;
}

static bool search(struct search *s, struct tool_error *error)
{
	size_t rows = s->task->tokens > TUNE_ROWS ? TUNE_ROWS : s->task->tokens;
	if (!tune_side_open(&s->row, s->task, s->task->recipe, s->base_text, 1, error) ||
	    !tune_side_open(&s->prompt, s->task, s->task->recipe, s->base_text, rows, error))
		return false;
	tune_report_head(s->task, s->row.machine.info.name, s->base_text);
	if (!measure(s, &s->row, s->task->recipe, s->base_text, &s->best_row, error))
		return false;
	double noise = fabs(1.0 - s->best_row);
	s->worth = 1.0 - (noise > LEAST_GAIN ? noise : LEAST_GAIN);
	s->best_row = 1.0;
	if (noise > BUSY)
		tune_report_noise(s->task, noise);
	for (size_t i = 0; i < TUNE_COORDINATES; i++)
		if (!try_coordinate(s, i, error))
			return false;
	return confirm(s, error) && compare_blocks(s, error) && store(s, error);
}

bool tune_search(const struct tune_task *task, struct tool_error *error)
{
	struct search *s = calloc(1, sizeof *s);
	if (s == NULL)
		return tool_fail(error, "out of memory");
	s->task = task;
	bool done = find_default(s, error) && search(s, error);
	tune_side_close(&s->row);
	tune_side_close(&s->prompt);
	free(s);
	return done;
}
