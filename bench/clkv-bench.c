/* SPDX-License-Identifier: MIT */
/**
 * \file    clkv-bench.c
 * \brief   Times one operation of the library on random data, beside the limits of the machine.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "options.h"
#include "peer.h"

static const char program[] = "clkv-bench";

static const char help[] =
	"usage: clkv-bench attend|append|prefill|codec|recall|select [--recipe R]... [--tokens N]... "
	"[option]...\n"
	"\n"
	"  attend   one new row per sequence attends over N tokens\n"
	"  prefill  the last M of N tokens, a chunk of a prompt, attend\n"
	"  append   M rows at a time come into the cache up to N, sealing included\n"
	"  codec    sealing alone\n"
	"  recall   as attend, with a recipe that recalls, in turns with f16\n"
	"  select   as recall, with a recipe that selects tokens; then what commits take\n"
	"\n"
	"  --recipe R    a recipe (again for more); default f16 (recall: clusterkv, select: h2o)\n"
	"  --tokens N    tokens of a sequence (N,N,... or again for more); default 8192\n"
	"  --head-dim D  default 64\n";

static const char more_help[] =
	"  --q-heads H   default 9\n"
	"  --kv-heads K  default 3\n"
	"  --batch B     sequences; default 1\n"
	"  --rows M      new rows per sequence and call; default 1 for attend, else 512\n"
	"  --device D    gpu, cpu, P:D or a part of a name; clkv-info lists devices\n"
	"  --hot         one layer only: its bytes may stay in the caches\n"
	"  --cpu-time    count processor time / compute units, for CPUs of busy machines\n"
	"  --ggml DIR    libraries of ggml: adds recipes ggml:f16, q8_0, q4_0 to attend and prefill\n"
	"  --agree C     correlation of the queries of a KV head in recall, percent; default 90\n"
	"  --json        a JSON line per problem\n"
	"  --help        this text\n"
	"\n"
	"Times are of one layer; without --hot there are enough layers to overflow the caches.\n";

static const struct bench_operation operations[] = {
	{"attend", 1, bench_attend}, {"prefill", 512, bench_attend}, {"append", 512, bench_append},
	{"codec", 512, bench_codec}, {"recall", 1, bench_recall},    {"select", 1, bench_select},
};

struct options {
	struct bench_problem problem; /* all but recipe and tokens */
	const char *recipes[BENCH_MOST_LIST];
	size_t tokens[BENCH_MOST_LIST];
	size_t n_recipes, n_tokens;
	const char *device, *ggml_dir;
	bool json, cpu_time;
};

static const struct option long_options[] = {
	{"recipe", required_argument, NULL, 'r'},
	{"tokens", required_argument, NULL, 'n'},
	{"head-dim", required_argument, NULL, 'd'},
	{"q-heads", required_argument, NULL, 'q'},
	{"kv-heads", required_argument, NULL, 'k'},
	{"batch", required_argument, NULL, 'b'},
	{"rows", required_argument, NULL, 'm'},
	{"device", required_argument, NULL, 'D'},
	{"hot", no_argument, NULL, 'H'},
	{"cpu-time", no_argument, NULL, 'c'},
	{"ggml", required_argument, NULL, 'g'},
	{"agree", required_argument, NULL, 'a'},
	{"json", no_argument, NULL, 'j'},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

static bool add_tokens(struct options *o, const char *list, struct tool_error *error)
{
	while (*list != '\0') {
		char number[24];
		size_t n = strcspn(list, ",");
		if (o->n_tokens == BENCH_MOST_LIST)
			return tool_fail(error, "at most %d lengths at a time", BENCH_MOST_LIST);
		(void)snprintf(number, sizeof number, "%.*s", (int)(n < 23 ? n : 23), list);
		if (!option_size("--tokens", number, 1, (size_t)1 << 24, &o->tokens[o->n_tokens++], error))
			return false;
		list += n + (list[n] == ',');
	}
	return true;
}

static bool add_recipe(struct options *o, const char *recipe, struct tool_error *error)
{
	char full[512];
	clkv_error cause;
	if (o->n_recipes == BENCH_MOST_LIST)
		return tool_fail(error, "at most %d recipes at a time", BENCH_MOST_LIST);
	if (peer_is_recipe(recipe)) {
		if (!peer_check_recipe(recipe, error))
			return false;
	} else if (clkv_recipe_print(recipe, full, sizeof full, &cause) != CLKV_OK) {
		return tool_fail_clkv(error, recipe, &cause);
	}
	o->recipes[o->n_recipes++] = recipe;
	return true;
}

static bool set_option(struct options *o, int option, struct tool_error *error)
{
	struct bench_problem *p = &o->problem;
	size_t percent;
	switch (option) {
	case 'r':
		return add_recipe(o, optarg, error);
	case 'n':
		return add_tokens(o, optarg, error);
	case 'd':
		return option_size("--head-dim", optarg, 16, 256, &p->head_dim, error);
	case 'q':
		return option_size("--q-heads", optarg, 1, 1024, &p->q_heads, error);
	case 'k':
		return option_size("--kv-heads", optarg, 1, 1024, &p->kv_heads, error);
	case 'b':
		return option_size("--batch", optarg, 1, 1024, &p->batch, error);
	case 'm':
		return option_size("--rows", optarg, 1, 8192, &p->rows, error);
	case 'D':
		o->device = optarg;
		return true;
	case 'H':
		p->hot = true;
		return true;
	case 'a':
		if (!option_size("--agree", optarg, 0, 100, &percent, error))
			return false;
		p->agree = (float)percent / 100.0f;
		return true;
	case 'g':
		o->ggml_dir = optarg;
		return true;
	case 'c':
		o->cpu_time = true;
		return true;
	case 'j':
		o->json = true;
		return true;
	default:
		return tool_fail(error, "try clkv-bench --help");
	}
}

static bool set_operation(struct options *o, int argc, char **argv, struct tool_error *error)
{
	const char *name = optind < argc ? argv[optind] : "";
	for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++)
		if (strcmp(name, operations[i].name) == 0)
			o->problem.operation = &operations[i];
	if (o->problem.operation == NULL)
		return tool_fail(
			error, "the operation is attend, prefill, append, codec, recall or select, not '%s'",
			name);
	if (optind + 1 < argc)
		return tool_fail(error, "'%s' belongs to no option; try clkv-bench --help",
		                 argv[optind + 1]);
	return true;
}

/* What the ranges of single options don't say. */
static bool check_together(struct options *o, struct tool_error *error)
{
	struct bench_problem *p = &o->problem;
	if (p->rows == 0)
		p->rows = p->operation->rows;
	for (size_t i = 0; i < o->n_recipes; i++)
		if (peer_is_recipe(o->recipes[i]) && p->operation->run != bench_attend)
			return tool_fail(error, "'%s' is for attend and prefill only", o->recipes[i]);
	for (size_t i = 0; i < o->n_tokens; i++)
		if (o->tokens[i] < p->rows)
			return tool_fail(error, "--tokens %zu is less than the rows of a call, %zu: see --rows",
			                 o->tokens[i], p->rows);
	return option_check_heads(p->head_dim, p->q_heads, p->kv_heads, error);
}

static int read_options(int argc, char **argv, struct options *o, struct tool_error *error)
{
	int option;
	*o = (struct options){
		.problem = {.head_dim = 64, .q_heads = 9, .kv_heads = 3, .batch = 1, .agree = 0.9f}};
	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		if (option == 'h')
			return option;
		if (!set_option(o, option, error))
			return TOOL_USAGE;
	}
	if (o->n_tokens == 0)
		o->tokens[o->n_tokens++] = 8192;
	if (!set_operation(o, argc, argv, error))
		return TOOL_USAGE;
	if (o->n_recipes == 0)
		o->recipes[o->n_recipes++] = o->problem.operation->run == bench_recall   ? "clusterkv"
		                             : o->problem.operation->run == bench_select ? "h2o:budget=0.05"
		                                                                         : "f16";
	return check_together(o, error) ? TOOL_DONE : TOOL_USAGE;
}

static bool run_one(const struct options *o, struct bench_machine *machine, size_t tokens,
                    const char *recipe, struct tool_error *error)
{
	struct bench_problem problem = o->problem;
	struct bench_result *result = calloc(1, sizeof *result);
	if (result == NULL)
		return tool_fail(error, "out of memory");
	problem.tokens = tokens;
	problem.recipe = recipe;
	bool done = (peer_is_recipe(recipe) ? bench_peer : problem.operation->run)(machine, &problem,
	                                                                           result, error) &&
	            bench_limits(machine, error);
	if (done)
		bench_report(machine, &problem, result, o->json);
	free(result);
	return done;
}

static bool run(const struct options *o, struct tool_error *error)
{
	struct bench_machine machine;
	bool done = bench_machine_open(&machine, o->device, o->cpu_time, error) &&
	            bench_limits(&machine, error);
	machine.ggml_dir = o->ggml_dir;
	if (done)
		bench_report_head(&machine, o->json);
	for (size_t i = 0; done && i < o->n_tokens; i++)
		for (size_t j = 0; done && j < o->n_recipes; j++)
			done = run_one(o, &machine, o->tokens[i], o->recipes[j], error);
	bench_machine_close(&machine);
	return done;
}

int main(int argc, char **argv)
{
	struct options options;
	struct tool_error error = {""};
	int status = read_options(argc, argv, &options, &error);
	if (status == 'h')
		return printf("%s%s", help, more_help) < 0 ? TOOL_FAILED
		                                           : tool_close_output(program, TOOL_DONE);
	if (status == TOOL_DONE && !run(&options, &error))
		status = TOOL_FAILED;
	if (status != TOOL_DONE)
		tool_complain(program, &error);
	return tool_close_output(program, status);
}
