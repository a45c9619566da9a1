/* SPDX-License-Identifier: MIT */
/**
 * \file    engine_many.c
 * \brief   The linear work of a layer for many rows: matrix products, and kernels between them.
 */
#include <clblast_c.h>

#include "engine_private.h"

/* Outputs of a panel: WIDTH of matmul.cl. */
#define PANEL_WIDTH 48

static size_t padded(size_t rows)
{
	return (rows + ENGINE_ROW_PADDING - 1) / ENGINE_ROW_PADDING * ENGINE_ROW_PADDING;
}

/* Panels alone keep all units busy in wide layers; narrow ones are parted by rows as well. */
static bool multiply_blocked(struct engine *e, cl_mem in, const struct engine_matrix *m, cl_mem out,
                             bool add, size_t rows, struct tool_error *error)
{
	size_t panels = ((size_t)m->n_out + PANEL_WIDTH - 1) / PANEL_WIDTH;
	size_t parts = (e->n_groups + panels - 1) / panels;
	size_t share = padded((padded(rows) + parts - 1) / parts);
	struct engine_launch launch = engine_launch(e, e->rows.matmul, ENGINE_MANY);
	engine_arg_mem(&launch, in);
	engine_arg_int(&launch, m->n_in);
	engine_arg_matrix(&launch, m);
	engine_arg_mem(&launch, out);
	engine_arg_int(&launch, m->n_out);
	engine_arg_int(&launch, add);
	engine_arg_int(&launch, (int)padded(rows));
	engine_arg_int(&launch, (int)share);
	return engine_go(&launch, panels, (padded(rows) + share - 1) / share, error);
}

static bool multiply_blas(struct engine *e, cl_mem in, const struct engine_matrix *m, cl_mem out,
                          bool add, size_t rows, struct tool_error *error)
{
	cl_ulong blocks = (cl_ulong)m->n_out * (cl_ulong)(m->n_in / 32);
	struct engine_launch launch = engine_launch(e, e->rows.widen, ENGINE_MANY);
	engine_arg_matrix(&launch, m);
	engine_arg_int(&launch, m->n_in);
	cl_int code = clSetKernelArg(launch.kernel, launch.n_args++, sizeof blocks, &blocks);
	if (code != CL_SUCCESS)
		return tool_fail_cl(error, "clSetKernelArg", code);
	engine_arg_mem(&launch, e->widened);
	if (!engine_go(&launch, (size_t)(blocks + e->lanes - 1) / e->lanes, 1, error))
		return false;
	size_t n_in = (size_t)m->n_in;
	size_t n_out = (size_t)m->n_out;
	CLBlastStatusCode status = CLBlastSgemm(
		CLBlastLayoutRowMajor, CLBlastTransposeNo, CLBlastTransposeYes, rows, n_out, n_in, 1.0F, in,
		0, n_in, e->widened, 0, n_in, add ? 1.0F : 0.0F, out, 0, n_out, &e->queue, NULL);
	return status == CLBlastSuccess || tool_fail_cl(error, "CLBlastSgemm", (cl_int)status);
}

/* out [rows][n_out] (+)= in [rows][n_in] . m */
static bool multiply(struct engine *e, cl_mem in, const struct engine_matrix *m, cl_mem out,
                     bool add, size_t rows, struct tool_error *error)
{
	return e->uses_blas ? multiply_blas(e, in, m, out, add, rows, error)
	                    : multiply_blocked(e, in, m, out, add, rows, error);
}

static bool norm(struct engine *e, cl_mem weights, size_t rows, struct tool_error *error)
{
	struct engine_launch launch = engine_launch(e, e->rows.norm, ENGINE_MANY);
	engine_arg_mem(&launch, e->x);
	engine_arg_mem(&launch, weights);
	engine_arg_int(&launch, e->model->dim);
	engine_arg_float(&launch, e->model->rms_epsilon);
	engine_arg_mem(&launch, e->xw);
	return engine_go(&launch, rows, 1, error);
}

static bool rope(struct engine *e, cl_mem heads, int n_heads, size_t rows, struct tool_error *error)
{
	struct engine_launch launch = engine_launch(e, e->rows.rope, ENGINE_MANY);
	engine_arg_mem(&launch, heads);
	engine_arg_int(&launch, n_heads);
	engine_arg_int(&launch, e->model->head_dim);
	engine_arg_mem(&launch, e->rope);
	engine_arg_int(&launch, e->model->rope_dims);
	return engine_go(&launch, rows, 1, error);
}

bool engine_many_before(struct engine *e, const struct engine_layer *layer, size_t rows,
                        struct tool_error *error)
{
	return norm(e, layer->attn_norm, rows, error) &&
	       multiply(e, e->xw, &layer->q, e->q, false, rows, error) &&
	       multiply(e, e->xw, &layer->k, e->k, false, rows, error) &&
	       multiply(e, e->xw, &layer->v, e->v, false, rows, error) &&
	       rope(e, e->q, e->model->q_heads, rows, error) &&
	       rope(e, e->k, e->model->kv_heads, rows, error);
}

bool engine_many_after(struct engine *e, const struct engine_layer *layer, size_t rows,
                       struct tool_error *error)
{
	if (!multiply(e, e->attended, &layer->attn_out, e->x, true, rows, error) ||
	    !norm(e, layer->ffn_norm, rows, error) ||
	    !multiply(e, e->xw, &layer->gate, e->gate, false, rows, error) ||
	    !multiply(e, e->xw, &layer->up, e->up, false, rows, error))
		return false;
	struct engine_launch launch = engine_launch(e, e->rows.silu, ENGINE_MANY);
	engine_arg_mem(&launch, e->gate);
	engine_arg_mem(&launch, e->up);
	engine_arg_int(&launch, e->model->ff_dim);
	return engine_go(&launch, rows, 1, error) &&
	       multiply(e, e->gate, &layer->down, e->x, true, rows, error);
}

bool engine_weigh(struct engine *e, cl_mem weights, size_t rows, struct tool_error *error)
{
	struct engine_launch launch = engine_launch(e, e->rows.weigh, ENGINE_MANY);
	engine_arg_mem(&launch, e->x);
	engine_arg_mem(&launch, weights);
	engine_arg_int(&launch, e->model->dim);
	engine_arg_mem(&launch, e->xw);
	return engine_go(&launch, rows, 1, error);
}
