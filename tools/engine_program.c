/* SPDX-License-Identifier: MIT */
/**
 * \file    engine_program.c
 * \brief   Builds the engine's kernels for the device. The driver's own cache makes repeats quick.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine_private.h"
#include "engine_sources.h"
#include "weight_panel.h"

/* The lines of a file by its name; none when it isn't embedded. */
static const char *const *source_lines(const char *name)
{
	static const char *const none[] = {NULL};
	for (const struct engine_source *source = engine_sources; source->name != NULL; source++) {
		if (strcmp(source->name, name) == 0)
			return source->lines;
	}
	return none;
}

/* The text of several embedded files behind each other, without their #include lines. */
static char *join_sources(const char *const *names)
{
	size_t size = 1;
	char *text = NULL;
	for (int pass = 0; pass < 2; pass++) {
		size_t at = 0;
		for (const char *const *name = names; *name != NULL; name++) {
			for (const char *const *line = source_lines(*name); *line != NULL; line++) {
				size_t n = strlen(*line);
				if (strncmp(*line, "#include", 8) == 0)
					continue;
				if (text != NULL)
					memcpy(text + at, *line, n);
				at += n;
			}
		}
		if (text == NULL && (text = malloc(size + at)) == NULL)
			return NULL;
		text[pass == 0 ? 0 : at] = '\0';
	}
	return text;
}

static bool fail_build(const struct engine *e, cl_program program, cl_int code,
                       struct tool_error *error)
{
	char log[320] = "";
	size_t size = 0;
	(void)clGetProgramBuildInfo(program, e->device, CL_PROGRAM_BUILD_LOG, 0, NULL, &size);
	char *whole = size > 0 ? malloc(size) : NULL;
	if (whole != NULL && clGetProgramBuildInfo(program, e->device, CL_PROGRAM_BUILD_LOG, size,
	                                           whole, NULL) == CL_SUCCESS)
		(void)snprintf(log, sizeof log, "%.*s", (int)(size < 300 ? size : 300), whole);
	free(whole);
	return tool_fail(error, "the engine's kernels don't build on this device (error %d): %s",
	                 (int)code, log);
}

/* The types of all matrices that a few rows may meet. */
static unsigned types_of(const struct model *m)
{
	unsigned types = weight_panel_bit(weight_format(m->output->type));
	for (int i = 0; i < m->n_layers; i++) {
		const struct model_layer *l = &m->layers[i];
		const struct gguf_tensor *all[] = {l->q, l->k, l->v, l->attn_out, l->gate, l->up, l->down};
		for (size_t j = 0; j < sizeof all / sizeof all[0]; j++)
			types |= weight_panel_bit(weight_format(all[j]->type));
	}
	return types;
}

static bool build(const struct engine *e, const char *const *names, size_t rows, cl_program *out,
                  struct tool_error *error)
{
	const struct model *m = e->model;
	char options[256];
	cl_int code;
	char *text = join_sources(names);
	if (text == NULL)
		return tool_fail(error, "out of memory");
	const char *sources[1] = {text};
	cl_program program = clCreateProgramWithSource(e->context, 1, sources, NULL, &code);
	free(text);
	if (code != CL_SUCCESS)
		return tool_fail_cl(error, "clCreateProgramWithSource", code);
	/* -w: PoCL prints that vectors of 16 are passed in another way without AVX-512, to its own functions too */
	(void)snprintf(options, sizeof options,
	               "-cl-std=CL1.2 -w -DLANES=%u -DROWS=%zu -DDIM=%d -DFF=%d -DQ_DIM=%d -DKV_DIM=%d "
	               "-DHEAD_DIM=%d -DROPE_DIMS=%d -DVOCABULARY=%d -DTYPES=%u -DEPSILON=%af",
	               e->lanes, rows, m->dim, m->ff_dim, m->q_heads * m->head_dim,
	               m->kv_heads * m->head_dim, m->head_dim, m->rope_dims, m->vocabulary, types_of(m),
	               (double)m->rms_epsilon);
	code = clBuildProgram(program, 1, &e->device, options, NULL, NULL);
	if (code != CL_SUCCESS) {
		(void)fail_build(e, program, code, error);
		(void)clReleaseProgram(program);
		return false;
	}
	*out = program;
	return true;
}

static bool get_kernel(cl_program program, const char *name, cl_kernel *out,
                       struct tool_error *error)
{
	cl_int code;
	*out = clCreateKernel(program, name, &code);
	return code == CL_SUCCESS || tool_fail_cl(error, "clCreateKernel", code);
}

bool engine_build(struct engine *e, struct tool_error *error)
{
	static const char *const names[] = {"weights.clh", "rows.cl", "matmul.cl", NULL};
	struct engine_rows *rows = &e->rows;
	return build(e, names, 1, &rows->program, error) &&
	       get_kernel(rows->program, "rows_embed", &rows->embed, error) &&
	       get_kernel(rows->program, "rows_norm", &rows->norm, error) &&
	       get_kernel(rows->program, "rows_rope", &rows->rope, error) &&
	       get_kernel(rows->program, "rows_silu", &rows->silu, error) &&
	       get_kernel(rows->program, "rows_weigh", &rows->weigh, error) &&
	       (e->lanes > 1 || get_kernel(rows->program, "matmul", &rows->matmul, error)) &&
	       get_kernel(rows->program, "rows_read", &rows->read, error) &&
	       get_kernel(rows->program, "matmul_widen", &rows->widen, error);
}

bool engine_linear_for(struct engine *e, size_t n_rows, struct engine_linear **out,
                       struct tool_error *error)
{
	static const char *const names[] = {"weights.clh", "dot.clh", "linear.cl", NULL};
	struct engine_linear *linear = &e->linear[n_rows];
	*out = linear;
	if (linear->logits != NULL)
		return true;
	if (linear->program == NULL && !build(e, names, n_rows, &linear->program, error))
		return false;
	return get_kernel(linear->program, "linear_qkv", &linear->qkv, error) &&
	       get_kernel(linear->program, "linear_add", &linear->add, error) &&
	       get_kernel(linear->program, "linear_gate", &linear->gate, error) &&
	       get_kernel(linear->program, "linear_logits", &linear->logits, error);
}

static void release(cl_kernel kernel)
{
	if (kernel != NULL)
		(void)clReleaseKernel(kernel);
}

void engine_release_programs(struct engine *e)
{
	cl_kernel rows[] = {e->rows.embed, e->rows.norm,   e->rows.rope,  e->rows.silu,
	                    e->rows.weigh, e->rows.matmul, e->rows.widen, e->rows.read};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		release(rows[i]);
	if (e->rows.program != NULL)
		(void)clReleaseProgram(e->rows.program);
	for (size_t i = 0; i <= ENGINE_FEW_ROWS; i++) {
		release(e->linear[i].qkv);
		release(e->linear[i].add);
		release(e->linear[i].gate);
		release(e->linear[i].logits);
		if (e->linear[i].program != NULL)
			(void)clReleaseProgram(e->linear[i].program);
	}
}
