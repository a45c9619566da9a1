/* SPDX-License-Identifier: MIT */
/**
 * \file    clkv-generate.c
 * \brief   Continues a prompt from a compressed KV cache, and says what that took.
 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "engine_profile.h"
#include "generate.h"
#include "options.h"
#include "progress.h"

static const char program[] = "clkv-generate";

static const char help[] =
	"usage: clkv-generate --model M.gguf --prompt TEXT [--recipe R] [-n N]\n"
	"\n"
	"Continues a prompt, token by token, with the KV cache compressed by a recipe.\n"
	"Memory and speed go to standard error at the end.\n"
	"\n"
	"  --model FILE   GGUF file (Llama architecture)\n"
	"  --prompt TEXT  what to continue\n"
	"  --recipe R     how the cache is compressed; default f16\n"
	"  -n N           tokens to generate; default 128\n"
	"  --chat         the prompt is a question to an instructed model (ChatML)\n";

static const char more_help[] =
	"  --temp T       temperature; default 0, the likeliest token\n"
	"  --top-k K      draw among the K likeliest tokens; default 40\n"
	"  --top-p P      draw among the likeliest tokens that have P together; default 0.95\n"
	"  --seed S       of the draws; default 1\n"
	"  --depth N      fill the cache with N rows of noise first: measures speed, makes no sense\n"
	"  --ignore-eos   go on behind the end of the text\n"
	"  --device D     gpu, cpu, P:D or a part of a name; clkv-info lists devices\n"
	"  --profile      say where the time of generation went, by kind of kernel\n"
	"  --products P   matrix products of the prompt: auto, blocked or blas\n"
	"  --help         this text\n"
	"  --version      the version of the library\n";

enum {
	OPTION_MODEL = 256,
	OPTION_PROMPT,
	OPTION_RECIPE,
	OPTION_CHAT,
	OPTION_TEMP,
	OPTION_TOP_K,
	OPTION_TOP_P,
	OPTION_SEED,
	OPTION_DEPTH,
	OPTION_IGNORE_EOS,
	OPTION_DEVICE,
	OPTION_PRODUCTS,
	OPTION_PROFILE,
	OPTION_HELP,
	OPTION_VERSION
};

static const struct option long_options[] = {
	{"model", required_argument, NULL, OPTION_MODEL},
	{"prompt", required_argument, NULL, OPTION_PROMPT},
	{"recipe", required_argument, NULL, OPTION_RECIPE},
	{"chat", no_argument, NULL, OPTION_CHAT},
	{"temp", required_argument, NULL, OPTION_TEMP},
	{"top-k", required_argument, NULL, OPTION_TOP_K},
	{"top-p", required_argument, NULL, OPTION_TOP_P},
	{"seed", required_argument, NULL, OPTION_SEED},
	{"depth", required_argument, NULL, OPTION_DEPTH},
	{"ignore-eos", no_argument, NULL, OPTION_IGNORE_EOS},
	{"device", required_argument, NULL, OPTION_DEVICE},
	{"products", required_argument, NULL, OPTION_PRODUCTS},
	{"profile", no_argument, NULL, OPTION_PROFILE},
	{"help", no_argument, NULL, OPTION_HELP},
	{"version", no_argument, NULL, OPTION_VERSION},
	{NULL, 0, NULL, 0},
};

static bool set_sampling(struct sampler_options *o, int option, struct tool_error *error)
{
	size_t seed;
	switch (option) {
	case OPTION_TEMP:
		return option_float("--temp", optarg, 0.0F, 100.0F, &o->temperature, error);
	case OPTION_TOP_K:
		return option_size("--top-k", optarg, 0, (size_t)1 << 24, &o->top_k, error);
	case OPTION_TOP_P:
		return option_float("--top-p", optarg, 0.0F, 1.0F, &o->top_p, error);
	default:
		if (!option_size("--seed", optarg, 0, SIZE_MAX, &seed, error))
			return false;
		o->seed = seed;
		return true;
	}
}

static bool set_option(struct generate_options *o, int option, struct tool_error *error)
{
	switch (option) {
	case OPTION_MODEL:
		o->model = optarg;
		return true;
	case OPTION_PROMPT:
		o->prompt = optarg;
		return true;
	case OPTION_RECIPE:
		o->recipe = optarg;
		return true;
	case OPTION_CHAT:
		o->chat = true;
		return true;
	case OPTION_PROFILE:
		o->profile = true;
		return true;
	case OPTION_IGNORE_EOS:
		o->ignore_eos = true;
		return true;
	case 'n':
		return option_size("-n", optarg, 1, (size_t)1 << 24, &o->n_tokens, error);
	case OPTION_DEPTH:
		return option_size("--depth", optarg, 0, (size_t)1 << 24, &o->depth, error);
	case OPTION_DEVICE:
		o->device = optarg;
		return true;
	case OPTION_PRODUCTS:
		return option_products(optarg, &o->products, error);
	case OPTION_TEMP:
	case OPTION_TOP_K:
	case OPTION_TOP_P:
	case OPTION_SEED:
		return set_sampling(&o->sampling, option, error);
	default:
		return tool_fail(error, "try clkv-generate --help");
	}
}

static int read_options(int argc, char **argv, struct generate_options *o, struct tool_error *error)
{
	int option;
	*o = (struct generate_options){
		.recipe = "f16", .n_tokens = 128, .sampling = {.top_k = 40, .top_p = 0.95F, .seed = 1}};
	while ((option = getopt_long(argc, argv, "n:", long_options, NULL)) != -1) {
		if (option == OPTION_HELP || option == OPTION_VERSION)
			return option;
		if (!set_option(o, option, error))
			return TOOL_USAGE;
	}
	if (optind < argc)
		(void)tool_fail(error, "'%s' belongs to no option; try clkv-generate --help", argv[optind]);
	else if (o->model == NULL || o->prompt == NULL)
		(void)tool_fail(error, "--model and --prompt are needed; try clkv-generate --help");
	return error->text[0] != '\0' ? TOOL_USAGE : TOOL_DONE;
}

static void print_report(const struct session *session, const struct generate_report *r,
                         double loading)
{
	const double mib = 1024.0 * 1024.0;
	(void)fflush(stdout);
	(void)fprintf(stderr, "\ndevice   %s\n", session->device.name);
	(void)fprintf(stderr, "loading  %.2f s, %.1f MiB on the device besides the cache\n", loading,
	              (double)engine_device_bytes(session->engine) / mib);
	(void)fprintf(stderr, "prompt   %zu tokens in %.2f s, %.1f tokens/s\n", r->prompt_tokens,
	              r->prompt_seconds, (double)r->prompt_tokens / r->prompt_seconds);
	if (r->decode_seconds > 0.0)
		(void)fprintf(stderr, "decode   %zu tokens, %.1f tokens/s\n", r->generated,
		              1.0 / r->decode_seconds);
	(void)fprintf(stderr, "cache    %zu tokens in %.2f MiB; %.2f MiB in f16, ratio %.2f\n",
	              r->cached, (double)r->cache_bytes / mib, (double)r->f16_bytes / mib,
	              (double)r->f16_bytes / (double)r->cache_bytes);
	if (r->half[0] != '\0')
		(void)fprintf(stderr, "         %s\n", r->half);
}

static bool print_profile(const struct session *session, const struct generate_report *r,
                          struct tool_error *error)
{
	double limit;
	if (!engine_read_limit(session->engine, &limit, error))
		return false;
	engine_profile_print(engine_profile_of(session->engine), stderr, r->timed,
	                     r->decode_seconds * (double)r->timed, limit);
	return true;
}

static bool run(const struct generate_options *o, struct tool_error *error)
{
	struct session session;
	struct generate_report report;
	struct engine_options engine_options = {.products = o->products, .profile = o->profile};
	double begin = tool_seconds();
	if (!session_open(&session, o->model, o->device, &engine_options, error))
		return false;
	double loading = tool_seconds() - begin;
	bool done = generate(&session, o, &report, error);
	if (done)
		print_report(&session, &report, loading);
	if (done && o->profile && report.timed > 0)
		done = print_profile(&session, &report, error);
	session_close(&session);
	return done;
}

int main(int argc, char **argv)
{
	struct generate_options options;
	struct tool_error error = {""};
	int status = read_options(argc, argv, &options, &error);
	if (status == OPTION_HELP)
		return printf("%s%s", help, more_help) < 0 ? TOOL_FAILED
		                                           : tool_close_output(program, TOOL_DONE);
	if (status == OPTION_VERSION)
		return printf("%s %s\n", program, clkv_version()) < 0 ? TOOL_FAILED : TOOL_DONE;
	if (status == TOOL_DONE && !run(&options, &error))
		status = TOOL_FAILED;
	if (status != TOOL_DONE)
		tool_complain(program, &error);
	return tool_close_output(program, status);
}
