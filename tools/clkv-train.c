/* SPDX-License-Identifier: MIT */
/**
 * \file    clkv-train.c
 * \brief   Trains codebooks or rotations for a model on a text, for recipes with a2ats or rot=file.
 *
 * The text goes through the model as one long prompt: of a cache with the codebook's recipe, which trains it; or in half, for
 * rotations (train_rotation.c).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"
#include "session.h"
#include "text_file.h"
#include "tool_main.h"
#include "train_rotation.h"

enum { MOST_TOKENS = 1 << 24 };

static const char tool_name[] = "clkv-train";

static struct {
	const char *model, *text, *out, *recipe, *device;
	size_t offset, tokens;
	enum engine_products products;
	bool rotation; /* and not a codebook */
} o;

static bool set_purpose(const char *text, struct tool_error *error)
{
	o.rotation = strcmp(text, "rotation") == 0;
	return o.rotation || strcmp(text, "codebook") == 0 ||
	       tool_fail(error, "--for takes codebook or rotation, not '%s'", text);
}

static const struct tool_option options[] = {
	{"model", "FILE", "GGUF file (Llama architecture)", .text = &o.model},
	{"text", "FILE", "UTF-8 text; - reads standard input", .text = &o.text},
	{"out", "FILE", "where the codebooks or matrices go", .text = &o.out},
	{"for", "WHAT", "codebook (default) or rotation", .set = set_purpose},
	{"recipe", "R",
     "of codebooks; default a2ats:codes=256; what else it says must be the same when it is used",
     .text = &o.recipe},
	{"offset", "K", "begin at token K of the text; default 0", .size = {&o.offset, 0, MOST_TOKENS}},
	{"tokens", "N", "tokens of it; default as many as the model was trained for, or as there are",
     .size = {&o.tokens, 1, MOST_TOKENS}},
	OPTION_DEVICE(o.device),
	OPTION_PRODUCTS(o.products),
};

static bool check(struct tool_error *error)
{
	if (o.model == NULL || o.text == NULL || o.out == NULL)
		return tool_fail(error, "--model, --text and --out are needed; try clkv-train --help");
	if (o.rotation && o.recipe != NULL)
		return tool_fail(error,
		                 "--for rotation takes no --recipe: all with rot=file take its file");
	o.recipe = o.recipe != NULL ? o.recipe : "a2ats:codes=256";
	return true;
}

/* The tokens to train on: *all is the caller's to free, *ids points into it. */
static bool read_tokens(const struct session *session, int32_t **all, const int32_t **ids,
                        size_t *n, struct tool_error *error)
{
	char *text;
	size_t size, there, most = o.tokens > 0 ? o.tokens : (size_t)session->model->context;
	if (!text_file_read(o.text, &text, &size, error))
		return false;
	bool done = tokenizer_encode(session->tokenizer, text, size, false, all, &there, error);
	free(text);
	if (!done)
		return false;
	if (there <= o.offset || (o.tokens > 0 && there - o.offset < o.tokens))
		return tool_fail(error, "'%s' has %zu tokens, not %zu behind token %zu", o.text, there,
		                 o.tokens > 0 ? o.tokens : 1, o.offset);
	*ids = *all + o.offset;
	*n = there - o.offset < most ? there - o.offset : most;
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

static bool train_codebook(struct session *session, const int32_t *ids, size_t n,
                           struct tool_error *error)
{
	struct engine_stream stream = {0};
	bool done = session_stream_open(session, o.recipe, n, &stream, error) &&
	            session_prompt(session, &stream, ids, n, "prompt", error) &&
	            save(session, &stream, o.out, error);
	session_stream_close(&stream);
	return done;
}

static bool train(struct session *session, struct tool_error *error)
{
	int32_t *all = NULL;
	const int32_t *ids;
	size_t n;
	bool done = read_tokens(session, &all, &ids, &n, error) &&
	            (o.rotation ? train_rotation(session, ids, n, o.out, error)
	                        : train_codebook(session, ids, n, error));
	if (done)
		(void)fprintf(stderr, "%s: %zu tokens, written to %s\n", tool_name, n, o.out);
	free(all);
	return done;
}

static bool run(struct tool_error *error)
{
	struct session session;
	struct engine_options engine_options = {.products = o.products};
	if (!session_open(&session, o.model, o.device, &engine_options, error))
		return false;
	bool done = train(&session, error);
	session_close(&session);
	return done;
}

int main(int argc, char **argv)
{
	const struct tool tool = {
		.name = tool_name,
		.usage =
			"usage: clkv-train --model M.gguf --text T.txt --out FILE [--for codebook|rotation] "
			"[--recipe R]\n"
			"\n"
			"Trains the codebooks of a recipe with a2ats on a text and writes them to a file, for\n"
			"clkv-eval --codebook and clkv_cache_options.codebook. Take text unlike what will be "
			"asked\nabout: codebooks serve all sequences of the model. With --for rotation:\n"
			"the matrices of recipes with rot=file, for clkv-eval --rotation and\n"
			"clkv_cache_options.rotation.\n"
			"\n",
		.options = options,
		.n_options = sizeof options / sizeof options[0],
		.check = check,
		.run = run,
	};
	return tool_main(&tool, argc, argv);
}
