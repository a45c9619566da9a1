/* SPDX-License-Identifier: MIT */
/**
 * \file    clkv-bench.c
 * \brief   Times one operation of the library on random data, beside the limits of the machine.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "options.h"
#include "peer.h"
#include "tool_main.h"

static const struct bench_operation operations[] = {
	{"attend", 1, bench_attend}, {"prefill", 512, bench_attend}, {"append", 512, bench_append},
	{"codec", 512, bench_codec}, {"recall", 1, bench_recall},    {"select", 1, bench_select},
};

static struct {
	struct bench_problem problem; /* all but recipe and tokens */
	const char *recipes[BENCH_MOST_LIST];
	size_t tokens[BENCH_MOST_LIST];
	size_t n_recipes, n_tokens, agree;
	const char *operation, *device, *ggml_dir;
	bool json, cpu_time;
} o = {.problem = {.head_dim = 64, .q_heads = 9, .kv_heads = 3, .batch = 1},
       .agree = 90,
       .operation = ""};

static bool add_tokens(const char *list, struct tool_error *error)
{
	while (*list != '\0') {
		char number[24];
		size_t n = strcspn(list, ",");
		if (o.n_tokens == BENCH_MOST_LIST)
			return tool_fail(error, "at most %d lengths at a time", BENCH_MOST_LIST);
		(void)snprintf(number, sizeof number, "%.*s", (int)(n < 23 ? n : 23), list);
		if (!option_size("--tokens", number, 1, (size_t)1 << 24, &o.tokens[o.n_tokens++], error))
			return false;
		list += n + (list[n] == ',');
	}
	return true;
}

static bool add_recipe(const char *recipe, struct tool_error *error)
{
	char full[512];
	clkv_error cause;
	if (o.n_recipes == BENCH_MOST_LIST)
		return tool_fail(error, "at most %d recipes at a time", BENCH_MOST_LIST);
	if (peer_is_recipe(recipe)) {
		if (!peer_check_recipe(recipe, error))
			return false;
	} else if (clkv_recipe_print(recipe, full, sizeof full, &cause) != CLKV_OK) {
		return tool_fail_clkv(error, recipe, &cause);
	}
	o.recipes[o.n_recipes++] = recipe;
	return true;
}

static const struct tool_option options[] = {
	{"recipe", "R", "a recipe (again for more); default f16 (recall: clusterkv, select: h2o)",
     .set = add_recipe},
	{"tokens", "N", "tokens of a sequence (N,N,... or again for more); default 8192",
     .set = add_tokens},
	{"head-dim", "D", "default 64", .size = {&o.problem.head_dim, 16, 256}},
	{"q-heads", "H", "default 9", .size = {&o.problem.q_heads, 1, 1024}},
	{"kv-heads", "K", "default 3", .size = {&o.problem.kv_heads, 1, 1024}},
	{"batch", "B", "sequences; default 1", .size = {&o.problem.batch, 1, 1024}},
	{"rows", "M", "new rows per sequence and call; default 1 for attend, else 512",
     .size = {&o.problem.rows, 1, 8192}},
	OPTION_DEVICE(o.device),
	{"hot", NULL, "one layer only: its bytes may stay in the caches", .flag = &o.problem.hot},
	{"before-rope", NULL, "qtc codes keys as they were in front of RoPE",
     .flag = &o.problem.before_rope},
	{"cpu-time", NULL, "count processor time / compute units, for CPUs of busy machines",
     .flag = &o.cpu_time},
	{"ggml", "DIR", "libraries of ggml: adds recipes ggml:f16, q8_0, q4_0 to attend and prefill",
     .text = &o.ggml_dir},
	{"agree", "C", "correlation of the queries of a KV head in recall, percent; default 90",
     .size = {&o.agree, 0, 100}},
	{"json", NULL, "a JSON line per problem", .flag = &o.json},
};

static bool set_operation(struct tool_error *error)
{
	for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++)
		if (strcmp(o.operation, operations[i].name) == 0)
			o.problem.operation = &operations[i];
	return o.problem.operation != NULL ||
	       tool_fail(error,
	                 "the operation is attend, prefill, append, codec, recall or select, not '%s'",
	                 o.operation);
}

static void set_defaults(void)
{
	struct bench_problem *p = &o.problem;
	p->agree = (float)o.agree / 100.0f;
	if (p->rows == 0)
		p->rows = p->operation->rows;
	if (o.n_tokens == 0)
		o.tokens[o.n_tokens++] = 8192;
	if (o.n_recipes == 0)
		o.recipes[o.n_recipes++] = p->operation->run == bench_recall   ? "clusterkv"
		                           : p->operation->run == bench_select ? "h2o:budget=0.05"
		                                                               : "f16";
}

/* What the ranges of single options don't say. */
static bool check(struct tool_error *error)
{
	const struct bench_problem *p = &o.problem;
	if (!set_operation(error))
		return false;
	set_defaults();
	for (size_t i = 0; i < o.n_recipes; i++)
		if (peer_is_recipe(o.recipes[i]) && p->operation->run != bench_attend)
			return tool_fail(error, "'%s' is for attend and prefill only", o.recipes[i]);
	for (size_t i = 0; i < o.n_tokens; i++)
		if (o.tokens[i] < p->rows)
			return tool_fail(error, "--tokens %zu is less than the rows of a call, %zu: see --rows",
			                 o.tokens[i], p->rows);
	return option_check_heads(p->head_dim, p->q_heads, p->kv_heads, error);
}

static bool run_one(struct bench_machine *machine, size_t tokens, const char *recipe,
                    struct tool_error *error)
{
	struct bench_problem problem = o.problem;
	struct bench_result *result = calloc(1, sizeof *result);
	if (result == NULL)
		return tool_fail(error, "out of memory");
	problem.tokens = tokens;
	problem.recipe = recipe;
	bool done = (peer_is_recipe(recipe) ? bench_peer : problem.operation->run)(machine, &problem,
	                                                                           result, error) &&
	            bench_limits(machine, error);
	if (done)
		bench_report(machine, &problem, result, o.json);
	free(result);
	return done;
}

static bool run(struct tool_error *error)
{
	struct bench_machine machine;
	bool done =
		bench_machine_open(&machine, o.device, o.cpu_time, error) && bench_limits(&machine, error);
	machine.ggml_dir = o.ggml_dir;
	if (done)
		bench_report_head(&machine, o.json);
	for (size_t i = 0; done && i < o.n_tokens; i++)
		for (size_t j = 0; done && j < o.n_recipes; j++)
			done = run_one(&machine, o.tokens[i], o.recipes[j], error);
	bench_machine_close(&machine);
	return done;
}

int main(int argc, char **argv)
{
	const struct tool tool = {
		.name = "clkv-bench",
		.usage =
			"usage: clkv-bench attend|append|prefill|codec|recall|select [--recipe R]... [--tokens "
			"N]... [option]...\n"
			"\n"
			"  attend   one new row per sequence attends over N tokens\n"
			"  prefill  the last M of N tokens, a chunk of a prompt, attend\n"
			"  append   M rows at a time come into the cache up to N, sealing included\n"
			"  codec    sealing alone\n"
			"  recall   as attend, with a recipe that recalls, in turns with f16\n"
			"  select   as recall, with a recipe that selects tokens; then what commits take\n"
			"\n",
		.after = "\nTimes are of one layer; without --hot there are enough layers to overflow the "
				 "caches.\n",
		.options = options,
		.n_options = sizeof options / sizeof options[0],
		.operand = &o.operation,
		.check = check,
		.run = run,
	};
	return tool_main(&tool, argc, argv);
}
