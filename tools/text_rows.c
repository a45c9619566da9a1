/* SPDX-License-Identifier: MIT */
/** \file text_rows.c \brief Queries are traced pass by pass: a trace as long as a pass begins anew with each. */
#include "text_rows.h"

#include "progress.h"

#include <stdlib.h>

/* Tokens that are left out of a text. */
enum { SINKS = 64 };

size_t text_rows_first(size_t n)
{
	return n >= 2 * SINKS ? SINKS : 0;
}

/* Where the rows of a pass are put. */
struct room {
	float *queries; /* [rows of a pass][q_heads][head_dim] */
	float *norms;   /* [layers][rows of the pass] */
};

static size_t query_floats(const struct model *m)
{
	return (size_t)m->q_heads * (size_t)m->head_dim;
}

static bool read_queries(const struct session *session, const struct engine_stream *stream,
                         size_t layer, size_t rows, float *queries, struct tool_error *error)
{
	const size_t size = query_floats(session->model) * sizeof(float);
	cl_int code =
		clEnqueueReadBuffer(engine_queue(session->engine), stream->queries, CL_TRUE,
	                        layer * stream->trace_rows * size, rows * size, queries, 0, NULL, NULL);
	return code == CL_SUCCESS || tool_fail_cl(error, "reading queries", code);
}

static bool run_pass(struct session *session, struct engine_stream *stream, const int32_t *ids,
                     size_t rows, bool last, float *norms, struct tool_error *error)
{
	const struct engine_pass pass = {
		.streams = &stream,
		.n_streams = 1,
		.tokens = ids,
		.n_each = rows,
		.phase = last ? CLKV_PROMPT_END : CLKV_PROMPT,
		.want = ENGINE_NO_LOGITS,
		.norms = norms,
	};
	return engine_run(session->engine, &pass, error) && engine_finish(session->engine, error);
}

static bool run_all(struct session *session, struct engine_stream *stream, const int32_t *ids,
                    size_t n, const struct room *room,
                    void (*see)(void *opaque, const struct asked_rows *rows), void *opaque,
                    struct tool_error *error)
{
	const size_t most = stream->trace_rows, layers = (size_t)session->model->n_layers;
	for (size_t done = 0, rows; done < n; done += rows) {
		rows = n - done < most ? n - done : most;
		if (!run_pass(session, stream, ids + done, rows, done + rows == n, room->norms, error))
			return false;
		for (size_t l = 0; l < layers; l++) {
			const struct asked_rows asked = {l, done, rows, room->queries, room->norms + l * rows};
			if (!read_queries(session, stream, l, rows, room->queries, error))
				return false;
			see(opaque, &asked);
		}
		progress_show("queries", done + rows, n);
	}
	return true;
}

bool text_rows_run(struct session *session, struct engine_stream *stream, const int32_t *ids,
                   size_t n, void (*see)(void *opaque, const struct asked_rows *rows), void *opaque,
                   struct tool_error *error)
{
	const size_t most = engine_max_rows(session->engine);
	if (!engine_trace(session->engine, stream, most, error))
		return false;
	struct room room = {
		.queries = calloc(most * query_floats(session->model), sizeof(float)),
		.norms = calloc(most * (size_t)session->model->n_layers, sizeof(float)),
	};
	bool done = room.queries && room.norms
	                ? run_all(session, stream, ids, n, &room, see, opaque, error)
	                : tool_fail(error, "out of memory");
	free(room.queries);
	free(room.norms);
	return done;
}

static size_t row_floats(const struct session *session)
{
	return (size_t)session->model->kv_heads * (size_t)session->model->head_dim;
}

bool kept_rows_open(const struct session *session, size_t most, struct kept_rows *rows,
                    struct tool_error *error)
{
	const size_t floats = most * row_floats(session);
	cl_context cl = clkv_context_cl(session->context);
	cl_int code;
	*rows = (struct kept_rows){
		.most = most,
		.keys = calloc(floats, sizeof(float)),
		.values = calloc(floats, sizeof(float)),
	};
	if (!rows->keys || !rows->values)
		return tool_fail(error, "out of memory");
	rows->device_keys = clCreateBuffer(cl, CL_MEM_READ_WRITE, floats * sizeof(float), NULL, &code);
	if (code == CL_SUCCESS)
		rows->device_values =
			clCreateBuffer(cl, CL_MEM_READ_WRITE, floats * sizeof(float), NULL, &code);
	return code == CL_SUCCESS || tool_fail_cl(error, "clCreateBuffer (keys and values)", code);
}

bool kept_rows_read(const struct session *session, const struct engine_stream *stream, size_t layer,
                    size_t from, size_t n, struct kept_rows *rows, struct tool_error *error)
{
	clkv_error cause = {0};
	cl_command_queue queue = engine_queue(session->engine);
	const size_t size = n * row_floats(session) * sizeof(float);
	rows->layer = layer, rows->first = from, rows->n = n;
	const clkv_tensor k = {.mem = rows->device_keys, .dtype = CLKV_F32};
	const clkv_tensor v = {.mem = rows->device_values, .dtype = CLKV_F32};
	if (clkv_seq_read(stream->seq, (int)layer, from, n, &k, &v, queue, &cause) != CLKV_OK)
		return tool_fail_clkv(error, "reading keys and values", &cause);
	cl_int code =
		clEnqueueReadBuffer(queue, rows->device_keys, CL_TRUE, 0, size, rows->keys, 0, NULL, NULL);
	if (code == CL_SUCCESS)
		code = clEnqueueReadBuffer(queue, rows->device_values, CL_TRUE, 0, size, rows->values, 0,
		                           NULL, NULL);
	return code == CL_SUCCESS || tool_fail_cl(error, "reading keys and values", code);
}

bool kept_rows_each(const struct session *session, const struct engine_stream *stream, size_t layer,
                    size_t from, size_t to, struct kept_rows *rows,
                    void (*see)(void *opaque, const struct kept_rows *rows), void *opaque,
                    struct tool_error *error)
{
	for (; from < to; from += rows->most) {
		const size_t n = to - from < rows->most ? to - from : rows->most;
		if (!kept_rows_read(session, stream, layer, from, n, rows, error))
			return false;
		see(opaque, rows);
	}
	return true;
}

void kept_rows_close(struct kept_rows *rows)
{
	if (rows->device_keys)
		(void)clReleaseMemObject(rows->device_keys);
	if (rows->device_values)
		(void)clReleaseMemObject(rows->device_values);
	free(rows->keys);
	free(rows->values);
	*rows = (struct kept_rows){0};
}

/* Without someone who looks at queries none are traced. */
static bool run_shown(struct session *session, struct engine_stream *stream,
                      const struct text_input *text, const struct text_viewer *viewer,
                      struct tool_error *error)
{
	return viewer->ask != NULL
	           ? text_rows_run(session, stream, text->ids, text->n, viewer->ask, viewer->opaque,
	                           error)
	           : session_prompt(session, stream, text->ids, text->n, "tokens", error);
}

bool text_rows_show(struct session *session, const struct text_input *text, struct kept_rows *rows,
                    const struct text_viewer *viewer, struct tool_error *error)
{
	const size_t layers = (size_t)session->model->n_layers, first = text_rows_first(text->n);
	struct engine_stream stream = {0};
	bool done = session_stream_open(session, "f16", text->n, &stream, error) &&
	            run_shown(session, &stream, text, viewer, error);
	for (size_t l = 0; l < layers && done; l++) {
		done = kept_rows_each(session, &stream, l, first, text->n, rows, viewer->see,
		                      viewer->opaque, error);
		progress_show("rows", l + 1, layers);
	}
	session_stream_close(&stream);
	return done;
}
