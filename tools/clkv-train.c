/* SPDX-License-Identifier: MIT */
/**
 * \file    clkv-train.c
 * \brief   Trains codebooks for a model on a text, for recipes with a2ats.
 *
 * The text goes through the model as one long prompt of a cache with that recipe; what it has trained is written.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"
#include "session.h"
#include "text_file.h"

static const char program[] = "clkv-train";

static const char help[] =
	"usage: clkv-train --model M.gguf --text T.txt --out FILE [--recipe R]\n"
	"\n"
	"Trains the codebooks of a recipe with a2ats on a text and writes them to a file, for\n"
	"clkv-eval --codebook and clkv_cache_options.codebook. Take text unlike what will be asked "
	"about:\n"
	"codebooks serve all sequences of the model.\n"
	"\n"
	"  --model FILE     GGUF file (Llama architecture)\n"
	"  --text FILE      UTF-8 text; - reads standard input\n"
	"  --out FILE       where the codebooks go\n"
	"  --recipe R       default a2ats:codes=256; what else it says must be the same when it is "
	"used\n"
	"  --offset K       begin at token K of the text; default 0\n"
	"  --tokens N       tokens of it; default as many as the model was trained for, or as there "
	"are\n"
	"  --device D       gpu, cpu, P:D or a part of a name; clkv-info lists devices\n"
	"  --products P     matrix products of the prompt: auto, blocked or blas\n"
	"  --help           this text\n"
	"  --version        the version of the library\n";

enum {
	OPTION_MODEL = 256,
	OPTION_TEXT,
	OPTION_OUT,
	OPTION_RECIPE,
	OPTION_OFFSET,
	OPTION_TOKENS,
	OPTION_DEVICE,
	OPTION_PRODUCTS,
	OPTION_HELP,
	OPTION_VERSION
};

static const struct option long_options[] = {
	{"model", required_argument, NULL, OPTION_MODEL},
	{"text", required_argument, NULL, OPTION_TEXT},
	{"out", required_argument, NULL, OPTION_OUT},
	{"recipe", required_argument, NULL, OPTION_RECIPE},
	{"offset", required_argument, NULL, OPTION_OFFSET},
	{"tokens", required_argument, NULL, OPTION_TOKENS},
	{"device", required_argument, NULL, OPTION_DEVICE},
	{"products", required_argument, NULL, OPTION_PRODUCTS},
	{"help", no_argument, NULL, OPTION_HELP},
	{"version", no_argument, NULL, OPTION_VERSION},
	{NULL, 0, NULL, 0},
};

struct train_options {
	const char *model, *text, *out, *recipe, *device;
	size_t offset, tokens;
	enum engine_products products;
};

static bool set_option(struct train_options *o, int option, struct tool_error *error)
{
	const size_t most = (size_t)1 << 24;
	switch (option) {
	case OPTION_MODEL:
		o->model = optarg;
		return true;
	case OPTION_TEXT:
		o->text = optarg;
		return true;
	case OPTION_OUT:
		o->out = optarg;
		return true;
	case OPTION_RECIPE:
		o->recipe = optarg;
		return true;
	case OPTION_OFFSET:
		return option_size("--offset", optarg, 0, most, &o->offset, error);
	case OPTION_TOKENS:
		return option_size("--tokens", optarg, 1, most, &o->tokens, error);
	case OPTION_DEVICE:
		o->device = optarg;
		return true;
	case OPTION_PRODUCTS:
		return option_products(optarg, &o->products, error);
	default:
		return tool_fail(error, "try clkv-train --help");
	}
}

/* TOOL_DONE with *o filled, TOOL_USAGE, or the option that asked for help. */
static int read_options(int argc, char **argv, struct train_options *o, struct tool_error *error)
{
	int option;
	*o = (struct train_options){.recipe = "a2ats:codes=256"};
	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		if (option == OPTION_HELP || option == OPTION_VERSION)
			return option;
		if (!set_option(o, option, error))
			return TOOL_USAGE;
	}
	if (optind < argc)
		(void)tool_fail(error, "'%s' belongs to no option; try clkv-train --help", argv[optind]);
	else if (o->model == NULL || o->text == NULL || o->out == NULL)
		(void)tool_fail(error, "--model, --text and --out are needed; try clkv-train --help");
	return error->text[0] != '\0' ? TOOL_USAGE : TOOL_DONE;
}

/* The tokens to train on: *all is the caller's to free, *ids points into it. */
static bool read_tokens(const struct train_options *o, const struct session *session, int32_t **all,
                        const int32_t **ids, size_t *n, struct tool_error *error)
{
	char *text;
	size_t size, there, most = o->tokens > 0 ? o->tokens : (size_t)session->model->context;
	if (!text_file_read(o->text, &text, &size, error))
		return false;
	bool done = tokenizer_encode(session->tokenizer, text, size, false, all, &there, error);
	free(text);
	if (!done)
		return false;
	if (there <= o->offset || (o->tokens > 0 && there - o->offset < o->tokens))
		return tool_fail(error, "'%s' has %zu tokens, not %zu behind token %zu", o->text, there,
		                 o->tokens > 0 ? o->tokens : 1, o->offset);
	*ids = *all + o->offset;
	*n = there - o->offset < most ? there - o->offset : most;
	return true;
}

static size_t write_bytes(void *file, const void *data, size_t size)
{
	return fwrite(data, 1, size, file);
}

static bool save(struct session *session, const struct engine_stream *stream, const char *path,
                 struct tool_error *error)
{
	clkv_error cause = {0};
	cl_command_queue queue = engine_queue(session->engine);
	FILE *file = fopen(path, "wb");
	if (file == NULL)
		return tool_fail(error, "'%s' can't be written", path);
	clkv_status status = clkv_seq_save_codebook(stream->seq, model_fingerprint(session->model),
	                                            queue, write_bytes, file, &cause);
	if (fclose(file) != 0 && status == CLKV_OK)
		return tool_fail(error, "'%s' can't be written to its end", path);
	return status == CLKV_OK || tool_fail_clkv(error, "writing the codebooks", &cause);
}

static bool train(const struct train_options *o, struct session *session, struct tool_error *error)
{
	struct engine_stream stream = {0};
	int32_t *all = NULL;
	const int32_t *ids;
	size_t n;
	bool done = read_tokens(o, session, &all, &ids, &n, error) &&
	            session_stream_open(session, o->recipe, n, &stream, error) &&
	            session_prompt(session, &stream, ids, n, "prompt", error) &&
	            save(session, &stream, o->out, error);
	if (done)
		(void)fprintf(stderr, "%s: %zu tokens, written to %s\n", program, n, o->out);
	session_stream_close(&stream);
	free(all);
	return done;
}

static bool run(const struct train_options *o, struct tool_error *error)
{
	struct session session;
	struct engine_options engine_options = {.products = o->products};
	if (!session_open(&session, o->model, o->device, &engine_options, error))
		return false;
	bool done = train(o, &session, error);
	session_close(&session);
	return done;
}

int main(int argc, char **argv)
{
	struct train_options options;
	struct tool_error error = {""};
	int status = read_options(argc, argv, &options, &error);
	if (status == OPTION_HELP)
		return printf("%s", help) < 0 ? TOOL_FAILED : tool_close_output(program, TOOL_DONE);
	if (status == OPTION_VERSION)
		return printf("%s %s\n", program, clkv_version()) < 0 ? TOOL_FAILED : TOOL_DONE;
	if (status == TOOL_DONE && !run(&options, &error))
		status = TOOL_FAILED;
	if (status != TOOL_DONE)
		tool_complain(program, &error);
	return tool_close_output(program, status);
}
