/* SPDX-License-Identifier: MIT */
/**
 * \file    engine_few.c
 * \brief   The linear work of a layer for a few rows: four launches, quantized weights widened in registers.
 */
#include "engine_private.h"
#include "weight_panel.h"

static size_t panels_of(int n_outputs)
{
	return weight_panels((size_t)n_outputs);
}

/* Groups share pairs of panels. */
static bool go(struct engine_launch *launch, size_t n_panels, struct tool_error *error)
{
	size_t most = launch->engine->n_groups;
	return engine_go(launch, n_panels / 2 < most ? n_panels / 2 : most, 1, error);
}

/* The two arguments that every layer behind a norm begins with. */
static struct engine_launch behind_norm(struct engine *e, cl_kernel kernel, enum engine_kind kind)
{
	struct engine_launch launch = engine_launch(e, kernel, kind);
	engine_arg_mem(&launch, e->x);
	engine_arg_mem(&launch, e->xw);
	return launch;
}

bool engine_few_before(struct engine *e, const struct engine_layer *layer, size_t rows,
                       struct tool_error *error)
{
	struct engine_linear *linear;
	if (!engine_linear_for(e, rows, &linear, error))
		return false;
	size_t n_panels = panels_of(layer->q.n_out) + 2 * panels_of(layer->k.n_out);
	struct engine_launch launch = behind_norm(e, linear->qkv, ENGINE_QKV);
	engine_arg_matrix(&launch, &layer->q);
	engine_arg_matrix(&launch, &layer->k);
	engine_arg_matrix(&launch, &layer->v);
	engine_arg_mem(&launch, e->rope);
	engine_arg_mem(&launch, e->q);
	engine_arg_mem(&launch, e->k);
	engine_arg_mem(&launch, e->v);
	return go(&launch, n_panels, error);
}

static bool add_to_residual(struct engine *e, const struct engine_linear *linear,
                            enum engine_kind kind, cl_mem in, const struct engine_matrix *m,
                            cl_mem next_norm, struct tool_error *error)
{
	struct engine_launch launch = engine_launch(e, linear->add, kind);
	engine_arg_mem(&launch, in);
	engine_arg_int(&launch, m->n_in);
	engine_arg_matrix(&launch, m);
	engine_arg_mem(&launch, e->x);
	engine_arg_mem(&launch, e->xw);
	engine_arg_mem(&launch, next_norm);
	return go(&launch, panels_of(m->n_out), error);
}

bool engine_few_after(struct engine *e, const struct engine_layer *layer, cl_mem next_norm,
                      size_t rows, struct tool_error *error)
{
	struct engine_linear *linear;
	if (!engine_linear_for(e, rows, &linear, error) ||
	    !add_to_residual(e, linear, ENGINE_ATTN_OUT, e->attended, &layer->attn_out, layer->ffn_norm,
	                     error))
		return false;
	struct engine_launch launch = behind_norm(e, linear->gate, ENGINE_GATE);
	engine_arg_matrix(&launch, &layer->gate);
	engine_arg_matrix(&launch, &layer->up);
	engine_arg_mem(&launch, e->gate);
	return go(&launch, panels_of(layer->gate.n_out), error) &&
	       add_to_residual(e, linear, ENGINE_DOWN, e->gate, &layer->down, next_norm, error);
}

bool engine_few_logits(struct engine *e, size_t x_row, size_t out_row, size_t rows,
                       struct tool_error *error)
{
	struct engine_linear *linear;
	if (!engine_linear_for(e, rows, &linear, error))
		return false;
	struct engine_launch launch = behind_norm(e, linear->logits, ENGINE_LOGITS_OF);
	engine_arg_int(&launch, (int)x_row);
	engine_arg_matrix(&launch, &e->output);
	engine_arg_mem(&launch, e->logits);
	engine_arg_int(&launch, (int)out_row);
	return go(&launch, panels_of(e->output.n_out), error);
}
