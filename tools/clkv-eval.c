/* SPDX-License-Identifier: MIT */
/**
 * \file    clkv-eval.c
 * \brief   Measures what recipes do to a real model: bytes, perplexity, needles, speed.
 */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "eval.h"
#include "options.h"
#include "text_file.h"

static const char program[] = "clkv-eval";

static const char help[] =
	"usage: clkv-eval --model M.gguf --text T.txt --context N [--recipe R]...\n"
	"\n"
	"Runs a model on a text with its KV cache compressed by each recipe, and compares with f16.\n"
	"\n"
	"  --model FILE     GGUF file (Llama architecture)\n"
	"  --text FILE      UTF-8 text; - reads standard input\n"
	"  --context N      tokens of the prompt, whose cache is compressed\n"
	"  --recipe R       a recipe (again for more); default f16. clkv-info --recipes lists stages\n";

static const char more_help[] =
	"  --tokens M       tokens scored behind the prompt; default 512\n"
	"  --generated G    tokens behind the prompt that are fed as generated ones, not scored; "
	"default 0\n"
	"  --offset K       begin at token K of the text; default 0\n"
	"  --task T         perplexity (default) or needle\n"
	"  --attention      compare attention alone: every layer gets the exact run's k, v and q\n"
	"  --chunked        compute and seal the prompt chunk by chunk under each recipe\n"
	"  --json           a JSON line per recipe\n"
	"  --plot FILE      draw quality against bytes per token, PNG or FILE.svg (needs gnuplot)\n"
	"  --html FILE      write one page with table and plot (needs gnuplot)\n"
	"  --codebook FILE  codebooks for recipes with a2ats, of clkv-train\n"
	"  --device D       gpu, cpu, P:D or a part of a name; clkv-info lists devices\n"
	"  --products P     matrix products of the prompt: auto, blocked or blas\n"
	"  --help           this text\n"
	"  --version        the version of the library\n";

enum {
	OPTION_MODEL = 256,
	OPTION_TEXT,
	OPTION_CONTEXT,
	OPTION_RECIPE,
	OPTION_TOKENS,
	OPTION_GENERATED,
	OPTION_OFFSET,
	OPTION_TASK,
	OPTION_ATTENTION,
	OPTION_CHUNKED,
	OPTION_JSON,
	OPTION_PLOT,
	OPTION_HTML,
	OPTION_CODEBOOK,
	OPTION_DEVICE,
	OPTION_PRODUCTS,
	OPTION_HELP,
	OPTION_VERSION
};

static const struct option long_options[] = {
	{"model", required_argument, NULL, OPTION_MODEL},
	{"text", required_argument, NULL, OPTION_TEXT},
	{"context", required_argument, NULL, OPTION_CONTEXT},
	{"recipe", required_argument, NULL, OPTION_RECIPE},
	{"tokens", required_argument, NULL, OPTION_TOKENS},
	{"generated", required_argument, NULL, OPTION_GENERATED},
	{"offset", required_argument, NULL, OPTION_OFFSET},
	{"task", required_argument, NULL, OPTION_TASK},
	{"attention", no_argument, NULL, OPTION_ATTENTION},
	{"chunked", no_argument, NULL, OPTION_CHUNKED},
	{"json", no_argument, NULL, OPTION_JSON},
	{"plot", required_argument, NULL, OPTION_PLOT},
	{"html", required_argument, NULL, OPTION_HTML},
	{"codebook", required_argument, NULL, OPTION_CODEBOOK},
	{"device", required_argument, NULL, OPTION_DEVICE},
	{"products", required_argument, NULL, OPTION_PRODUCTS},
	{"help", no_argument, NULL, OPTION_HELP},
	{"version", no_argument, NULL, OPTION_VERSION},
	{NULL, 0, NULL, 0},
};

static bool set_task(const char *text, bool *needle, struct tool_error *error)
{
	*needle = strcmp(text, "needle") == 0;
	return *needle || strcmp(text, "perplexity") == 0 ||
	       tool_fail(error, "--task takes perplexity or needle, not '%s'", text);
}

static bool add_recipe(struct eval_options *o, const char *recipe, struct tool_error *error)
{
	if (o->n_recipes == EVAL_MOST_RECIPES)
		return tool_fail(error, "at most %d recipes at a time", EVAL_MOST_RECIPES);
	o->recipes[o->n_recipes++] = recipe;
	return true;
}

static bool set_option(struct eval_options *o, int option, struct tool_error *error)
{
	const size_t most = (size_t)1 << 24;
	switch (option) {
	case OPTION_MODEL:
		o->model = optarg;
		return true;
	case OPTION_TEXT:
		o->text = optarg;
		return true;
	case OPTION_CONTEXT:
		return option_size("--context", optarg, 1, most, &o->context, error);
	case OPTION_RECIPE:
		return add_recipe(o, optarg, error);
	case OPTION_TOKENS:
		return option_size("--tokens", optarg, 1, most, &o->tokens, error);
	case OPTION_GENERATED:
		return option_size("--generated", optarg, 0, most, &o->generated, error);
	case OPTION_OFFSET:
		return option_size("--offset", optarg, 0, most, &o->offset, error);
	case OPTION_TASK:
		return set_task(optarg, &o->needle, error);
	case OPTION_ATTENTION:
		o->attention = true;
		return true;
	case OPTION_CHUNKED:
		o->chunked = true;
		return true;
	case OPTION_JSON:
		o->json = true;
		return true;
	case OPTION_PLOT:
		o->plot = optarg;
		return true;
	case OPTION_HTML:
		o->html = optarg;
		return true;
	case OPTION_CODEBOOK:
		o->codebook = optarg;
		return true;
	case OPTION_DEVICE:
		o->device = optarg;
		return true;
	case OPTION_PRODUCTS:
		return option_products(optarg, &o->products, error);
	default:
		return tool_fail(error, "try clkv-eval --help");
	}
}

/* The prompt of --attention is the exact one. */
static bool check_together(const struct eval_options *o, struct tool_error *error)
{
	if (o->model == NULL || o->text == NULL || o->context == 0)
		return tool_fail(error, "--model, --text and --context are needed; try clkv-eval --help");
	if (o->generated > 0 && (o->attention || o->needle))
		return tool_fail(error, "--generated goes with neither --attention nor --task needle");
	return !o->attention || !(o->chunked || o->needle) ||
	       tool_fail(error, "--attention goes with neither --chunked nor --task needle");
}

/* TOOL_DONE with *o filled; else the status to exit with, -1 - status when help was asked for. */
static int read_options(int argc, char **argv, struct eval_options *o, struct tool_error *error)
{
	int option;
	*o = (struct eval_options){.tokens = 512, .argv = (const char *const *)argv};
	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		if (option == OPTION_HELP || option == OPTION_VERSION)
			return option;
		if (!set_option(o, option, error))
			return TOOL_USAGE;
	}
	if (o->n_recipes == 0)
		o->recipes[o->n_recipes++] = "f16";
	if (optind < argc)
		(void)tool_fail(error, "'%s' belongs to no option; try clkv-eval --help", argv[optind]);
	else
		(void)check_together(o, error);
	return error->text[0] != '\0' ? TOOL_USAGE : TOOL_DONE;
}

static bool read_text(struct eval *eval, int32_t **all, struct tool_error *error)
{
	const struct eval_options *o = eval->options;
	char *text;
	size_t size;
	size_t n;
	if (!text_file_read(o->text, &text, &size, error))
		return false;
	bool done = tokenizer_encode(eval->session.tokenizer, text, size, false, all, &n, error);
	free(text);
	if (!done)
		return false;
	/* needles take their question from elsewhere; scoring looks one token behind the last */
	size_t wanted = o->offset + o->context + o->generated + (o->needle ? 0 : o->tokens + 1);
	if (n < wanted)
		return tool_fail(error,
		                 "'%s' has %zu tokens, but %zu are needed (offset %zu, context %zu%s): "
		                 "take a longer text or a shorter context",
		                 o->text, n, wanted, o->offset, o->context,
		                 o->needle ? "" : ", tokens and one more");
	eval->ids = *all + o->offset;
	eval->n_ids = n - o->offset;
	return true;
}

static bool read_codebook(struct session *session, const char *path, char **codebook,
                          struct tool_error *error)
{
	if (path == NULL)
		return true;
	if (!text_file_read(path, codebook, &session->codebook_size, error))
		return false;
	session->codebook = *codebook;
	return true;
}

static bool draw(const struct eval *eval, const struct eval_result *results,
                 struct tool_error *error)
{
	const struct eval_options *o = eval->options;
	return (o->plot == NULL || eval_plot(o, results, o->plot, error)) &&
	       (o->html == NULL || eval_html(eval, results, o->html, error));
}

static bool run(const struct eval_options *o, struct tool_error *error)
{
	char *codebook = NULL;
	struct eval eval = {.options = o};
	struct engine_options engine_options = {.products = o->products};
	int32_t *all = NULL;
	if ((o->plot != NULL || o->html != NULL) && !eval_plot_ready(error))
		return false;
	struct eval_result *results = calloc(o->n_recipes, sizeof *results);
	if (results == NULL)
		return tool_fail(error, "out of memory");
	bool done = session_open(&eval.session, o->model, o->device, &engine_options, error);
	if (done && o->context > (size_t)eval.session.model->context)
		(void)fprintf(stderr, "%s: note: the model was trained for %d tokens\n", program,
		              eval.session.model->context);
	done = done && read_codebook(&eval.session, o->codebook, &codebook, error) &&
	       read_text(&eval, &all, error) &&
	       (o->needle      ? eval_needle
	        : o->attention ? eval_attention
	                       : eval_perplexity)(&eval, results, error);
	if (done)
		eval_print(&eval, results);
	done = done && draw(&eval, results, error);
	session_close(&eval.session);
	free(codebook);
	free(all);
	free(results);
	return done;
}

int main(int argc, char **argv)
{
	struct eval_options options;
	struct tool_error error = {""};
	int status = read_options(argc, argv, &options, &error);
	if (status == OPTION_HELP)
		return printf("%s%s", help, more_help) < 0 ? TOOL_FAILED
		                                           : tool_close_output(program, TOOL_DONE);
	if (status == OPTION_VERSION)
		return printf("%s %s\n", program, clkv_version()) < 0 ? TOOL_FAILED : TOOL_DONE;
	(void)signal(SIGPIPE,
	             SIG_IGN); /* a gnuplot that isn't there is an error message, not a death */
	if (status == TOOL_DONE && !run(&options, &error))
		status = TOOL_FAILED;
	if (status != TOOL_DONE)
		tool_complain(program, &error);
	return tool_close_output(program, status);
}
