/* SPDX-License-Identifier: MIT */
/**
 * \file    session.h
 * \brief   What clkv-eval and clkv-generate both open: a device, a model, its tokenizer, an engine.
 */
#ifndef SESSION_H
#define SESSION_H

#include "engine.h"
#include "given_files.h"
#include "tokenizer.h"

struct session {
	clkv_context *context;
	clkv_device_info device;
	struct model *model;
	struct tokenizer *tokenizer;
	struct engine *engine;
	struct given_files given; /* for recipes that take some; session_close() frees them */
};

/** device is a name as clkv_context_open() takes it, or NULL. On failure *session is closed. */
bool session_open(struct session *session, const char *model_path, const char *device,
                  const struct engine_options *options, struct tool_error *error);

void session_close(struct session *session);

/** A cache of one recipe with one empty sequence. max_tokens is all that the sequence will hold. */
bool session_stream_open(const struct session *session, const char *recipe, size_t max_tokens,
                         struct engine_stream *stream, struct tool_error *error);

/** The same with room for forks, SESSION_FORK_TOKENS each behind what they share. */
#define SESSION_FORK_TOKENS 1024
bool session_stream_open_forked(const struct session *session, const char *recipe,
                                size_t max_tokens, size_t forks, struct engine_stream *stream,
                                struct tool_error *error);

/** A stream that begins with what another one holds, in the same cache; it doesn't trace. */
bool session_stream_fork(const struct engine_stream *stream, struct engine_stream *fork,
                         struct tool_error *error);

/** Drops a fork; the cache stays the first stream's. */
void session_stream_fork_close(struct engine_stream *fork);

/** Runs n tokens through the model into an empty stream, in chunks, as a prompt. bar may be NULL. */
bool session_prompt(struct session *session, struct engine_stream *stream, const int32_t *ids,
                    size_t n, const char *bar, struct tool_error *error);

void session_stream_close(struct engine_stream *stream);

/** A new, empty sequence in the stream's cache, in place of the old one. */
bool session_stream_restart(struct engine_stream *stream, struct tool_error *error);

/** Bytes that hold the stream's tokens now, the cache's code tables among them. */
bool session_stream_bytes(const struct engine_stream *stream, uint64_t *bytes,
                          struct tool_error *error);

/** Says in words why a stream of a recipe that seals has sealed nothing, and from which length on it will; text holds
 *  SESSION_HALF_BYTES. Returns false, and "", if there is nothing to say. */
#define SESSION_HALF_BYTES 192
bool session_half_note(const struct engine_stream *stream, char *text);

/** Says it on standard error, with the recipe. */
void session_half_say(const struct engine_stream *stream, const char *recipe);

/** Bytes of a token in half, all layers. */
size_t session_f16_bytes(const struct session *session);

#endif
