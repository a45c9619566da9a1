/* SPDX-License-Identifier: MIT */
/**
 * \file    engine_few.c
 * \brief   The linear work of a layer for a few rows: four launches, quantized weights widened in registers.
 */
#include "engine_private.h"
#include "weight_panel.h"

/* Panels of a group: equal shares, an even number because they come in pairs. */
static int share(const struct engine *e, int n_panels)
{
	int n = (n_panels + (int)e->n_groups - 1) / (int)e->n_groups;
	return n + n % 2;
}

static int panels_of(int n_outputs)
{
	return (int)weight_panels((size_t)n_outputs);
}

static bool go(struct engine_launch *launch, int n_panels, struct tool_error *error)
{
	int chunk = share(launch->engine, n_panels);
	engine_arg_int(launch, chunk);
	return engine_go(launch, (size_t)((n_panels + chunk - 1) / chunk), 1, error);
}

/* Sums of blocks of x, and on GPUs the vectors that lanes add up: `memory` of dot.clh. */
static void memory_arg(struct engine_launch *launch, size_t rows, int n_in)
{
	size_t lanes = launch->engine->lanes;
	size_t n = rows * (size_t)(n_in / 32) + (lanes > 1 ? 4 * lanes : 0);
	engine_arg_local(launch, n * sizeof(float));
}

/* The five arguments that every layer behind a norm begins with. */
static struct engine_launch behind_norm(struct engine *e, cl_kernel kernel, enum engine_kind kind,
                                        size_t rows)
{
	struct engine_launch launch = engine_launch(e, kernel, kind);
	engine_arg_mem(&launch, e->x);
	engine_arg_mem(&launch, e->xw);
	engine_arg_int(&launch, e->model->dim);
	engine_arg_float(&launch, e->model->rms_epsilon);
	memory_arg(&launch, rows, e->model->dim);
	return launch;
}

bool engine_few_before(struct engine *e, const struct engine_layer *layer, size_t rows,
                       struct tool_error *error)
{
	struct engine_linear *linear;
	if (!engine_linear_for(e, rows, &linear, error))
		return false;
	int n_panels = panels_of(layer->q.n_out) + 2 * panels_of(layer->k.n_out);
	struct engine_launch launch = behind_norm(e, linear->qkv, ENGINE_QKV, rows);
	engine_arg_matrix(&launch, &layer->q);
	engine_arg_int(&launch, layer->q.n_out);
	engine_arg_matrix(&launch, &layer->k);
	engine_arg_matrix(&launch, &layer->v);
	engine_arg_int(&launch, layer->k.n_out);
	engine_arg_mem(&launch, e->rope);
	engine_arg_int(&launch, e->model->rope_dims);
	engine_arg_int(&launch, e->model->head_dim);
	engine_arg_mem(&launch, e->q);
	engine_arg_mem(&launch, e->k);
	engine_arg_mem(&launch, e->v);
	return go(&launch, n_panels, error);
}

static bool add_to_residual(struct engine *e, const struct engine_linear *linear,
                            enum engine_kind kind, cl_mem in, const struct engine_matrix *m,
                            cl_mem next_norm, size_t rows, struct tool_error *error)
{
	struct engine_launch launch = engine_launch(e, linear->add, kind);
	engine_arg_mem(&launch, in);
	engine_arg_int(&launch, m->n_in);
	memory_arg(&launch, rows, m->n_in);
	engine_arg_matrix(&launch, m);
	engine_arg_mem(&launch, e->x);
	engine_arg_mem(&launch, e->xw);
	engine_arg_mem(&launch, next_norm);
	engine_arg_int(&launch, m->n_out);
	return go(&launch, panels_of(m->n_out), error);
}

bool engine_few_after(struct engine *e, const struct engine_layer *layer, cl_mem next_norm,
                      size_t rows, struct tool_error *error)
{
	struct engine_linear *linear;
	if (!engine_linear_for(e, rows, &linear, error) ||
	    !add_to_residual(e, linear, ENGINE_ATTN_OUT, e->attended, &layer->attn_out, layer->ffn_norm,
	                     rows, error))
		return false;
	struct engine_launch launch = behind_norm(e, linear->gate, ENGINE_GATE, rows);
	engine_arg_matrix(&launch, &layer->gate);
	engine_arg_matrix(&launch, &layer->up);
	engine_arg_mem(&launch, e->gate);
	engine_arg_int(&launch, layer->gate.n_out);
	return go(&launch, panels_of(layer->gate.n_out), error) &&
	       add_to_residual(e, linear, ENGINE_DOWN, e->gate, &layer->down, next_norm, rows, error);
}

bool engine_few_logits(struct engine *e, size_t x_row, size_t out_row, size_t rows,
                       struct tool_error *error)
{
	struct engine_linear *linear;
	if (!engine_linear_for(e, rows, &linear, error))
		return false;
	struct engine_launch launch = behind_norm(e, linear->logits, ENGINE_LOGITS_OF, rows);
	engine_arg_int(&launch, (int)x_row);
	engine_arg_matrix(&launch, &e->output);
	engine_arg_mem(&launch, e->logits);
	engine_arg_int(&launch, e->output.n_out);
	engine_arg_int(&launch, (int)out_row);
	return go(&launch, panels_of(e->output.n_out), error);
}
