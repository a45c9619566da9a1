/* SPDX-License-Identifier: MIT */
/**
 * \file    bench_attend.c
 * \brief   Times attention: one row per sequence (attend), or the last chunk of a prompt (prefill).
 */
#include "rig.h"

static bool count_work(struct bench_rig *rig, struct bench_work *work, struct tool_error *error)
{
	const struct bench_problem *p = rig->problem;
	double rows = (double)p->rows, tokens = (double)p->tokens, batch = (double)p->batch;
	double stored, sealed;
	if (!bench_rig_stored(rig, &stored, &sealed, error))
		return false;
	work->tokens = tokens;
	work->f16_bytes = tokens * batch * bench_f16_bytes(p);
	work->compressed_bytes = stored + rows * batch * bench_f16_bytes(p);
	work->moved_bytes = work->compressed_bytes;
	work->multiply_adds = bench_multiply_adds(p);
	return true;
}

static bool measure(struct bench_rig *rig, struct bench_result *result, struct tool_error *error)
{
	double us;
	clkv_stats before = CLKV_INIT(clkv_stats), after = before;
	if (!bench_rig_fill(rig, rig->problem->tokens - rig->problem->rows, error) ||
	    !count_work(rig, &result->work, error) || !bench_rig_round(rig, &us, error) ||
	    !bench_rig_stats(rig, &before, error))
		return false;
	for (double started = bench_seconds(); bench_wants_more(result, started); result->n++)
		if (!bench_rig_round(rig, &result->us[result->n], error))
			return false;
	if (!bench_rig_stats(rig, &after, error))
		return false;
	const double calls = (double)(result->n * rig->layers);
	result->host_us = (double)(after.host_ns - before.host_ns) / calls / 1e3;
	result->launches = (double)(after.launches - before.launches) / calls;
	return true;
}

bool bench_attend(const struct bench_machine *machine, const struct bench_problem *problem,
                  struct bench_result *result, struct tool_error *error)
{
	struct bench_rig rig;
	bool done = bench_rig_open(&rig, machine, problem, true, error) && measure(&rig, result, error);
	bench_rig_close(&rig);
	return done;
}
