/* SPDX-License-Identifier: MIT */
/**
 * \file    session.c
 * \brief   Opening and closing what a tool works with.
 */
#include "session.h"

#include "progress.h"
#include "reread.h"

#include <stdio.h>
#include <string.h>

/* A program of the library is there: "file.cl options: ready". */
static void show_build(void *opaque, clkv_log_level level, const char *subsystem, const char *text)
{
	char file[48];
	(void)opaque;
	if (level != CLKV_LOG_BUILD || strcmp(subsystem, "build") != 0)
		return;
	(void)snprintf(file, sizeof file, "%.*s", (int)(strcspn(text, ".") % sizeof file), text);
	progress_say("building kernels:", file);
}

static bool open_device(struct session *session, const char *name, struct tool_error *error)
{
	clkv_error cause = {0};
	clkv_context_options options = CLKV_INIT(clkv_context_options);
	options.log = show_build;
	options.log_level = CLKV_LOG_BUILD;
	progress_show("building kernels", 0, 1);
	if (clkv_context_open(name, &options, &session->context, &cause) != CLKV_OK)
		return tool_fail_clkv(error, "opening a device (clkv-info lists them)", &cause);
	session->device = (clkv_device_info)CLKV_INIT(clkv_device_info);
	if (clkv_context_get_info(session->context, &session->device, NULL) != CLKV_OK)
		return tool_fail(error, "clkv_context_get_info failed");
	return true;
}

static bool open_all(struct session *session, const char *model_path, const char *device,
                     const struct engine_options *options, struct tool_error *error)
{
	if (!model_open(model_path, &session->model, error) ||
	    !tokenizer_create(session->model->gguf, &session->tokenizer, error))
		return false;
	if (tokenizer_size(session->tokenizer) > (size_t)session->model->vocabulary)
		return tool_fail(error, "the tokenizer has %zu tokens, the model only %d",
		                 tokenizer_size(session->tokenizer), session->model->vocabulary);
	return open_device(session, device, error) &&
	       engine_create(session->context, session->model, options, &session->engine, error);
}

bool session_open(struct session *session, const char *model_path, const char *device,
                  const struct engine_options *options, struct tool_error *error)
{
	memset(session, 0, sizeof *session);
	bool opened = open_all(session, model_path, device, options, error);
	progress_clear();
	if (opened)
		return true;
	session_close(session);
	return false;
}

void session_close(struct session *session)
{
	given_files_close(&session->given);
	engine_destroy(session->engine);
	clkv_context_destroy(session->context);
	tokenizer_destroy(session->tokenizer);
	model_close(session->model);
	memset(session, 0, sizeof *session);
}

bool session_stream_open(const struct session *session, const char *recipe, size_t max_tokens,
                         struct engine_stream *stream, struct tool_error *error)
{
	return session_stream_open_forked(session, recipe, max_tokens, 0, stream, error);
}

bool session_stream_open_forked(const struct session *session, const char *recipe,
                                size_t max_tokens, size_t forks, struct engine_stream *stream,
                                struct tool_error *error)
{
	clkv_error cause = {0};
	clkv_geometry geometry = engine_geometry(session->model);
	clkv_cache_options options = CLKV_INIT(clkv_cache_options);
	size_t rows = engine_max_rows(session->engine);
	options.max_tokens = max_tokens + forks * SESSION_FORK_TOKENS;
	options.max_seq_tokens = max_tokens;
	options.max_sequences = 1 + forks;
	options.max_step_tokens = rows < max_tokens ? rows : max_tokens;
	given_files_offer(&session->given, recipe, model_fingerprint(session->model), &options);
	memset(stream, 0, sizeof *stream);
	progress_show("building kernels", 0, 1);
	clkv_status status =
		clkv_cache_create(session->context, &geometry, recipe, &options, &stream->cache, &cause);
	if (status == CLKV_OK && clkv_cache_rereads(stream->cache)) {
		/* rows that read a prompt again lie behind it meanwhile */
		clkv_cache_destroy(stream->cache);
		options.max_tokens += rows;
		options.max_seq_tokens += rows;
		options.max_step_tokens = rows;
		status = clkv_cache_create(session->context, &geometry, recipe, &options, &stream->cache,
		                           &cause);
	}
	progress_clear();
	if (status != CLKV_OK) {
		if (cause.status == CLKV_ERROR_INVALID_RECIPE && cause.position >= 0)
			return tool_fail(error, "recipe '%s', at '%s': %s", recipe,
			                 (size_t)cause.position < strlen(recipe) ? recipe + cause.position
			                                                         : "its end",
			                 cause.text);
		return tool_fail_clkv(error, recipe, &cause);
	}
	return session_stream_restart(stream, error);
}

bool session_stream_restart(struct engine_stream *stream, struct tool_error *error)
{
	clkv_error cause = {0};
	clkv_seq_destroy(stream->seq);
	stream->seq = NULL;
	stream->length = 0;
	if (clkv_seq_create(stream->cache, &stream->seq, &cause) != CLKV_OK)
		return tool_fail_clkv(error, "creating a sequence", &cause);
	return true;
}

bool session_stream_fork(const struct engine_stream *stream, struct engine_stream *fork,
                         struct tool_error *error)
{
	clkv_error cause = {0};
	*fork = (struct engine_stream){.cache = stream->cache, .length = stream->length};
	return clkv_seq_fork(stream->seq, &fork->seq, &cause) == CLKV_OK ||
	       tool_fail_clkv(error, "forking a sequence", &cause);
}

void session_stream_fork_close(struct engine_stream *fork)
{
	clkv_seq_destroy(fork->seq);
	memset(fork, 0, sizeof *fork);
}

void session_stream_close(struct engine_stream *stream)
{
	clkv_seq_destroy(stream->seq);
	clkv_cache_destroy(stream->cache);
	if (stream->queries != NULL)
		(void)clReleaseMemObject(stream->queries);
	memset(stream, 0, sizeof *stream);
}

bool session_stream_bytes(const struct engine_stream *stream, uint64_t *bytes,
                          struct tool_error *error)
{
	clkv_seq_info info = CLKV_INIT(clkv_seq_info);
	clkv_stats stats = CLKV_INIT(clkv_stats);
	if (clkv_seq_get_info(stream->seq, &info, NULL) != CLKV_OK ||
	    clkv_cache_stats(stream->cache, &stats, NULL) != CLKV_OK)
		return tool_fail(error, "the cache can't say what its sequence takes");
	*bytes = info.bytes + stats.used_code_tables;
	return true;
}

bool session_half_note(const struct engine_stream *stream, char *text)
{
	clkv_seq_info info = CLKV_INIT(clkv_seq_info);
	text[0] = '\0';
	if (clkv_seq_get_info(stream->seq, &info, NULL) != CLKV_OK || info.length == 0 ||
	    info.sealed > 0 || info.waits == CLKV_WAITS_NEVER)
		return false;
	int n = snprintf(text, SESSION_HALF_BYTES, "all %zu tokens in half: %s", info.length,
	                 clkv_waits_string(info.waits));
	if (info.seals_at > info.length)
		(void)snprintf(text + n, SESSION_HALF_BYTES - (size_t)n, "; seals from %zu tokens on",
		               info.seals_at);
	return true;
}

void session_half_say(const struct engine_stream *stream, const char *recipe)
{
	char text[SESSION_HALF_BYTES];
	if (!session_half_note(stream, text))
		return;
	progress_clear();
	(void)fprintf(stderr, "'%s': %s\n", recipe, text);
}

size_t session_f16_bytes(const struct session *session)
{
	const struct model *m = session->model;
	return (size_t)m->n_layers * (size_t)m->kv_heads * (size_t)m->head_dim * 2 * 2;
}

bool session_prompt(struct session *session, struct engine_stream *stream, const int32_t *ids,
                    size_t n, const char *bar, struct tool_error *error)
{
	size_t most = engine_max_rows(session->engine);
	for (size_t done = 0; done < n;) {
		size_t rows = n - done < most ? n - done : most;
		struct engine_pass pass = {
			.streams = &stream,
			.n_streams = 1,
			.tokens = ids + done,
			.n_each = rows,
			.phase = done + rows == n ? reread_last_phase(stream) : CLKV_PROMPT,
			.want = ENGINE_NO_LOGITS,
		};
		if (!engine_run(session->engine, &pass, error) || !engine_finish(session->engine, error))
			return false;
		done += rows;
		if (bar != NULL)
			progress_show(bar, done, n);
	}
	return reread_end(session, stream, ids, n, bar != NULL ? "reading again" : NULL, error);
}
