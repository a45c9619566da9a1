/* SPDX-License-Identifier: MIT */
/**
 * \file    bench_recall.c
 * \brief   Times attention of one row per sequence over recalled tokens, beside f16 in turns with it.
 */
#include <stdlib.h>
#include <string.h>

#include "rig.h"

/* Tokens that a query head chooses, as the recipe in full says; 0: it recalls none. */
static size_t recalled(const char *recipe)
{
	char full[1024];
	clkv_error cause;
	if (clkv_recipe_print(recipe, full, sizeof full, &cause) != CLKV_OK)
		return 0;
	const char *key = strstr(full, "recall=");
	return key == NULL ? 0 : (size_t)strtoul(key + strlen("recall="), NULL, 10);
}

/* At least the index and the choice of one head of each group; which others are read too, only the device knows. */
static void count_work(const struct bench_rig *rig, struct bench_work *work)
{
	const struct bench_problem *p = rig->problem;
	const double batch = (double)p->batch, tokens = (double)p->tokens;
	const double attended = (double)(p->recall < p->tokens ? p->recall : p->tokens);
	work->tokens = tokens;
	work->f16_bytes = tokens * batch * bench_f16_bytes(p);
	work->compressed_bytes = bench_rig_index_bytes(rig) + attended * batch * bench_f16_bytes(p);
	work->moved_bytes = work->compressed_bytes;
	work->multiply_adds = 2.0 * (double)(p->head_dim * p->q_heads) * batch * attended;
}

/* Rounds of the two in turns, so that whatever else the machine does meets both. */
static bool measure(struct bench_rig *rig, struct bench_rig *exact, struct bench_result *result,
                    struct tool_error *error)
{
	double f16[BENCH_MOST_SAMPLES], us;
	if (!bench_rig_round(rig, &us, error) || !bench_rig_round(exact, &us, error))
		return false;
	for (double started = bench_seconds(); bench_wants_more(result, started); result->n++)
		if (!bench_rig_round(rig, &result->us[result->n], error) ||
		    !bench_rig_round(exact, &f16[result->n], error))
			return false;
	result->f16_us = bench_median(f16, result->n);
	result->f16_fastest_us = f16[0];
	return true;
}

static bool run(struct bench_rig *rig, struct bench_rig *exact, struct bench_result *result,
                struct tool_error *error)
{
	const struct bench_problem *p = rig->problem;
	const size_t tokens = p->tokens - p->rows;
	if (!bench_rig_fill(rig, tokens, error) || !bench_rig_fill(exact, tokens, error))
		return false;
	result->index_ns =
		rig->seal_us * 1e3 / ((double)(tokens * p->batch * p->kv_heads) * (double)rig->layers);
	count_work(rig, &result->work);
	return measure(rig, exact, result, error);
}

bool bench_recall(const struct bench_machine *machine, const struct bench_problem *problem,
                  struct bench_result *result, struct tool_error *error)
{
	struct bench_rig rig = {0}, exact = {0};
	struct bench_problem recall = *problem, f16 = *problem;
	recall.recall = recalled(problem->recipe);
	f16.recipe = "f16";
	if (recall.recall == 0)
		return tool_fail(error,
		                 "'%s' recalls no tokens: recall is for clusterkv, a2ats, pages, topk",
		                 problem->recipe);
	bool done = bench_rig_open(&rig, machine, &recall, true, error) &&
	            bench_rig_open(&exact, machine, &f16, true, error) &&
	            run(&rig, &exact, result, error);
	bench_rig_close(&rig);
	bench_rig_close(&exact);
	return done;
}
