/* SPDX-License-Identifier: MIT */
/**
 * \file    generate_share.h
 * \brief   A prompt's beginning from a store, and the prompt into it.
 */
#ifndef GENERATE_SHARE_H
#define GENERATE_SHARE_H

#include "session.h"

struct generate_share {
	const char *url;    /**< NULL: no store */
	const char *recipe; /**< whose chunks are wanted; NULL: the cache's */
};

struct generate_share_report {
	size_t found; /**< tokens of the prompt that needn't run */
	double get_seconds, put_seconds;
	bool logits;            /**< those of the prompt's last token came with it */
	uint64_t read, written; /**< bytes */
	char missing[512];      /**< why there isn't more, or nothing was stored; or "" */
};

/** Whether this build has stores, if one is asked for. */
bool generate_share_allowed(const struct generate_share *share, struct tool_error *error);

/** Lets an empty stream begin with what the store has of the prompt. If that is all, logits [vocabulary] are those of its
 *  last token; if these aren't there, all but that token. A store that fails has nothing. */
bool generate_share_get(const struct session *session, const struct generate_share *share,
                        struct engine_stream *stream, const int32_t *tokens, size_t n,
                        float *logits, struct generate_share_report *report,
                        struct tool_error *error);

/** Stores the prompt, and its last token's logits. A store that fails is said in the report. */
void generate_share_put(const struct session *session, const struct generate_share *share,
                        struct engine_stream *stream, const int32_t *tokens, size_t n,
                        float *logits, struct generate_share_report *report);

#endif
