/* SPDX-License-Identifier: MIT */
/**
 * \file    text_rows.h
 * \brief   What a text's tokens ask for in every layer, and the keys and values that a stream holds of them.
 */
#ifndef TEXT_ROWS_H
#define TEXT_ROWS_H

#include <stdint.h>

#include "session.h"

/** A text as tokens. */
struct text_input {
	const int32_t *ids;
	size_t n;
};

/** Tokens of one pass in one layer. */
struct asked_rows {
	size_t layer, first, rows; /**< position of the first token; how many */
	const float *queries;      /**< [rows][q_heads][head_dim], behind RoPE */
	const float
		*norms; /**< [rows]: length of the residual stream's row into the layer's attention */
};

/** Runs n tokens into an empty stream as a prompt, and shows the rows of each layer of each pass. */
bool text_rows_run(struct session *session, struct engine_stream *stream, const int32_t *ids,
                   size_t n, void (*see)(void *opaque, const struct asked_rows *rows), void *opaque,
                   struct tool_error *error);

/** The first token of a text of n that counts: caches keep those before it in half as sinks. 0 where there are few others. */
size_t text_rows_first(size_t n);

/** Tokens that are read at a time where a text's are summed up. */
enum { TEXT_ROWS_PART = 256 };

/** Room for keys and values of some tokens of a layer, and which were read last. */
struct kept_rows {
	size_t most;
	size_t layer, first, n; /**< position of the first token; how many */
	float *keys, *values;   /**< [most][kv_heads][head_dim] */
	cl_mem device_keys, device_values;
};

/** Room for `most` tokens; kept_rows_close() releases it, also after a failure. */
bool kept_rows_open(const struct session *session, size_t most, struct kept_rows *rows,
                    struct tool_error *error);

/** Reads n tokens of a stream from position `from` on to the beginning of keys and values. */
bool kept_rows_read(const struct session *session, const struct engine_stream *stream, size_t layer,
                    size_t from, size_t n, struct kept_rows *rows, struct tool_error *error);

/** Shows tokens from .. to - 1 that a stream holds in a layer, as many at a time as there is room for. */
bool kept_rows_each(const struct session *session, const struct engine_stream *stream, size_t layer,
                    size_t from, size_t to, struct kept_rows *rows,
                    void (*see)(void *opaque, const struct kept_rows *rows), void *opaque,
                    struct tool_error *error);

void kept_rows_close(struct kept_rows *rows);

/** Who looks at a text: at what its tokens ask for (NULL: nobody), then, layer by layer, at the keys and values of those that
 *  count. */
struct text_viewer {
	void (*ask)(void *opaque, const struct asked_rows *rows);
	void (*see)(void *opaque, const struct kept_rows *rows);
	void *opaque;
};

/** Runs a text, in a stream of its own that keeps halves, and shows what it holds. */
bool text_rows_show(struct session *session, const struct text_input *text, struct kept_rows *rows,
                    const struct text_viewer *viewer, struct tool_error *error);

#endif
