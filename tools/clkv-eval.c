/* SPDX-License-Identifier: MIT */
/**
 * \file    clkv-eval.c
 * \brief   Measures what recipes do to a real model: bytes, perplexity, retrieval, speed.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "eval_own.h"
#include "options.h"
#include "text_tokens.h"
#include "tool_main.h"

enum { MOST_TOKENS = 1 << 24 };

static const char tool_name[] = "clkv-eval";
static struct eval_options o = {
	.tokens = 512, .windows = 1, .rows = 1, .facts = 4, .cases = 4, .seed = 1};

static bool set_task(const char *text, struct tool_error *error)
{
	return task_find(text, &o.task) ||
	       tool_fail(error, "--task takes perplexity, needle, keys, turns or tracking, not '%s'",
	                 text);
}

static bool add_context(const char *text, struct tool_error *error)
{
	if (o.n_contexts == EVAL_MOST_CONTEXTS)
		return tool_fail(error, "at most %d contexts at a time", EVAL_MOST_CONTEXTS);
	return option_size("--context", text, 1, MOST_TOKENS, &o.contexts[o.n_contexts++], error);
}

static bool add_recipe(const char *recipe, struct tool_error *error)
{
	if (o.n_recipes == EVAL_MOST_RECIPES)
		return tool_fail(error, "at most %d recipes at a time", EVAL_MOST_RECIPES);
	o.recipes[o.n_recipes++] = recipe;
	return true;
}

static bool add_text(const char *text, struct tool_error *error)
{
	if (o.n_texts == EVAL_MOST_TEXTS)
		return tool_fail(error, "at most %d texts at a time", EVAL_MOST_TEXTS);
	o.texts[o.n_texts++] = text;
	return true;
}

static bool set_prompt(const char *text, struct tool_error *error)
{
	static const char *const names[] = {"exact", "chunked", "growing"};
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		if (strcmp(text, names[i]) == 0) {
			o.prompt = (enum eval_prompt)i;
			return true;
		}
	}
	return tool_fail(error, "--prompt takes exact, chunked or growing, not '%s'", text);
}

static bool set_chunked(const char *text, struct tool_error *error)
{
	(void)text;
	return set_prompt("chunked", error);
}

static const struct tool_option options[] = {
	{"model", "FILE", "GGUF file (Llama architecture)", .text = &o.model},
	{"text", "FILE", "UTF-8 text (again for more); - reads standard input", .set = add_text},
	{"context", "N",
     "tokens of the prompt, whose cache is compressed (of a retrieval task again for more)",
     .set = add_context},
	{"recipe", "R",
     "a recipe (again for more); default f16. clkv-info --recipes lists stages.\n"
     "\"R @ FILE\" brings a file of clkv-train of its own",
     .set = add_recipe},
	{"tokens", "M", "tokens scored behind the prompt; default 512",
     .size = {&o.tokens, 1, MOST_TOKENS}},
	{"generated", "G",
     "tokens behind the prompt that are fed as generated ones, not scored; default 0",
     .size = {&o.generated, 0, MOST_TOKENS}},
	{"windows", "W", "windows of each text; default 1", .size = {&o.windows, 1, 1 << 16}},
	{"stride", "S",
     "tokens from the begin of a window to that of the next; default: they follow each other",
     .size = {&o.stride, 1, MOST_TOKENS}},
	{"rows", "R", "scored tokens that are fed in one pass; default 1", .size = {&o.rows, 1, 32}},
	{"greedy", "L", "generate up to L tokens freely behind each window: how many are as under f16",
     .size = {&o.greedy, 0, MOST_TOKENS}},
	{"resume", "FILE", "keep scores there as they are done, and go on with those that it has",
     .text = &o.resume},
	{"offset", "K", "begin at token K of the text; default 0", .size = {&o.offset, 0, MOST_TOKENS}},
	{"task", "T",
     "perplexity (default), or one that hides keys in the text and asks for them:\n"
     "needle, keys (of several people), turns (for each of them), tracking (from box to box)",
     .set = set_task},
	{"facts", "K", "keys or boxes hidden in a prompt; default 4",
     .size = {&o.facts, 2, TASK_MOST_FACTS}},
	{"cases", "C", "prompts of each context; default 4", .size = {&o.cases, 1, 1 << 12}},
	{"seed", "S", "what is hidden, and where, is drawn from it; default 1",
     .size = {&o.seed, 0, 1 << 30}},
	{"attention", NULL, "compare attention alone: every layer gets the exact run's k, v and q",
     .flag = &o.attention},
	{"prompt", "P",
     "exact (default): computed in half, then sealed; chunked: computed and sealed\n"
     "chunk by chunk under each recipe; growing: fed as generated text",
     .set = set_prompt},
	{"chunked", NULL, "--prompt chunked", .set = set_chunked},
	{"json", NULL, "a JSON line per recipe", .flag = &o.json},
	{"plot", "FILE", "draw quality against bytes per token, PNG or FILE.svg (needs gnuplot)",
     .text = &o.plot},
	{"html", "FILE", "write one page with table and plot (needs gnuplot)", .text = &o.html},
	OPTION_GIVEN(o.given),
	OPTION_DEVICE(o.device),
	OPTION_PRODUCTS(o.products),
};

/* What scores a text's own tokens says nothing of questions, and attention looks at one window. */
static bool check_task(struct tool_error *error)
{
	const bool retrieves = eval_retrieves(&o);
	if (!o.attention && !retrieves)
		return o.n_contexts == 1 || tool_fail(error, "several --context go with a retrieval task");
	if (o.attention && retrieves)
		return tool_fail(error, "--attention goes with neither --chunked nor a retrieval task");
	if (o.generated > 0 || o.windows > 1 || o.greedy > 0)
		return tool_fail(error, "--generated, --windows and --greedy go with neither --attention "
		                        "nor a retrieval task");
	if (o.attention && o.prompt != EVAL_PROMPT_EXACT)
		return tool_fail(error, "--attention goes with the exact prompt alone");
	return retrieves || (o.n_texts == 1 && o.n_contexts == 1 && o.resume == NULL) ||
	       tool_fail(error, "--attention takes one text, one context and no --resume");
}

static bool check(struct tool_error *error)
{
	if (o.n_recipes == 0)
		o.recipes[o.n_recipes++] = "f16";
	if (o.model == NULL || o.n_texts == 0 || o.n_contexts == 0)
		return tool_fail(error, "--model, --text and --context are needed; try clkv-eval --help");
	if (o.stride == 0)
		o.stride = o.contexts[0] + o.generated + o.tokens;
	return check_task(error);
}

static size_t longest_context(void)
{
	size_t most = 0;
	for (size_t i = 0; i < o.n_contexts; i++)
		most = o.contexts[i] > most ? o.contexts[i] : most;
	return most;
}

/* Tokens that a text must have. */
static size_t wanted_tokens(void)
{
	/* questions come from elsewhere; attention scores nothing behind the last */
	size_t window = eval_retrieves(&o) ? longest_context() : eval_window_tokens(&o);
	return o.offset + (o.windows - 1) * o.stride + window;
}

static bool read_text(struct eval *eval, size_t i, struct tool_error *error)
{
	size_t n;
	struct eval_text *t = &eval->texts[i];
	if (!text_tokens_read(eval->session.tokenizer, o.texts[i], &t->all, &n, error))
		return false;
	if (n < wanted_tokens())
		return tool_fail(error,
		                 "'%s' has %zu tokens, but %zu are needed (offset %zu, %zu windows, "
		                 "context %zu%s): take a longer text, fewer windows or a shorter context",
		                 o.texts[i], n, wanted_tokens(), o.offset, o.windows, longest_context(),
		                 eval_retrieves(&o) ? "" : ", tokens and one more");
	t->ids = t->all + o.offset;
	t->n_ids = n - o.offset;
	return true;
}

static bool read_texts(struct eval *eval, struct tool_error *error)
{
	for (size_t i = 0; i < o.n_texts; i++)
		if (!read_text(eval, i, error))
			return false;
	eval->ids = eval->texts[0].ids;
	return true;
}

static bool draw(const struct eval *eval, const struct eval_result *results,
                 struct tool_error *error)
{
	return (o.plot == NULL || eval_plot(&o, results, o.plot, error)) &&
	       (o.html == NULL || eval_html(eval, results, o.html, error));
}

static bool run(struct tool_error *error)
{
	struct eval eval = {.options = &o};
	static struct eval_own own;
	struct engine_options engine_options = {.products = o.products};
	if ((o.plot != NULL || o.html != NULL) && !eval_plot_ready(error))
		return false;
	struct eval_result *results = calloc(o.n_recipes * eval_parts(&o), sizeof *results);
	if (results == NULL)
		return tool_fail(error, "out of memory");
	bool done = session_open(&eval.session, o.model, o.device, &engine_options, error);
	if (done && longest_context() > (size_t)eval.session.model->context)
		(void)fprintf(stderr, "%s: note: the model was trained for %d tokens\n", tool_name,
		              eval.session.model->context);
	done = done && given_files_read(&o.given, &eval.session.given, error) &&
	       eval_own_open(&own, &o, error) && read_texts(&eval, error) &&
	       (eval_retrieves(&o) ? eval_retrieve
	        : o.attention      ? eval_attention
	                           : eval_judge)(&eval, results, error);
	if (done)
		eval_print(&eval, results);
	done = done && draw(&eval, results, error);
	session_close(&eval.session);
	eval_own_close(&own);
	for (size_t i = 0; i < o.n_texts; i++)
		free(eval.texts[i].all);
	for (size_t i = 0; i < o.n_recipes * eval_parts(&o); i++)
		free(results[i].against);
	free(results);
	return done;
}

int main(int argc, char **argv)
{
	const struct tool tool = {
		.name = tool_name,
		.usage =
			"usage: clkv-eval --model M.gguf --text T.txt... --context N [--recipe R]...\n"
			"\n"
			"Runs a model on a text with its KV cache compressed by each recipe, and compares with "
			"f16.\n"
			"\n",
		.options = options,
		.n_options = sizeof options / sizeof options[0],
		.check = check,
		.run = run,
	};
	o.argv = (const char *const *)argv;
	(void)signal(SIGPIPE,
	             SIG_IGN); /* a gnuplot that isn't there is an error message, not a death */
	return tool_main(&tool, argc, argv);
}
