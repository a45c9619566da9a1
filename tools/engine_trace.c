/* SPDX-License-Identifier: MIT */
/**
 * \file    engine_trace.c
 * \brief   Queries of a stream's newest rows, kept for copies of it.
 *
 * A row of the trace is a row of the engine's queries: f32 [q_heads][head_dim]; row `position %
 * trace_rows` of its layer.
 */
#include "engine_private.h"

static size_t row_bytes(const struct engine *e)
{
	return (size_t)e->layers[0].q.n_out * sizeof(float);
}

static size_t trace_row(const struct engine_stream *stream, int layer, size_t position)
{
	return (size_t)layer * stream->trace_rows + position % stream->trace_rows;
}

bool engine_trace(struct engine *e, struct engine_stream *stream, size_t rows,
                  struct tool_error *error)
{
	cl_int code;
	size_t bytes = (size_t)e->model->n_layers * rows * row_bytes(e);
	cl_mem mem = clCreateBuffer(e->context, CL_MEM_READ_WRITE, bytes, NULL, &code);
	if (code != CL_SUCCESS)
		return tool_fail_cl(error, "clCreateBuffer (queries)", code);
	stream->queries = mem;
	stream->trace_rows = rows;
	return true;
}

/* Rows from position `from` on, to or from row `row` of the engine's queries; in two parts where they wrap. */
static bool move(struct engine *e, const struct engine_stream *stream, bool keep, int layer,
                 size_t from, size_t row, size_t rows, struct tool_error *error)
{
	size_t size = row_bytes(e);
	cl_mem trace = stream->queries;
	while (rows > 0) {
		size_t room = stream->trace_rows - from % stream->trace_rows, n = rows < room ? rows : room;
		size_t in_trace = trace_row(stream, layer, from) * size, in_q = row * size;
		cl_int code = keep ? clEnqueueCopyBuffer(e->queue, e->q, trace, in_q, in_trace, n * size, 0,
		                                         NULL, NULL)
		                   : clEnqueueCopyBuffer(e->queue, trace, e->q, in_trace, in_q, n * size, 0,
		                                         NULL, NULL);
		if (code != CL_SUCCESS)
			return tool_fail_cl(error, "clEnqueueCopyBuffer", code);
		from += n;
		row += n;
		rows -= n;
	}
	return true;
}

bool engine_trace_keep(struct engine *e, const struct engine_stream *stream, int layer,
                       size_t q_offset, size_t rows, struct tool_error *error)
{
	size_t row = q_offset * sizeof(float) / row_bytes(e);
	if (stream->queries == NULL)
		return true;
	size_t skipped = rows > stream->trace_rows ? rows - stream->trace_rows : 0;
	return move(e, stream, true, layer, stream->length + skipped, row + skipped, rows - skipped,
	            error);
}

bool engine_trace_has(const struct engine_stream *stream, size_t from)
{
	return stream->queries != NULL && from + stream->trace_rows >= stream->length;
}

bool engine_trace_ask(struct engine *e, clkv_step *step, const struct engine_stream *source,
                      int layer, size_t from, size_t rows, struct tool_error *error)
{
	clkv_error cause = {0};
	clkv_attend_args args = CLKV_INIT(clkv_attend_args);
	args.q = (clkv_tensor){.mem = e->q, .dtype = CLKV_F32};
	args.out = (clkv_tensor){.mem = e->attended, .dtype = CLKV_F32};
	if (!move(e, source, false, layer, from, 0, rows, error))
		return false;
	return clkv_step_attend(step, layer, &args, 0, NULL, NULL, &cause) == CLKV_OK ||
	       tool_fail_clkv(error, "asking the prompt's queries", &cause);
}
