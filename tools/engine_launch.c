/* SPDX-License-Identifier: MIT */
/**
 * \file    engine_launch.c
 * \brief   Arguments and launch of one kernel.
 */
#include "engine_private.h"
#include "weight_panel.h"

struct engine_launch engine_launch(struct engine *e, cl_kernel kernel, enum engine_kind kind)
{
	return (struct engine_launch){e, kernel, kind, 0, 0, CL_SUCCESS};
}

static void arg(struct engine_launch *launch, size_t size, const void *value)
{
	cl_int code = clSetKernelArg(launch->kernel, launch->n_args++, size, value);
	if (launch->code == CL_SUCCESS)
		launch->code = code;
}

void engine_arg_mem(struct engine_launch *launch, cl_mem mem)
{
	arg(launch, sizeof mem, &mem);
}

void engine_arg_int(struct engine_launch *launch, int value)
{
	cl_int v = value;
	arg(launch, sizeof v, &v);
}

void engine_arg_float(struct engine_launch *launch, float value)
{
	cl_float v = value;
	arg(launch, sizeof v, &v);
}

void engine_arg_matrix(struct engine_launch *launch, const struct engine_matrix *m)
{
	engine_arg_mem(launch, m->mem);
	engine_arg_int(launch, m->type);
	launch->weight_bytes += m->bytes;
}

bool engine_go(struct engine_launch *launch, size_t groups, size_t groups_y,
               struct tool_error *error)
{
	struct engine *e = launch->engine;
	size_t local[2] = {e->lanes, 1};
	size_t global[2] = {groups * e->lanes, groups_y};
	if (launch->code != CL_SUCCESS)
		return tool_fail_cl(error, "clSetKernelArg", launch->code);
	cl_event event;
	cl_int code =
		clEnqueueNDRangeKernel(e->queue, launch->kernel, groups_y > 1 ? 2 : 1, NULL, global, local,
	                           0, NULL, e->profile != NULL ? &event : NULL);
	if (code == CL_SUCCESS && e->profile != NULL)
		engine_profile_note(e->profile, launch->kind, event, launch->weight_bytes);
	return code == CL_SUCCESS || tool_fail_cl(error, "clEnqueueNDRangeKernel", code);
}
