/* SPDX-License-Identifier: MIT */
/**
 * \file    generate.c
 * \brief   Prompt in chunks, then one token at a time.
 */
#include "generate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine_profile.h"
#include "progress.h"
#include "reread.h"
#include "utf8.h"

/* What has been decoded but not printed: at most the beginning of one character. */
struct printer {
	char held[4];
	size_t n_held;
};

struct generation {
	struct session *session;
	const struct generate_options *options;
	struct generate_report *report;
	struct engine_stream stream;
	struct sampler *sampler;
	struct printer printer;
	float *logits;
	int32_t *prompt;
	size_t n_prompt;
};

/* Prints bytes, but holds back a character whose end is still to come. */
static void print_bytes(struct printer *printer, struct gguf_string bytes)
{
	size_t tail = utf8_incomplete_tail(bytes.data, bytes.size);
	(void)fwrite(printer->held, 1, printer->n_held, stdout);
	printer->n_held = 0;
	if (tail == bytes.size && tail == 0)
		return;
	(void)fwrite(bytes.data, 1, bytes.size - tail, stdout);
	memcpy(printer->held, bytes.data + bytes.size - tail, tail);
	printer->n_held = tail;
	(void)fflush(stdout);
}

/* ChatML, the only template known here: recognised by its tokens. */
static bool wrap_chat(struct generation *g, char **text, struct tool_error *error)
{
	static const char format[] = "<|im_start|>user\n%s<|im_end|>\n<|im_start|>assistant\n";
	const char *prompt = g->options->prompt;
	size_t size = strlen(prompt) + sizeof format;
	if (tokenizer_find(g->session->tokenizer, "<|im_start|>") < 0 ||
	    tokenizer_find(g->session->tokenizer, "<|im_end|>") < 0)
		return tool_fail(error, "the model has no <|im_start|> and <|im_end|>: --chat knows only "
		                        "templates of that kind (ChatML)");
	*text = malloc(size);
	if (*text == NULL)
		return tool_fail(error, "out of memory");
	(void)snprintf(*text, size, format, prompt);
	return true;
}

static bool encode_prompt(struct generation *g, struct tool_error *error)
{
	char *chat = NULL;
	if (g->options->chat && !wrap_chat(g, &chat, error))
		return false;
	const char *text = chat != NULL ? chat : g->options->prompt;
	bool done = tokenizer_encode(g->session->tokenizer, text, strlen(text), g->options->chat,
	                             &g->prompt, &g->n_prompt, error);
	free(chat);
	if (done && g->n_prompt == 0)
		return tool_fail(error, "the prompt is empty: give --prompt some text");
	return done;
}

static bool run_prompt(struct generation *g, struct tool_error *error)
{
	struct engine_stream *stream = &g->stream;
	size_t most = engine_max_rows(g->session->engine);
	double begin = tool_seconds();
	size_t found = g->report->share.found;
	progress_show("prompt", found, g->n_prompt); /* or the kernels that it's the first to need */
	for (size_t done = found; done < g->n_prompt;) {
		size_t rows = g->n_prompt - done < most ? g->n_prompt - done : most;
		bool last = done + rows == g->n_prompt;
		struct engine_pass pass = {
			.streams = &stream,
			.n_streams = 1,
			.tokens = g->prompt + done,
			.n_each = rows,
			.phase = last ? reread_last_phase(stream) : CLKV_PROMPT,
			.want = last ? ENGINE_LAST_LOGITS : ENGINE_NO_LOGITS,
			.logits = g->logits,
		};
		if (!engine_run(g->session->engine, &pass, error)) {
			progress_clear();
			return false;
		}
		done += rows;
		progress_show("prompt", done, g->n_prompt);
	}
	if (!reread_end(g->session, stream, g->prompt, g->n_prompt, "reading again", error)) {
		progress_clear();
		return false;
	}
	g->report->prompt_tokens = g->n_prompt - found;
	g->report->prompt_seconds = tool_seconds() - begin;
	progress_clear();
	return true;
}

static bool decode_one(struct generation *g, int32_t token, struct tool_error *error)
{
	struct engine_stream *stream = &g->stream;
	struct engine_pass pass = {
		.streams = &stream,
		.n_streams = 1,
		.tokens = &token,
		.n_each = 1,
		.phase = CLKV_DECODE,
		.want = ENGINE_LAST_LOGITS,
		.logits = g->logits,
	};
	return engine_run(g->session->engine, &pass, error);
}

static bool run_decoding(struct generation *g, struct tool_error *error)
{
	int32_t eos = g->options->ignore_eos ? -1 : tokenizer_eos(g->session->tokenizer);
	double begin = tool_seconds();
	size_t decoded = 0;
	for (size_t i = 0; i < g->options->n_tokens; i++) {
		int32_t token = sampler_draw(g->sampler, g->logits);
		if (token == eos)
			break;
		print_bytes(&g->printer, tokenizer_decode(g->session->tokenizer, token));
		g->report->generated++;
		if (i + 1 == g->options->n_tokens)
			break; /* nobody needs what would follow */
		/* the first pass compiles what the driver compiles late: it doesn't count */
		if (decoded == 1) {
			begin = tool_seconds();
			if (engine_profile_of(g->session->engine) != NULL)
				engine_profile_reset(engine_profile_of(g->session->engine));
		}
		if (!decode_one(g, token, error))
			return false;
		decoded++;
	}
	g->report->timed = decoded > 1 ? decoded - 1 : 0;
	g->report->decode_seconds =
		decoded > 1 ? (tool_seconds() - begin) / (double)(decoded - 1) : 0.0;
	return true;
}

/* A store's sequences are made beside others. */
static bool open_stream(struct generation *g, struct tool_error *error)
{
	const struct generate_options *o = g->options;
	return session_stream_open_forked(g->session, o->recipe, o->depth + g->n_prompt + o->n_tokens,
	                                  o->share.url != NULL, &g->stream, error);
}

static bool prepare(struct generation *g, struct tool_error *error)
{
	const struct generate_options *options = g->options;
	size_t vocabulary = (size_t)g->session->model->vocabulary;
	if (!encode_prompt(g, error) || !open_stream(g, error) ||
	    !sampler_create(&options->sampling, vocabulary, &g->sampler, error))
		return false;
	g->logits = calloc(vocabulary, sizeof *g->logits);
	if (g->logits == NULL)
		return tool_fail(error, "out of memory");
	return options->depth == 0 ||
	       engine_fill_noise(g->session->engine, &g->stream, options->depth, CLKV_PROMPT, error);
}

/* What the store has of the prompt needn't run; what it lacks it gets. */
static bool run_shared(struct generation *g, struct tool_error *error)
{
	const struct generate_share *share = &g->options->share;
	struct generate_share_report *r = &g->report->share;
	if (share->url != NULL && !generate_share_get(g->session, share, &g->stream, g->prompt,
	                                              g->n_prompt, g->logits, r, error))
		return false;
	if (!run_prompt(g, error))
		return false;
	if (share->url != NULL && share->recipe == NULL && !r->logits)
		generate_share_put(g->session, share, &g->stream, g->prompt, g->n_prompt, g->logits, r);
	return true;
}

static bool run(struct generation *g, struct tool_error *error)
{
	if (!prepare(g, error) || !engine_finish(g->session->engine, error) || !run_shared(g, error) ||
	    !run_decoding(g, error))
		return false;
	g->report->cached = g->stream.length;
	(void)session_half_note(&g->stream, g->report->half);
	g->report->f16_bytes = g->stream.length * session_f16_bytes(g->session);
	return engine_finish(g->session->engine, error) &&
	       session_stream_bytes(&g->stream, &g->report->cache_bytes, error);
}

bool generate(struct session *session, const struct generate_options *options,
              struct generate_report *report, struct tool_error *error)
{
	struct generation g = {.session = session, .options = options, .report = report};
	memset(report, 0, sizeof *report);
	bool done = run(&g, error);
	(void)putchar('\n');
	session_stream_close(&g.stream);
	sampler_destroy(g.sampler);
	free(g.logits);
	free(g.prompt);
	return done;
}
