/* SPDX-License-Identifier: MIT */
/**
 * \file    reread.h
 * \brief   Prompts that the model reads again before they end, where a recipe judges tokens by it.
 */
#ifndef REREAD_H
#define REREAD_H

#include "session.h"

/** Phase of the last rows of a stream's prompt: the prompt's end, or not yet, where reread_end() ends it. */
clkv_phase reread_last_phase(const struct engine_stream *stream);

/** Ends a prompt of n tokens whose last rows were committed with that phase: where the recipe wants it, the model reads them
 *  again first, in chunks, each asked for by words that stand in front. This takes longer than the prompt did, as each
 *  row attends to all of it, and is weighed. bar may be NULL. */
bool reread_end(struct session *session, struct engine_stream *stream, const int32_t *ids, size_t n,
                const char *bar, struct tool_error *error);

#endif
