/* SPDX-License-Identifier: MIT */
/**
 * \file    clkv-tune.c
 * \brief   Measures how attention is best shaped on a device, and keeps it for later runs.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "options.h"
#include "tune.h"
#include "usual.h"

static const char program[] = "clkv-tune";

static const char help[] =
	"usage: clkv-tune [--device D] [--recipe R]... [option]...\n"
	"\n"
	"Tries tunings of attention on this machine and keeps the best of each recipe and shape in "
	"the\n"
	"tuning file, where the library finds it. Without options: f16, kivi:bits=4 and kivi:bits=2 "
	"at\n"
	"head sizes and groups 64 and 3, 128 and 4, 128 and 1. That takes a minute or two once their\n"
	"kernels are built; the first time, the compiler's time comes on top.\n"
	"\n"
	"  --device D    gpu, cpu, P:D or a part of a name; clkv-info lists devices\n"
	"  --recipe R    a recipe (again for more); blocks of 32 to 128 tokens are compared too\n"
	"  --head-dim D  one shape instead of the three: default 64\n"
	"  --q-heads H   default 9\n"
	"  --kv-heads K  default 3\n";

static const char more_help[] =
	"  --tokens N    tokens of the sequence; default 4096\n"
	"  --time S      seconds of measuring for each recipe and shape; default 4\n"
	"  --cpu-time    count processor time / compute units, for CPUs of busy machines; it doesn't "
	"show\n"
	"                how even the load is, so groups and min_blocks stay as they are\n"
	"  --dry-run     store nothing\n"
	"  --json        a JSON line per measurement\n"
	"  --help        this text\n"
	"  --version     the version of the library\n";

enum { MOST_RECIPES = 16 };

struct options {
	struct tune_task task; /* all but recipe and shape, if one is given */
	const char *recipes[MOST_RECIPES];
	size_t n_recipes;
	bool one_shape;
};

static const struct option long_options[] = {
	{"device", required_argument, NULL, 'D'},
	{"recipe", required_argument, NULL, 'r'},
	{"head-dim", required_argument, NULL, 'd'},
	{"q-heads", required_argument, NULL, 'q'},
	{"kv-heads", required_argument, NULL, 'k'},
	{"tokens", required_argument, NULL, 'n'},
	{"time", required_argument, NULL, 't'},
	{"cpu-time", no_argument, NULL, 'c'},
	{"dry-run", no_argument, NULL, 'y'},
	{"json", no_argument, NULL, 'j'},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'v'},
	{NULL, 0, NULL, 0},
};

static bool add_recipe(struct options *o, const char *recipe, struct tool_error *error)
{
	char full[512];
	clkv_error cause;
	if (o->n_recipes == MOST_RECIPES)
		return tool_fail(error, "at most %d recipes at a time", MOST_RECIPES);
	if (clkv_recipe_print(recipe, full, sizeof full, &cause) != CLKV_OK)
		return tool_fail_clkv(error, recipe, &cause);
	o->recipes[o->n_recipes++] = recipe;
	return true;
}

static bool set_shape(struct options *o, int option, struct tool_error *error)
{
	struct tune_task *t = &o->task;
	o->one_shape = true;
	if (option == 'd')
		return option_size("--head-dim", optarg, 16, 256, &t->head_dim, error);
	if (option == 'q')
		return option_size("--q-heads", optarg, 1, 1024, &t->q_heads, error);
	return option_size("--kv-heads", optarg, 1, 1024, &t->kv_heads, error);
}

static bool set_option(struct options *o, int option, struct tool_error *error)
{
	float seconds;
	switch (option) {
	case 'D':
		o->task.device = optarg;
		return true;
	case 'r':
		return add_recipe(o, optarg, error);
	case 'd':
	case 'q':
	case 'k':
		return set_shape(o, option, error);
	case 'n':
		return option_size("--tokens", optarg, 256, (size_t)1 << 20, &o->task.tokens, error);
	case 't':
		if (!option_float("--time", optarg, 0.1f, 3600.0f, &seconds, error))
			return false;
		o->task.seconds = (double)seconds;
		return true;
	case 'c':
		o->task.cpu_time = true;
		return true;
	case 'y':
		o->task.dry_run = true;
		return true;
	case 'j':
		o->task.json = true;
		return true;
	default:
		return tool_fail(error, "try clkv-tune --help");
	}
}

static int read_options(int argc, char **argv, struct options *o, struct tool_error *error)
{
	int option;
	*o = (struct options){
		.task = {.head_dim = 64, .q_heads = 9, .kv_heads = 3, .tokens = 4096, .seconds = 4.0}};
	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		if (option == 'h' || option == 'v')
			return option;
		if (!set_option(o, option, error))
			return TOOL_USAGE;
	}
	if (optind < argc) {
		tool_set_error(error, "'%s' belongs to no option; try clkv-tune --help", argv[optind]);
		return TOOL_USAGE;
	}
	o->task.blocks = o->n_recipes > 0;
	for (size_t i = 0; !o->task.blocks && i < USUAL_RECIPES; i++)
		o->recipes[o->n_recipes++] = usual_recipes[i];
	return option_check_heads(o->task.head_dim, o->task.q_heads, o->task.kv_heads, error)
	           ? TOOL_DONE
	           : TOOL_USAGE;
}

static bool tune_recipes(const struct options *o, struct tune_task *task, struct tool_error *error)
{
	for (size_t i = 0; i < o->n_recipes; i++) {
		task->recipe = o->recipes[i];
		if (!tune_search(task, error))
			return false;
	}
	return true;
}

static bool run(const struct options *o, struct tool_error *error)
{
	struct tune_task task = o->task;
	/* A tuning of the caller's would stand in the way of all that is tried. */
	(void)unsetenv("CLKV_TUNE");
	if (o->one_shape)
		return tune_recipes(o, &task, error);
	for (size_t i = 0; i < USUAL_SHAPES; i++) {
		task.head_dim = usual_shapes[i].head_dim;
		task.q_heads = usual_shapes[i].q_heads;
		task.kv_heads = usual_shapes[i].kv_heads;
		if (!tune_recipes(o, &task, error))
			return false;
	}
	return true;
}

int main(int argc, char **argv)
{
	struct options options;
	struct tool_error error = {""};
	int status = read_options(argc, argv, &options, &error);
	if (status == 'h')
		return printf("%s%s", help, more_help) < 0 ? TOOL_FAILED
		                                           : tool_close_output(program, TOOL_DONE);
	if (status == 'v') {
		(void)printf("%s %s\n", program, clkv_version());
		return tool_close_output(program, TOOL_DONE);
	}
	if (status == TOOL_DONE && !run(&options, &error))
		status = TOOL_FAILED;
	if (status != TOOL_DONE)
		tool_complain(program, &error);
	return tool_close_output(program, status);
}
