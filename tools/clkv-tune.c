/* SPDX-License-Identifier: MIT */
/**
 * \file    clkv-tune.c
 * \brief   Measures how attention is best shaped on a device, and keeps it for later runs.
 */
#include <stdlib.h>

#include "options.h"
#include "tool_main.h"
#include "tune.h"
#include "usual.h"

enum { MOST_RECIPES = 16 };

static struct {
	struct tune_task task; /* all but recipe and shape, if one is given */
	const char *recipes[MOST_RECIPES];
	size_t n_recipes;
	size_t head_dim, q_heads, kv_heads; /* 0: not given */
	float seconds;
} o = {.task = {.head_dim = 64, .q_heads = 9, .kv_heads = 3, .tokens = 4096}, .seconds = 4.0f};

static bool add_recipe(const char *recipe, struct tool_error *error)
{
	char full[512];
	clkv_error cause;
	if (o.n_recipes == MOST_RECIPES)
		return tool_fail(error, "at most %d recipes at a time", MOST_RECIPES);
	if (clkv_recipe_print(recipe, full, sizeof full, &cause) != CLKV_OK)
		return tool_fail_clkv(error, recipe, &cause);
	o.recipes[o.n_recipes++] = recipe;
	return true;
}

static const struct tool_option options[] = {
	OPTION_DEVICE(o.task.device),
	{"recipe", "R", "a recipe (again for more); blocks of 32 to 128 tokens are compared too",
     .set = add_recipe},
	{"head-dim", "D", "one shape instead of the three: default 64", .size = {&o.head_dim, 16, 256}},
	{"q-heads", "H", "default 9", .size = {&o.q_heads, 1, 1024}},
	{"kv-heads", "K", "default 3", .size = {&o.kv_heads, 1, 1024}},
	{"tokens", "N", "tokens of the sequence; default 4096",
     .size = {&o.task.tokens, 256, (size_t)1 << 20}},
	{"time", "S", "seconds of measuring for each recipe and shape; default 4",
     .number = {&o.seconds, 0.1f, 3600.0f}},
	{"cpu-time", NULL,
     "count processor time / compute units, for CPUs of busy machines; it doesn't show\n"
     "how even the load is, so groups and min_blocks stay as they are",
     .flag = &o.task.cpu_time},
	{"dry-run", NULL, "store nothing", .flag = &o.task.dry_run},
	{"json", NULL, "a JSON line per measurement", .flag = &o.task.json},
};

static void take_given(size_t given, size_t *at)
{
	if (given > 0)
		*at = given;
}

static bool check(struct tool_error *error)
{
	struct tune_task *task = &o.task;
	task->seconds = (double)o.seconds;
	task->blocks = o.n_recipes > 0;
	for (size_t i = 0; !task->blocks && i < USUAL_RECIPES; i++)
		o.recipes[o.n_recipes++] = usual_recipes[i];
	take_given(o.head_dim, &task->head_dim);
	take_given(o.q_heads, &task->q_heads);
	take_given(o.kv_heads, &task->kv_heads);
	return option_check_heads(task->head_dim, task->q_heads, task->kv_heads, error);
}

static bool tune_recipes(struct tune_task *task, struct tool_error *error)
{
	for (size_t i = 0; i < o.n_recipes; i++) {
		task->recipe = o.recipes[i];
		if (!tune_search(task, error))
			return false;
	}
	return true;
}

static bool run(struct tool_error *error)
{
	struct tune_task task = o.task;
	/* A tuning of the caller's would stand in the way of all that is tried. */
	(void)unsetenv("CLKV_TUNE");
	if (o.head_dim > 0 || o.q_heads > 0 || o.kv_heads > 0)
		return tune_recipes(&task, error);
	for (size_t i = 0; i < USUAL_SHAPES; i++) {
		task.head_dim = usual_shapes[i].head_dim;
		task.q_heads = usual_shapes[i].q_heads;
		task.kv_heads = usual_shapes[i].kv_heads;
		if (!tune_recipes(&task, error))
			return false;
	}
	return true;
}

int main(int argc, char **argv)
{
	const struct tool tool = {
		.name = "clkv-tune",
		.usage =
			"usage: clkv-tune [--device D] [--recipe R]... [option]...\n"
			"\n"
			"Tries tunings of attention on this machine and keeps the best of each recipe and "
			"shape "
			"in the\n"
			"tuning file, where the library finds it. Without options: f16, kivi:bits=4 and "
			"kivi:bits=2 at\n"
			"head sizes and groups 64 and 3, 128 and 4, 128 and 1. That takes a minute or two once "
			"their\n"
			"kernels are built; the first time, the compiler's time comes on top.\n"
			"\n",
		.options = options,
		.n_options = sizeof options / sizeof options[0],
		.check = check,
		.run = run,
	};
	return tool_main(&tool, argc, argv);
}
