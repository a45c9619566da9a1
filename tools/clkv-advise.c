/* SPDX-License-Identifier: MIT */
/**
 * \file    clkv-advise.c
 * \brief   Measures a model on a text and advises the cheapest recipe within a limit.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "advise.h"
#include "options.h"
#include "text_tokens.h"
#include "tool_main.h"
#include "train_calibration.h"

enum { MOST_TOKENS = 1 << 24, BLOCK = 64 };

/* What every Debian carries. */
static const char usual_text[] = "/usr/share/common-licenses/GPL-3";

/* What is judged unless options say something else. The quick form is for two minutes of two cores and 135 million weights. */
static const struct {
	size_t context, tokens, windows, training;
} usual = {1024, 512, 4, 2048}, quick = {512, 256, 1, 1024};

static const char tool_name[] = "clkv-advise";
static struct advise_options o = {
	.out = "clkv-advise.cal", .length = 32768, .sinks = 4, .window = 64};

static bool set_limit(enum advise_kind kind, const char *name, const char *text, float least,
                      float most, struct tool_error *error)
{
	float value;
	if (o.limit.kind != ADVISE_NO_LIMIT)
		return tool_fail(error,
		                 "one of --kl, --loss and --bytes is the limit: leave out all but one");
	if (!option_float(name, text, least, most, &value, error))
		return false;
	o.limit = (struct advise_limit){kind, (double)value};
	return true;
}

static bool set_kl(const char *text, struct tool_error *error)
{
	return set_limit(ADVISE_KL, "--kl", text, 1e-6F, 10, error);
}

static bool set_loss(const char *text, struct tool_error *error)
{
	return set_limit(ADVISE_LOSS, "--loss", text, 1e-3F, 1000, error);
}

static bool set_bytes(const char *text, struct tool_error *error)
{
	return set_limit(ADVISE_BYTES, "--bytes", text, 1, 1e9F, error);
}

static bool add_training(const char *text, struct tool_error *error)
{
	if (o.n_training == ADVISE_MOST_TRAINING)
		return tool_fail(error, "at most %d texts to calibrate on", ADVISE_MOST_TRAINING);
	o.training[o.n_training++] = text;
	return true;
}

static const struct tool_option options[] = {
	{"model", "FILE", "GGUF file (Llama architecture)", .text = &o.model},
	{"text", "FILE", "UTF-8 text to judge on; default the GPL", .text = &o.text},
	{"kl", "X", "the limit: divergence from f16, nats per token", .set = set_kl},
	{"loss", "P", "the limit: change of perplexity, percent", .set = set_loss},
	{"bytes", "Y", "the limit: bytes per token, all layers, at --length tokens", .set = set_bytes},
	{"quick", NULL, "few tokens, and of a short ladder of recipes as few as the limit needs",
     .flag = &o.quick},
	{"budget", NULL,
     "beside the same bits for all layers, try recipes that share them out by layer",
     .flag = &o.budget},
	{"training", "FILE",
     "text to calibrate on (again for more); default the first part of --text, which\n"
     "then isn't judged",
     .set = add_training},
	{"behind-rope", NULL,
     "calibrate on keys as RoPE leaves them: more bytes, and steps take a sixth less time",
     .flag = &o.behind},
	{"out", "FILE", "where the calibration goes, if the advice needs one; default clkv-advise.cal",
     .text = &o.out},
	{"json", "FILE", "write all of it as one object of JSON", .text = &o.json},
	{"plot", "FILE", "draw the curve, PNG or FILE.svg (needs gnuplot)", .text = &o.plot},
	{"context", "N", "tokens of the prompt; default 1024, with --quick 512",
     .size = {&o.context, 1, MOST_TOKENS}},
	{"tokens", "M", "tokens scored in each window; default 512, with --quick 256",
     .size = {&o.tokens, 1, MOST_TOKENS}},
	{"windows", "W", "windows of the text; default 4, with --quick 1",
     .size = {&o.windows, 1, 1 << 16}},
	{"length", "N", "tokens at which the bytes of recipes are compared; default 32768",
     .size = {&o.length, 1, MOST_TOKENS}},
	{"sinks", "N", "first tokens in half under every recipe; default 4",
     .size = {&o.sinks, 0, 4096}},
	{"window", "N", "newest tokens in half under every recipe; default 64",
     .size = {&o.window, 1, 1 << 16}},
	OPTION_DEVICE(o.device),
	OPTION_PRODUCTS(o.products),
};

static void take_usual(size_t *at, size_t full, size_t short_one)
{
	if (*at == 0)
		*at = o.quick ? short_one : full;
}

static bool check(struct tool_error *error)
{
	if (o.model == NULL)
		return tool_fail(error, "--model is needed; try clkv-advise --help");
	if (o.limit.kind == ADVISE_NO_LIMIT)
		return tool_fail(error,
		                 "a limit is needed: --kl, --loss or --bytes; try clkv-advise --help");
	if (o.quick && o.budget)
		return tool_fail(error, "--budget measures each layer: that isn't --quick");
	o.text = o.text != NULL ? o.text : usual_text;
	for (size_t i = 0; i < o.n_training; i++)
		if (strcmp(o.training[i], o.text) == 0)
			return tool_fail(error,
			                 "what is judged on '%s' can't be calibrated on it: without "
			                 "--training its first part is set apart",
			                 o.text);
	take_usual(&o.context, usual.context, quick.context);
	take_usual(&o.tokens, usual.tokens, quick.tokens);
	take_usual(&o.windows, usual.windows, quick.windows);
	take_usual(&o.training_tokens, usual.training, quick.training);
	return o.context >= o.sinks + o.window + BLOCK ||
	       tool_fail(error,
	                 "a --context of %zu tokens leaves nothing to compress beside %zu sinks and "
	                 "a window of %zu: take %zu or more",
	                 o.context, o.sinks, o.window, o.sinks + o.window + BLOCK);
}

/* Tokens that are judged, the one behind the last that is fed among them. */
static size_t judged_tokens(void)
{
	return o.context + o.windows * o.tokens + 1;
}

/* The judged text behind what it is calibrated on. */
static bool read_text(struct advise *a, struct text_input *in, size_t *n_texts,
                      struct tool_error *error)
{
	struct eval_text *text = &a->eval.texts[0];
	const size_t apart = o.n_training == 0 ? o.training_tokens : 0;
	size_t n;
	if (!text_tokens_read(a->eval.session.tokenizer, o.text, &text->all, &n, error))
		return false;
	if (n < apart + judged_tokens())
		return tool_fail(
			error,
			"'%s' has %zu tokens, but %zu are needed (%zu to calibrate on, a prompt of "
			"%zu, %zu windows of %zu, one more): take a longer text, fewer windows, "
			"--training or --quick",
			o.text, n, apart + judged_tokens(), apart, o.context, o.windows, o.tokens);
	text->ids = text->all + apart;
	text->n_ids = n - apart;
	if (apart > 0)
		in[(*n_texts)++] = (struct text_input){text->all, apart};
	return true;
}

static bool read_training(struct advise *a, struct text_input *in, size_t *n_texts,
                          struct tool_error *error)
{
	for (size_t i = 0; i < o.n_training; i++) {
		size_t n;
		if (!text_tokens_read(a->eval.session.tokenizer, o.training[i], &a->trained[i], &n, error))
			return false;
		if (n < CALIBRATION_LEAST_TOKENS)
			return tool_fail(error, "'%s' has %zu tokens, but %d are needed to calibrate on",
			                 o.training[i], n, CALIBRATION_LEAST_TOKENS);
		in[(*n_texts)++] =
			(struct text_input){a->trained[i], n < o.training_tokens ? n : o.training_tokens};
	}
	return true;
}

static bool work(struct advise *a, struct tool_error *error)
{
	struct text_input in[ADVISE_MOST_TRAINING];
	size_t n = 0, n_codecs;
	const struct budget_codec *codecs = budget_codecs(&n_codecs);
	return read_text(a, in, &n, error) && read_training(a, in, &n, error) &&
	       advise_list(a, error) && advise_calibrate(a, in, n, error) &&
	       (!o.budget || advise_share(a, &in[0], codecs, n_codecs, error)) &&
	       advise_look(a, error) && advise_search(a, error);
}

/* The calibration is written before what names it is printed. */
static bool tell(const struct advise *a, struct tool_error *error)
{
	if (advise_needs_calibration(a) &&
	    !given_file_write(&a->points[a->chosen].given.calibration, o.out, error))
		return false;
	advise_print(a);
	if ((o.json != NULL && !advise_write_json(a, o.json, error)) ||
	    (o.plot != NULL && !advise_draw(a, o.plot, error)))
		return false;
	return a->chosen < a->n ||
	       tool_fail(error, "no recipe takes so few bytes: '%s' takes the fewest, %.0f per token",
	                 a->points[0].label, a->points[0].bytes);
}

static void close_all(struct advise *a)
{
	for (size_t i = 0; i < a->n; i++)
		given_files_close(&a->points[i].given);
	for (size_t i = 0; i < ADVISE_MOST_TRAINING; i++)
		free(a->trained[i]);
	free(a->eval.texts[0].all);
	advise_survey_close(&a->survey);
	session_close(&a->eval.session);
	free(a);
}

static bool run(struct tool_error *error)
{
	const struct eval_options judged = {
		.model = o.model,
		.texts = {o.text},
		.n_texts = 1,
		.contexts = {o.context},
		.n_contexts = 1,
		.tokens = o.tokens,
		.windows = o.windows,
		.stride = o.tokens,
		.rows = ADVISE_ROWS,
		.untimed = true,
	};
	struct engine_options engine_options = {.products = o.products};
	if (o.plot != NULL && !eval_plot_ready(error))
		return false;
	struct advise *a = calloc(1, sizeof *a);
	if (a == NULL)
		return tool_fail(error, "out of memory");
	a->options = &o;
	a->eval.options = &judged;
	bool done = session_open(&a->eval.session, o.model, o.device, &engine_options, error) &&
	            work(a, error) && tell(a, error);
	close_all(a);
	return done;
}

int main(int argc, char **argv)
{
	const struct tool tool = {
		.name = tool_name,
		.usage =
			"usage: clkv-advise --model M.gguf [--text T.txt] --kl X | --loss P | --bytes Y "
			"[--quick]\n"
			"\n"
			"Measures what recipes do to a model on a text, and prints the cheapest one within a "
			"limit, the\n"
			"curve behind it, and what a sequence takes; writes the calibration that its recipe "
			"needs.\n"
			"A recipe is within a limit if all of its 95 % interval is.\n"
			"\n",
		.options = options,
		.n_options = sizeof options / sizeof options[0],
		.check = check,
		.run = run,
	};
	(void)signal(SIGPIPE,
	             SIG_IGN); /* a gnuplot that isn't there is an error message, not a death */
	return tool_main(&tool, argc, argv);
}
