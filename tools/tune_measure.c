/* SPDX-License-Identifier: MIT */
/**
 * \file    tune_measure.c
 * \brief   Two tunings on the same data, round by round in turn: what else the machine does meets both.
 */
#include <stdlib.h>
#include <string.h>

#include "tune.h"

/** On a CPU more than the second caches hold is enough, and soon filled: the sums take the time. */
static const uint64_t CPU_BYTES = (uint64_t)24 << 20;

enum { MOST_ROUNDS = 400, LEAST_ROUNDS = 5 };

static bool open_machine(struct tune_side *side, const struct tune_task *task, const char *tuning,
                         struct tool_error *error)
{
	/* The context reads it once. */
	if (setenv("CLKV_TUNE", tuning, 1) != 0)
		return tool_fail(error, "out of memory");
	bool done = bench_machine_open(&side->machine, task->device, task->cpu_time, error);
	(void)unsetenv("CLKV_TUNE");
	if (done && !side->machine.info.is_gpu)
		side->machine.cache_bytes = CPU_BYTES;
	return done;
}

bool tune_side_open(struct tune_side *side, const struct tune_task *task, const char *recipe,
                    const char *tuning, size_t rows, struct tool_error *error)
{
	double us;
	size_t tokens = rows > 1 && task->tokens > TUNE_PROMPT ? TUNE_PROMPT : task->tokens;
	*side = (struct tune_side){.problem = {.recipe = recipe,
	                                       .tokens = tokens,
	                                       .head_dim = task->head_dim,
	                                       .q_heads = task->q_heads,
	                                       .kv_heads = task->kv_heads,
	                                       .batch = 1,
	                                       .rows = rows,
	                                       .hot = rows > 1}};
	if (open_machine(side, task, tuning, error) &&
	    bench_rig_open(&side->rig, &side->machine, &side->problem, true, error) &&
	    bench_rig_fill(&side->rig, tokens - rows, error) &&
	    bench_rig_round(&side->rig, &us, error) &&
	    clkv_cache_tuning(side->rig.cache, side->in_force, sizeof side->in_force, NULL) == CLKV_OK)
		return true;
	tune_side_close(side);
	return tool_fail(error, "can't ask for the tuning in force");
}

void tune_side_close(struct tune_side *side)
{
	bench_rig_close(&side->rig);
	bench_machine_close(&side->machine);
	memset(side, 0, sizeof *side);
}

bool tune_compare(struct tune_side *base, struct tune_side *b, double seconds, double *us,
                  double *ratio, struct tool_error *error)
{
	double times[MOST_ROUNDS], ratios[MOST_ROUNDS], of_base;
	size_t n = 0;
	const double begun = bench_seconds();
	for (; n < LEAST_ROUNDS || (n < MOST_ROUNDS && bench_seconds() - begun < seconds); n++) {
		if (!bench_rig_round(&base->rig, &of_base, error) ||
		    !bench_rig_round(&b->rig, &times[n], error))
			return false;
		ratios[n] = times[n] / of_base;
	}
	*us = bench_median(times, n);
	*ratio = bench_median(ratios, n);
	return true;
}
