/* SPDX-License-Identifier: MIT */
/**
 * \file    engine_pass.c
 * \brief   One forward pass: rows of all streams through the linear layers together, attention per
 *          stream by clkv.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine_private.h"

struct pass {
	struct engine *e;
	const struct engine_pass *in;
	size_t n_own;      /* streams with a hidden state of their own: the first ones */
	size_t rows;       /* of these */
	clkv_step **steps; /* [n_streams] */
};

/* Doesn't wait: `data` stays as it is until the pass is over. */
static bool write_buffer(struct engine *e, cl_mem mem, const void *data, size_t size,
                         struct tool_error *error)
{
	cl_int code = clEnqueueWriteBuffer(e->queue, mem, CL_FALSE, 0, size, data, 0, NULL, NULL);
	return code == CL_SUCCESS || tool_fail_cl(error, "clEnqueueWriteBuffer", code);
}

static bool write_angles(struct pass *p, struct tool_error *error)
{
	struct engine *e = p->e;
	size_t pairs = (size_t)e->model->rope_dims / 2;
	float *out = e->angles;
	for (size_t s = 0; s < p->n_own; s++) {
		for (size_t i = 0; i < p->in->n_each; i++) {
			double position = (double)(p->in->streams[s]->length + i);
			for (size_t j = 0; j < pairs; j++) {
				double angle = position * e->frequencies[j];
				*out++ = (float)cos(angle);
				*out++ = (float)sin(angle);
			}
		}
	}
	return write_buffer(e, e->rope, e->angles, p->rows * pairs * 2 * sizeof(float), error);
}

static bool embed(struct pass *p, struct tool_error *error)
{
	struct engine *e = p->e;
	for (size_t i = 0; i < p->rows; i++) {
		if (p->in->tokens[i] < 0 || p->in->tokens[i] >= e->model->vocabulary)
			return tool_fail(error, "token %d is outside the model's vocabulary of %d",
			                 (int)p->in->tokens[i], e->model->vocabulary);
	}
	memcpy(e->host_tokens, p->in->tokens, p->rows * sizeof(int32_t));
	if (!write_buffer(e, e->tokens, e->host_tokens, p->rows * sizeof(int32_t), error))
		return false;
	struct engine_launch launch = engine_launch(e, e->rows.embed, ENGINE_EMBED);
	engine_arg_mem(&launch, e->tokens);
	engine_arg_matrix(&launch, &e->embedding);
	launch.weight_bytes = 0; /* a row of them */
	engine_arg_int(&launch, e->model->dim);
	engine_arg_mem(&launch, e->layers[0].attn_norm);
	engine_arg_mem(&launch, e->x);
	engine_arg_mem(&launch, e->xw);
	return engine_go(&launch, p->rows, 1, error);
}

static bool begin_steps(struct pass *p, struct tool_error *error)
{
	for (size_t s = 0; s < p->in->n_streams; s++) {
		clkv_error cause = {0};
		const struct engine_stream *stream = p->in->streams[s];
		clkv_step_item item = {stream->seq, p->in->n_each, p->in->phase};
		if (clkv_step_begin(stream->cache, &item, 1, p->e->queue, &p->steps[s], &cause) != CLKV_OK)
			return tool_fail_clkv(error, "beginning a step", &cause);
	}
	return true;
}

/* The rows of stream s in a buffer of `width` floats per row. */
static clkv_tensor rows_of(const struct pass *p, cl_mem mem, size_t s, size_t width)
{
	return (clkv_tensor){.mem = mem, .offset = s * p->in->n_each * width, .dtype = CLKV_F32};
}

/* What attention made of a layer, for those who compare. */
static bool show(const struct pass *p, int layer, struct tool_error *error)
{
	const struct engine *e = p->e;
	const struct engine_followers *f = p->in->followers;
	const size_t rows = p->in->n_streams * p->in->n_each;
	const size_t out_size = rows * (size_t)e->layers[layer].q.n_out * sizeof(float);
	const size_t lse_size = rows * (size_t)e->model->q_heads * sizeof(float);
	cl_int code =
		clEnqueueReadBuffer(e->queue, e->attended, CL_TRUE, 0, out_size, f->out, 0, NULL, NULL);
	if (code == CL_SUCCESS)
		code = clEnqueueReadBuffer(e->queue, e->lse, CL_TRUE, 0, lse_size, f->lse, 0, NULL, NULL);
	if (code != CL_SUCCESS)
		return tool_fail_cl(error, "reading what attention gave", code);
	f->see(f->opaque, layer);
	return true;
}

static bool attention(struct pass *p, int layer, struct tool_error *error)
{
	struct engine *e = p->e;
	size_t q_dim = (size_t)e->layers[layer].q.n_out;
	size_t kv_dim = (size_t)e->layers[layer].k.n_out;
	for (size_t s = 0; s < p->in->n_streams; s++) {
		clkv_error cause = {0};
		const size_t from = s < p->n_own ? s : 0;
		clkv_tensor k = rows_of(p, e->k, from, kv_dim);
		clkv_tensor v = rows_of(p, e->v, from, kv_dim);
		clkv_attend_args args = CLKV_INIT(clkv_attend_args);
		args.q = rows_of(p, e->q, from, q_dim);
		args.out = rows_of(p, e->attended, s, q_dim);
		args.lse = p->in->followers != NULL ? e->lse : NULL;
		args.lse_offset = args.lse != NULL ? s * p->in->n_each * (size_t)e->model->q_heads : 0;
		/* the queue is in order: no events are needed between the engine's kernels and clkv's */
		cl_event events[2] = {NULL, NULL};
		cl_event *stored = e->profile != NULL ? &events[0] : NULL;
		cl_event *attended = e->profile != NULL ? &events[1] : NULL;
		if (clkv_step_append(p->steps[s], layer, &k, &v, 0, NULL, stored, &cause) != CLKV_OK ||
		    clkv_step_attend(p->steps[s], layer, &args, 0, NULL, attended, &cause) != CLKV_OK)
			return tool_fail_clkv(error, "attention", &cause);
		if (!engine_trace_keep(e, p->in->streams[s], layer, args.q.offset, p->in->n_each, error))
			return false;
		if (e->profile != NULL) {
			engine_profile_note(e->profile, ENGINE_APPEND, events[0], 0);
			engine_profile_note(e->profile, ENGINE_ATTEND, events[1], 0);
		}
	}
	return p->in->followers == NULL || show(p, layer, error);
}

/* Lengths of the residual stream's rows, which attention adds to. */
static bool measure_rows(const struct pass *p, int layer, struct tool_error *error)
{
	const struct engine *e = p->e;
	const size_t dim = (size_t)e->model->dim;
	float *rows = malloc(p->rows * dim * sizeof *rows);
	if (rows == NULL)
		return tool_fail(error, "out of memory");
	cl_int code = clEnqueueReadBuffer(e->queue, e->x, CL_TRUE, 0, p->rows * dim * sizeof *rows,
	                                  rows, 0, NULL, NULL);
	for (size_t r = 0; r < p->rows && code == CL_SUCCESS; r++) {
		double sum = 0;
		for (size_t i = 0; i < dim; i++)
			sum += (double)rows[r * dim + i] * (double)rows[r * dim + i];
		p->in->norms[(size_t)layer * p->rows + r] = (float)sqrt(sum);
	}
	free(rows);
	return code == CL_SUCCESS || tool_fail_cl(error, "reading the residual stream", code);
}

static cl_mem norm_behind(const struct engine *e, int layer)
{
	return layer + 1 < e->model->n_layers ? e->layers[layer + 1].attn_norm : e->output_norm;
}

static bool run_layers(struct pass *p, struct tool_error *error)
{
	struct engine *e = p->e;
	for (int i = 0; i < e->model->n_layers; i++) {
		const struct engine_layer *layer = &e->layers[i];
		bool few = p->rows <= ENGINE_FEW_ROWS;
		if (!(few ? engine_few_before(e, layer, p->rows, error)
		          : engine_many_before(e, layer, p->rows, error)) ||
		    !attention(p, i, error) || (p->in->norms != NULL && !measure_rows(p, i, error)))
			return false;
		/* a prompt of which no logits are wanted needs nothing behind its last K and V */
		if (i + 1 == e->model->n_layers && p->in->want == ENGINE_NO_LOGITS)
			return true;
		if (!(few ? engine_few_after(e, layer, norm_behind(e, i), p->rows, error)
		          : engine_many_after(e, layer, p->rows, error)))
			return false;
	}
	return p->rows <= ENGINE_FEW_ROWS || engine_weigh(e, e->output_norm, p->rows, error);
}

static bool reserve_logits(struct engine *e, size_t rows, struct tool_error *error)
{
	cl_int code;
	if (rows <= e->n_logit_rows)
		return true;
	if (e->logits != NULL)
		(void)clReleaseMemObject(e->logits);
	e->n_logit_rows = 0;
	e->logits = clCreateBuffer(e->context, CL_MEM_READ_WRITE,
	                           rows * (size_t)e->model->vocabulary * sizeof(float), NULL, &code);
	if (code != CL_SUCCESS)
		return tool_fail_cl(error, "clCreateBuffer (logits)", code);
	e->n_logit_rows = rows;
	return true;
}

static bool read_logits(struct pass *p, struct tool_error *error)
{
	struct engine *e = p->e;
	bool all = p->in->want == ENGINE_ALL_LOGITS || p->in->n_each == 1;
	size_t wanted = all ? p->rows : p->n_own;
	if (!reserve_logits(e, wanted, error))
		return false;
	for (size_t done = 0; done < wanted;) {
		size_t left = wanted - done;
		size_t n = !all ? 1 : left < ENGINE_FEW_ROWS ? left : ENGINE_FEW_ROWS;
		size_t x_row = all ? done : (done + 1) * p->in->n_each - 1;
		if (!engine_few_logits(e, x_row, done, n, error))
			return false;
		done += n;
	}
	cl_event event;
	cl_int code = clEnqueueReadBuffer(e->queue, e->logits, CL_TRUE, 0,
	                                  wanted * (size_t)e->model->vocabulary * sizeof(float),
	                                  p->in->logits, 0, NULL, e->profile != NULL ? &event : NULL);
	if (code == CL_SUCCESS && e->profile != NULL)
		engine_profile_note(e->profile, ENGINE_READ, event, 0);
	return code == CL_SUCCESS || tool_fail_cl(error, "reading logits", code);
}

/* Commits or drops every step; the streams move on only when all did. */
static bool end_steps(struct pass *p, struct tool_error *error)
{
	for (size_t s = 0; s < p->in->n_streams; s++) {
		clkv_error cause = {0};
		if (p->in->dry) {
			clkv_step_abort(p->steps[s]);
		} else if (clkv_step_commit(p->steps[s], NULL, &cause) != CLKV_OK) {
			return tool_fail_clkv(error, "committing a step", &cause);
		} else if (p->in->phase != CLKV_REREAD) {
			p->in->streams[s]->length += p->in->n_each;
		}
		p->steps[s] = NULL;
	}
	return true;
}

static bool run(struct pass *p, struct tool_error *error)
{
	/* a pass without logits may still read what this one is about to write */
	if (p->e->under_way && !engine_finish(p->e, error))
		return false;
	p->e->under_way = true;
	if (!begin_steps(p, error) || !write_angles(p, error) || !embed(p, error) ||
	    !run_layers(p, error) || (p->in->want != ENGINE_NO_LOGITS && !read_logits(p, error)))
		return false;
	p->e->under_way = p->in->want == ENGINE_NO_LOGITS;
	if (p->e->profile != NULL &&
	    (!engine_finish(p->e, error) || !engine_profile_collect(p->e->profile, error)))
		return false;
	return end_steps(p, error);
}

bool engine_run(struct engine *e, const struct engine_pass *in, struct tool_error *error)
{
	const size_t rows = in->n_streams * in->n_each,
				 n_own = in->followers != NULL ? 1 : in->n_streams;
	struct pass p = {e, in, n_own, n_own * in->n_each, NULL};
	if (rows < 1 || rows > e->max_rows)
		return tool_fail(error, "a pass of %zu rows; 1 to %zu are possible", rows, e->max_rows);
	p.steps = calloc(in->n_streams, sizeof *p.steps);
	if (p.steps == NULL)
		return tool_fail(error, "out of memory");
	bool done = run(&p, error);
	for (size_t s = 0; s < in->n_streams && !done; s++)
		clkv_step_abort(p.steps[s]);
	free(p.steps);
	return done;
}
