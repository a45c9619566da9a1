/* SPDX-License-Identifier: MIT */
/**
 * \file    clkv-generate.c
 * \brief   Continues a prompt from a compressed KV cache, and says what that took.
 */
#include <stdio.h>

#include "engine_profile.h"
#include "generate.h"
#include "options.h"
#include "progress.h"
#include "tool_main.h"

enum { MOST_TOKENS = 1 << 24 };

static size_t seed = 1;
static struct generate_options o = {
	.recipe = "f16", .n_tokens = 128, .sampling = {.top_k = 40, .top_p = 0.95F}};

static const struct tool_option options[] = {
	{"model", "FILE", "GGUF file (Llama architecture)", .text = &o.model},
	{"prompt", "TEXT", "what to continue", .text = &o.prompt},
	{"recipe", "R", "how the cache is compressed; default f16", .text = &o.recipe},
	{"n", "N", "tokens to generate; default 128", .size = {&o.n_tokens, 1, MOST_TOKENS}},
	{"chat", NULL, "the prompt is a question to an instructed model (ChatML)", .flag = &o.chat},
	{"temp", "T", "temperature; default 0, the likeliest token",
     .number = {&o.sampling.temperature, 0.0F, 100.0F}},
	{"top-k", "K", "draw among the K likeliest tokens; default 40",
     .size = {&o.sampling.top_k, 0, MOST_TOKENS}},
	{"top-p", "P", "draw among the likeliest tokens that have P together; default 0.95",
     .number = {&o.sampling.top_p, 0.0F, 1.0F}},
	{"seed", "S", "of the draws; default 1", .size = {&seed, 0, SIZE_MAX}},
	{"depth", "N", "fill the cache with N rows of noise first: measures speed, makes no sense",
     .size = {&o.depth, 0, MOST_TOKENS}},
	{"ignore-eos", NULL, "go on behind the end of the text", .flag = &o.ignore_eos},
	{"share", "URL",
     "begin with what a store has of the prompt, and store the prompt: a folder,\n"
     "redis://HOST or, by TLS, rediss://HOST",
     .text = &o.share.url},
	{"share-recipe", "R", "take the store's chunks of this recipe, sealed anew; stores nothing",
     .text = &o.share.recipe},
	OPTION_GIVEN(o.given),
	OPTION_DEVICE(o.device),
	{"profile", NULL, "say where the time of generation went, by kind of kernel",
     .flag = &o.profile},
	OPTION_PRODUCTS(o.products),
};

static bool check(struct tool_error *error)
{
	o.sampling.seed = seed;
	if (!generate_share_allowed(&o.share, error))
		return false;
	if (o.share.recipe != NULL && o.share.url == NULL)
		return tool_fail(error, "--share-recipe goes with --share");
	if (o.share.url != NULL && o.depth > 0)
		return tool_fail(error, "--share stores prompts: not with --depth's noise");
	return (o.model != NULL && o.prompt != NULL) ||
	       tool_fail(error, "--model and --prompt are needed; try clkv-generate --help");
}

static void print_share(const struct generate_report *r)
{
	const double mib = 1024.0 * 1024.0;
	const struct generate_share_report *s = &r->share;
	(void)fprintf(
		stderr, "share    %zu tokens found (%.1f MiB in %.2f s), %.1f MiB stored in %.2f s\n",
		s->found, (double)s->read / mib, s->get_seconds, (double)s->written / mib, s->put_seconds);
	if (s->missing[0] != '\0')
		(void)fprintf(stderr, "         %s\n", s->missing);
}

static void print_report(const struct session *session, const struct generate_report *r,
                         double loading)
{
	const double mib = 1024.0 * 1024.0;
	(void)fflush(stdout);
	(void)fprintf(stderr, "\ndevice   %s\n", session->device.name);
	(void)fprintf(stderr, "loading  %.2f s, %.1f MiB on the device besides the cache\n", loading,
	              (double)engine_device_bytes(session->engine) / mib);
	if (r->prompt_tokens > 0)
		(void)fprintf(stderr, "prompt   %zu tokens in %.2f s, %.1f tokens/s\n", r->prompt_tokens,
		              r->prompt_seconds, (double)r->prompt_tokens / r->prompt_seconds);
	if (o.share.url != NULL)
		print_share(r);
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

static bool run(struct tool_error *error)
{
	struct session session;
	struct generate_report report;
	struct engine_options engine_options = {.products = o.products, .profile = o.profile};
	double begin = tool_seconds();
	if (!session_open(&session, o.model, o.device, &engine_options, error))
		return false;
	double loading = tool_seconds() - begin;
	bool done =
		given_files_read(&o.given, &session.given, error) && generate(&session, &o, &report, error);
	if (done)
		print_report(&session, &report, loading);
	if (done && o.profile && report.timed > 0)
		done = print_profile(&session, &report, error);
	session_close(&session);
	return done;
}

int main(int argc, char **argv)
{
	const struct tool tool = {
		.name = "clkv-generate",
		.usage = "usage: clkv-generate --model M.gguf --prompt TEXT [--recipe R] [-n N]\n"
				 "\n"
				 "Continues a prompt, token by token, with the KV cache compressed by a recipe.\n"
				 "Memory and speed go to standard error at the end.\n"
				 "\n",
		.options = options,
		.n_options = sizeof options / sizeof options[0],
		.check = check,
		.run = run,
	};
	return tool_main(&tool, argc, argv);
}
