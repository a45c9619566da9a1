/* SPDX-License-Identifier: MIT */
/**
 * \file    clkv-eval.c
 * \brief   Measures what recipes do to a real model: bytes, perplexity, needles, speed.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "eval.h"
#include "options.h"
#include "text_file.h"
#include "tool_main.h"

enum { MOST_TOKENS = 1 << 24 };

static const char tool_name[] = "clkv-eval";
static struct eval_options o = {.tokens = 512};

static bool set_task(const char *text, struct tool_error *error)
{
	o.needle = strcmp(text, "needle") == 0;
	return o.needle || strcmp(text, "perplexity") == 0 ||
	       tool_fail(error, "--task takes perplexity or needle, not '%s'", text);
}

static bool add_recipe(const char *recipe, struct tool_error *error)
{
	if (o.n_recipes == EVAL_MOST_RECIPES)
		return tool_fail(error, "at most %d recipes at a time", EVAL_MOST_RECIPES);
	o.recipes[o.n_recipes++] = recipe;
	return true;
}

static const struct tool_option options[] = {
	{"model", "FILE", "GGUF file (Llama architecture)", .text = &o.model},
	{"text", "FILE", "UTF-8 text; - reads standard input", .text = &o.text},
	{"context", "N", "tokens of the prompt, whose cache is compressed",
     .size = {&o.context, 1, MOST_TOKENS}},
	{"recipe", "R", "a recipe (again for more); default f16. clkv-info --recipes lists stages",
     .set = add_recipe},
	{"tokens", "M", "tokens scored behind the prompt; default 512",
     .size = {&o.tokens, 1, MOST_TOKENS}},
	{"generated", "G",
     "tokens behind the prompt that are fed as generated ones, not scored; default 0",
     .size = {&o.generated, 0, MOST_TOKENS}},
	{"offset", "K", "begin at token K of the text; default 0", .size = {&o.offset, 0, MOST_TOKENS}},
	{"task", "T", "perplexity (default) or needle", .set = set_task},
	{"attention", NULL, "compare attention alone: every layer gets the exact run's k, v and q",
     .flag = &o.attention},
	{"chunked", NULL, "compute and seal the prompt chunk by chunk under each recipe",
     .flag = &o.chunked},
	{"json", NULL, "a JSON line per recipe", .flag = &o.json},
	{"plot", "FILE", "draw quality against bytes per token, PNG or FILE.svg (needs gnuplot)",
     .text = &o.plot},
	{"html", "FILE", "write one page with table and plot (needs gnuplot)", .text = &o.html},
	{"codebook", "FILE", "codebooks for recipes with a2ats, of clkv-train", .text = &o.codebook},
	{"rotation", "FILE", "matrices for recipes with rot=file, of clkv-train --for rotation",
     .text = &o.rotation},
	OPTION_DEVICE(o.device),
	OPTION_PRODUCTS(o.products),
};

/* The prompt of --attention is the exact one. */
static bool check(struct tool_error *error)
{
	if (o.n_recipes == 0)
		o.recipes[o.n_recipes++] = "f16";
	if (o.model == NULL || o.text == NULL || o.context == 0)
		return tool_fail(error, "--model, --text and --context are needed; try clkv-eval --help");
	if (o.generated > 0 && (o.attention || o.needle))
		return tool_fail(error, "--generated goes with neither --attention nor --task needle");
	return !o.attention || !(o.chunked || o.needle) ||
	       tool_fail(error, "--attention goes with neither --chunked nor --task needle");
}

static bool read_text(struct eval *eval, int32_t **all, struct tool_error *error)
{
	char *text;
	size_t size;
	size_t n;
	if (!text_file_read(o.text, &text, &size, error))
		return false;
	bool done = tokenizer_encode(eval->session.tokenizer, text, size, false, all, &n, error);
	free(text);
	if (!done)
		return false;
	/* needles take their question from elsewhere; scoring looks one token behind the last */
	size_t wanted = o.offset + o.context + o.generated + (o.needle ? 0 : o.tokens + 1);
	if (n < wanted)
		return tool_fail(error,
		                 "'%s' has %zu tokens, but %zu are needed (offset %zu, context %zu%s): "
		                 "take a longer text or a shorter context",
		                 o.text, n, wanted, o.offset, o.context,
		                 o.needle ? "" : ", tokens and one more");
	eval->ids = *all + o.offset;
	eval->n_ids = n - o.offset;
	return true;
}

/* What the session gives to recipes that take it: *codebook and *rotation are the caller's to free. */
static bool read_given(struct session *session, char **codebook, char **rotation,
                       struct tool_error *error)
{
	if ((o.codebook && !text_file_read(o.codebook, codebook, &session->codebook_size, error)) ||
	    (o.rotation && !text_file_read(o.rotation, rotation, &session->rotation_size, error)))
		return false;
	session->codebook = *codebook;
	session->rotation = *rotation;
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
	char *codebook = NULL, *rotation = NULL;
	struct eval eval = {.options = &o};
	struct engine_options engine_options = {.products = o.products};
	int32_t *all = NULL;
	if ((o.plot != NULL || o.html != NULL) && !eval_plot_ready(error))
		return false;
	struct eval_result *results = calloc(o.n_recipes, sizeof *results);
	if (results == NULL)
		return tool_fail(error, "out of memory");
	bool done = session_open(&eval.session, o.model, o.device, &engine_options, error);
	if (done && o.context > (size_t)eval.session.model->context)
		(void)fprintf(stderr, "%s: note: the model was trained for %d tokens\n", tool_name,
		              eval.session.model->context);
	done = done && read_given(&eval.session, &codebook, &rotation, error) &&
	       read_text(&eval, &all, error) &&
	       (o.needle      ? eval_needle
	        : o.attention ? eval_attention
	                      : eval_perplexity)(&eval, results, error);
	if (done)
		eval_print(&eval, results);
	done = done && draw(&eval, results, error);
	session_close(&eval.session);
	free(codebook);
	free(rotation);
	free(all);
	free(results);
	return done;
}

int main(int argc, char **argv)
{
	const struct tool tool = {
		.name = tool_name,
		.usage =
			"usage: clkv-eval --model M.gguf --text T.txt --context N [--recipe R]...\n"
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
