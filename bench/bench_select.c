/* SPDX-License-Identifier: MIT */
/**
 * \file    bench_select.c
 * \brief   Times what selection of tokens saves and takes: attention beside f16 in turns with it, and commits.
 */
#include "rig.h"

enum { STEPS = 192 }; /* three blocks: so many selections */

static bool count_work(const struct bench_rig *rig, struct bench_work *work,
                       struct tool_error *error)
{
	const struct bench_problem *p = rig->problem;
	const double batch = (double)p->batch, tokens = (double)p->tokens;
	double stored, sealed;
	if (!bench_rig_stored(rig, &stored, &sealed, error))
		return false;
	work->tokens = tokens;
	work->f16_bytes = tokens * batch * bench_f16_bytes(p);
	work->compressed_bytes = stored + (double)p->rows * batch * bench_f16_bytes(p);
	work->moved_bytes = work->compressed_bytes;
	work->multiply_adds = bench_multiply_adds(p) * work->compressed_bytes / work->f16_bytes;
	return true;
}

/* Rounds of the two in turns: f16's tokens then leave nothing of the other's in the caches. */
static bool measure(struct bench_rig *rig, struct bench_rig *exact, struct bench_result *result,
                    struct tool_error *error)
{
	double f16[BENCH_MOST_SAMPLES], us;
	if (!bench_rig_round(rig, &us, error) || !bench_rig_round(exact, &us, error))
		return false;
	for (double started = bench_seconds(); bench_wants_more(result, started); result->n++)
		if (!bench_rig_round(exact, &f16[result->n], error) ||
		    !bench_rig_round(rig, &result->us[result->n], error))
			return false;
	result->f16_us = bench_median(f16, result->n);
	result->f16_fastest_us = f16[0];
	return true;
}

/* The first token that lies in half: it moves when tokens are selected. */
static bool find_tail(const struct bench_rig *rig, size_t *tail, struct tool_error *error)
{
	clkv_seq_info info = CLKV_INIT(clkv_seq_info);
	if (clkv_seq_get_info(rig->seqs[0], &info, NULL) != CLKV_OK)
		return tool_fail(error, "can't ask for a sequence's size");
	*tail = info.min_length;
	return true;
}

/* One row through all layers, and its commit: us per layer. */
static bool commit_row(struct bench_rig *rig, double *us, struct tool_error *error)
{
	clkv_step *step;
	if (!bench_rig_step(rig, rig->problem->rows, &step, error))
		return false;
	if (!bench_rig_attend(rig, step, error) || !bench_rig_finish(rig, error))
		return clkv_step_abort(step), false;
	double begun = bench_now(rig->machine);
	bool done = bench_rig_commit(step, error) && bench_rig_finish(rig, error);
	*us = (bench_now(rig->machine) - begun) / (double)rig->layers;
	return done;
}

static bool generate(struct bench_rig *rig, struct bench_result *result, struct tool_error *error)
{
	double plain[STEPS], selects[STEPS], us, all = 0;
	size_t n_plain = 0, n_selects = 0, tail, before;
	if (!find_tail(rig, &before, error))
		return false;
	for (size_t i = 0; i < STEPS; i++, before = tail) {
		if (!commit_row(rig, &us, error) || !find_tail(rig, &tail, error))
			return false;
		if (tail == before)
			plain[n_plain++] = us;
		else
			selects[n_selects++] = us;
		all += us;
	}
	result->commit_us = n_plain > 0 ? bench_median(plain, n_plain) : 0;
	result->select_us = n_selects > 0 ? bench_median(selects, n_selects) : 0;
	result->commit_mean_us = all / STEPS;
	return true;
}

/* Appending, attention and commits of a prompt, per layer. */
static double prompt_us(const struct bench_rig *rig)
{
	return (rig->rows_us + rig->seal_us) / (double)rig->layers;
}

static bool run(struct bench_rig *rig, struct bench_rig *exact, struct bench_result *result,
                struct tool_error *error)
{
	const struct bench_problem *p = rig->problem;
	const size_t tokens = p->tokens - p->rows;
	if (!bench_rig_fill(rig, tokens, error) || !bench_rig_fill(exact, tokens, error))
		return false;
	result->compress_share = prompt_us(rig) / prompt_us(exact) - 1.0;
	return count_work(rig, &result->work, error) && measure(rig, exact, result, error) &&
	       generate(rig, result, error);
}

bool bench_select(const struct bench_machine *machine, const struct bench_problem *problem,
                  struct bench_result *result, struct tool_error *error)
{
	struct bench_rig rig = {0}, exact = {0};
	struct bench_problem select = *problem, f16 = *problem;
	select.attended = true;
	f16.recipe = "f16";
	f16.attended = true;
	bool done = bench_rig_open(&rig, machine, &select, true, error) &&
	            bench_rig_open(&exact, machine, &f16, true, error) &&
	            run(&rig, &exact, result, error);
	bench_rig_close(&rig);
	bench_rig_close(&exact);
	return done;
}
