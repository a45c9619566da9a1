/* SPDX-License-Identifier: MIT */
/**
 * \file    bench_append.c
 * \brief   Times how tokens come into a cache: appending with sealing (append), sealing alone (codec).
 *
 * A sample is a whole sequence, chunk by chunk, so that sealing comes in as often as in practice.
 */
#include "rig.h"

static size_t chunks(const struct bench_problem *p)
{
	return p->tokens / p->rows;
}

/* Microseconds of a pass: all of it, or what follows appending. */
static bool one_pass(struct bench_rig *rig, bool sealing_only, double *us, struct tool_error *error)
{
	if (!bench_rig_restart(rig, error) || !bench_rig_finish(rig, error))
		return false;
	*us = 0;
	double begun = bench_now(rig->machine);
	for (size_t i = 0; i < chunks(rig->problem); i++) {
		clkv_step *step;
		if (!bench_rig_step(rig, rig->problem->rows, &step, error))
			return false;
		if (sealing_only) {
			if (!bench_rig_finish(rig, error))
				return clkv_step_abort(step), false;
			begun = bench_now(rig->machine);
		}
		if (!bench_rig_commit(step, error))
			return false;
		if (sealing_only) {
			if (!bench_rig_finish(rig, error))
				return false;
			*us += bench_now(rig->machine) - begun;
		}
	}
	if (!sealing_only && bench_rig_finish(rig, error))
		*us = bench_now(rig->machine) - begun;
	return *us > 0;
}

/* Calls of `rows` rows in a pass, as far as they count. */
static bool count_work(struct bench_rig *rig, bool sealing_only, struct bench_work *work,
                       double *calls, struct tool_error *error)
{
	const struct bench_problem *p = rig->problem;
	double rows = (double)(p->rows * p->batch), stored, sealed;
	if (!bench_rig_stored(rig, &stored, &sealed, error))
		return false;
	double in_half = rows * bench_f16_bytes(p);
	double coded = rows * rig->bytes.per_token / (double)rig->layers;
	*calls = sealing_only ? sealed / rows : (double)chunks(p);
	if (*calls == 0)
		return tool_fail(error, "%s seals none of %zu tokens: take more tokens or another recipe",
		                 p->recipe, p->tokens);
	double sealed_share = sealed / rows / *calls;
	work->tokens = (double)p->rows;
	work->f16_bytes = in_half;
	work->compressed_bytes = sealing_only ? coded : stored / *calls;
	work->moved_bytes = sealed_share * (in_half + coded) + (sealing_only ? 0 : 2.0 * in_half);
	return true;
}

static bool measure(struct bench_rig *rig, bool sealing_only, struct bench_result *result,
                    struct tool_error *error)
{
	double us, calls;
	if (!one_pass(rig, sealing_only, &us, error) ||
	    !count_work(rig, sealing_only, &result->work, &calls, error))
		return false;
	for (double started = bench_seconds(); bench_wants_more(result, started); result->n++) {
		if (!one_pass(rig, sealing_only, &us, error))
			return false;
		result->us[result->n] = us / calls / (double)rig->layers;
	}
	return true;
}

static bool run(const struct bench_machine *machine, const struct bench_problem *problem,
                bool sealing_only, struct bench_result *result, struct tool_error *error)
{
	struct bench_rig rig;
	bool done = bench_rig_open(&rig, machine, problem, false, error) &&
	            measure(&rig, sealing_only, result, error);
	bench_rig_close(&rig);
	return done;
}

bool bench_append(const struct bench_machine *machine, const struct bench_problem *problem,
                  struct bench_result *result, struct tool_error *error)
{
	return run(machine, problem, false, result, error);
}

bool bench_codec(const struct bench_machine *machine, const struct bench_problem *problem,
                 struct bench_result *result, struct tool_error *error)
{
	return run(machine, problem, true, result, error);
}
