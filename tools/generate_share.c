/* SPDX-License-Identifier: MIT */
/**
 * \file    generate_share.c
 * \brief   Prompts through a store that other processes use.
 */
#include "generate_share.h"

#include <stdio.h>
#include <string.h>

#include <clkv/share.h>

#include "progress.h"

bool generate_share_allowed(const struct generate_share *share, struct tool_error *error)
{
	(void)share, (void)error;
	return true;
}

/* The store, as of this model. */
static bool open_store(const struct session *session, const struct generate_share *share,
                       clkv_share **out, struct tool_error *error)
{
	clkv_error cause = {0};
	clkv_share_options options = CLKV_INIT(clkv_share_options);
	options.model = model_fingerprint(session->model);
	return clkv_share_open(share->url, &options, out, &cause) == CLKV_OK ||
	       tool_fail_clkv(error, share->url, &cause);
}

/* A cache that says which recipe's chunks are wanted; NULL: the stream's. */
static bool open_as(const struct session *session, const char *recipe, struct engine_stream *as,
                    struct tool_error *error)
{
	memset(as, 0, sizeof *as);
	if (recipe == NULL)
		return true;
	if (!session_stream_open(session, recipe, 1, as, error))
		return false;
	clkv_seq_destroy(as->seq);
	as->seq = NULL;
	return true;
}

/* What is stored beside a prompt. */
static clkv_share_note note_of(const struct session *session, float *logits)
{
	size_t bytes = (size_t)session->model->vocabulary * sizeof *logits;
	return (clkv_share_note){.data = logits, .room = bytes, .size = bytes};
}

/* Without logits at least one token runs. */
static bool keep_last(struct engine_stream *stream, size_t n, struct tool_error *error)
{
	clkv_error cause = {0};
	if (stream->length < n)
		return true;
	stream->length = n - 1;
	return clkv_seq_truncate(stream->seq, n - 1, &cause) == CLKV_OK ||
	       tool_fail_clkv(error, "cutting a prompt's last token", &cause);
}

static bool get(const struct session *session, clkv_share *share, struct engine_stream *as,
                struct engine_stream *stream, const int32_t *tokens, size_t n, float *logits,
                bool *has_logits, struct tool_error *error)
{
	clkv_error cause = {0};
	clkv_share_note note = note_of(session, logits);
	clkv_seq_destroy(stream->seq);
	stream->seq = NULL;
	if (clkv_share_get(share, stream->cache, as->cache, tokens, n, engine_queue(session->engine),
	                   &stream->seq, &stream->length, &note, &cause) != CLKV_OK)
		return tool_fail_clkv(error, "asking the store", &cause);
	if (stream->seq == NULL)
		return session_stream_restart(stream, error);
	*has_logits = stream->length == n && note.size == note.room;
	return *has_logits || keep_last(stream, n, error);
}

bool generate_share_get(const struct session *session, const struct generate_share *share,
                        struct engine_stream *stream, const int32_t *tokens, size_t n,
                        float *logits, struct generate_share_report *report,
                        struct tool_error *error)
{
	struct engine_stream as;
	clkv_share *store = NULL;
	clkv_share_stats stats = CLKV_INIT(clkv_share_stats);
	double begin = tool_seconds();
	bool done = open_as(session, share->recipe, &as, error) &&
	            open_store(session, share, &store, error) &&
	            get(session, store, &as, stream, tokens, n, logits, &report->logits, error);
	if (done) {
		(void)clkv_share_get_stats(store, &stats, NULL);
		report->found = stream->length;
		report->read = stats.bytes_read;
		report->get_seconds = tool_seconds() - begin;
		(void)snprintf(report->missing, sizeof report->missing, "%s", stats.reason);
	}
	clkv_share_close(store);
	session_stream_close(&as);
	return done;
}

void generate_share_put(const struct session *session, const struct generate_share *share,
                        struct engine_stream *stream, const int32_t *tokens, size_t n,
                        float *logits, struct generate_share_report *report)
{
	clkv_share *store = NULL;
	clkv_share_stats stats = CLKV_INIT(clkv_share_stats);
	struct tool_error why = {""};
	clkv_error cause = {0};
	const clkv_share_note note = note_of(session, logits);
	double begin = tool_seconds();
	if (!open_store(session, share, &store, &why)) {
		(void)snprintf(report->missing, sizeof report->missing, "%s", why.text);
		return;
	}
	if (clkv_share_put(store, stream->seq, tokens, n, &note, engine_queue(session->engine),
	                   &cause) != CLKV_OK)
		(void)snprintf(report->missing, sizeof report->missing, "%s", cause.text);
	(void)clkv_share_get_stats(store, &stats, NULL);
	report->written = stats.bytes_written;
	report->put_seconds = tool_seconds() - begin;
	clkv_share_close(store);
}
