/* SPDX-License-Identifier: MIT */
/**
 * \file    engine_few.c
 * \brief   The linear work of a layer for a few rows: four launches, quantized weights widened in registers.
 */
#include "engine_private.h"

/* Outputs of a group: equal shares, an even number because RoPE takes pairs. */
static int share(const struct engine *e, int n_outputs)
{
	int n = (n_outputs + (int)e->n_groups - 1) / (int)e->n_groups;
	return n + n % 2;
}

static size_t groups(int n_outputs, int chunk)
{
	return (size_t)((n_outputs + chunk - 1) / chunk);
}

/* The four arguments that every layer behind a norm begins with. */
static struct engine_launch behind_norm(struct engine *e, cl_kernel kernel)
{
	struct engine_launch launch = engine_launch(e, kernel);
	engine_arg_mem(&launch, e->x);
	engine_arg_mem(&launch, e->xw);
	engine_arg_int(&launch, e->model->dim);
	engine_arg_float(&launch, e->model->rms_epsilon);
	return launch;
}

bool engine_few_before(struct engine *e, const struct engine_layer *layer, size_t rows,
                       struct tool_error *error)
{
	struct engine_linear *linear;
	if (!engine_linear_for(e, rows, &linear, error))
		return false;
	int n_outputs = layer->q.n_out + 2 * layer->k.n_out;
	int chunk = share(e, n_outputs);
	struct engine_launch launch = behind_norm(e, linear->qkv);
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
	engine_arg_int(&launch, chunk);
	return engine_go(&launch, groups(n_outputs, chunk), 1, error);
}

static bool add_to_residual(struct engine *e, const struct engine_linear *linear, cl_mem in,
                            const struct engine_matrix *m, cl_mem next_norm,
                            struct tool_error *error)
{
	int chunk = share(e, m->n_out);
	struct engine_launch launch = engine_launch(e, linear->add);
	engine_arg_mem(&launch, in);
	engine_arg_int(&launch, m->n_in);
	engine_arg_matrix(&launch, m);
	engine_arg_mem(&launch, e->x);
	engine_arg_mem(&launch, e->xw);
	engine_arg_mem(&launch, next_norm);
	engine_arg_int(&launch, m->n_out);
	engine_arg_int(&launch, chunk);
	return engine_go(&launch, groups(m->n_out, chunk), 1, error);
}

bool engine_few_after(struct engine *e, const struct engine_layer *layer, cl_mem next_norm,
                      size_t rows, struct tool_error *error)
{
	struct engine_linear *linear;
	if (!engine_linear_for(e, rows, &linear, error) ||
	    !add_to_residual(e, linear, e->attended, &layer->attn_out, layer->ffn_norm, error))
		return false;
	int chunk = share(e, layer->gate.n_out);
	struct engine_launch launch = behind_norm(e, linear->gate);
	engine_arg_matrix(&launch, &layer->gate);
	engine_arg_matrix(&launch, &layer->up);
	engine_arg_mem(&launch, e->gate);
	engine_arg_int(&launch, layer->gate.n_out);
	engine_arg_int(&launch, chunk);
	return engine_go(&launch, groups(layer->gate.n_out, chunk), 1, error) &&
	       add_to_residual(e, linear, e->gate, &layer->down, next_norm, error);
}

bool engine_few_logits(struct engine *e, size_t x_row, size_t out_row, size_t rows,
                       struct tool_error *error)
{
	struct engine_linear *linear;
	if (!engine_linear_for(e, rows, &linear, error))
		return false;
	int chunk = share(e, e->output.n_out);
	struct engine_launch launch = behind_norm(e, linear->logits);
	engine_arg_int(&launch, (int)x_row);
	engine_arg_matrix(&launch, &e->output);
	engine_arg_mem(&launch, e->logits);
	engine_arg_int(&launch, e->output.n_out);
	engine_arg_int(&launch, (int)out_row);
	engine_arg_int(&launch, chunk);
	return engine_go(&launch, groups(e->output.n_out, chunk), 1, error);
}
