/* SPDX-License-Identifier: MIT */
/**
 * \file    engine_read_limit.c
 * \brief   How fast the device reads the weights when it does nothing else: what products can't exceed.
 */
#include "engine_private.h"

enum { ROUNDS = 8 };

/* One launch per matrix, as the products have; their own events, which profile times don't get. */
static bool read_matrix(struct engine *e, const struct engine_matrix *m, double *ns, double *bytes,
                        struct tool_error *error)
{
	size_t size = 0;
	cl_ulong times[2] = {0, 0};
	cl_event event;
	cl_int code = clGetMemObjectInfo(m->mem, CL_MEM_SIZE, sizeof size, &size, NULL);
	cl_ulong n = size / 64;
	size_t local = e->lanes;
	size_t global = e->n_groups * local;
	cl_mem unused = e->tokens;
	if (code == CL_SUCCESS)
		code = clSetKernelArg(e->rows.read, 0, sizeof m->mem, &m->mem);
	if (code == CL_SUCCESS)
		code = clSetKernelArg(e->rows.read, 1, sizeof n, &n);
	if (code == CL_SUCCESS)
		code = clSetKernelArg(e->rows.read, 2, sizeof unused, &unused);
	if (code == CL_SUCCESS)
		code = clEnqueueNDRangeKernel(e->queue, e->rows.read, 1, NULL, &global, &local, 0, NULL,
		                              &event);
	if (code != CL_SUCCESS)
		return tool_fail_cl(error, "reading weights", code);
	code = clWaitForEvents(1, &event);
	for (cl_uint i = 0; i < 2 && code == CL_SUCCESS; i++)
		code = clGetEventProfilingInfo(
			event, i == 0 ? CL_PROFILING_COMMAND_START : CL_PROFILING_COMMAND_END, sizeof times[i],
			&times[i], NULL);
	(void)clReleaseEvent(event);
	*ns += (double)(times[1] - times[0]);
	*bytes += (double)size;
	return code == CL_SUCCESS || tool_fail_cl(error, "timing reads of weights", code);
}

bool engine_read_limit(struct engine *e, double *gbps, struct tool_error *error)
{
	*gbps = 0.0;
	for (int round = 0; round < ROUNDS; round++) {
		double ns = 0.0;
		double bytes = 0.0;
		for (int i = 0; i < e->model->n_layers; i++) {
			const struct engine_layer *l = &e->layers[i];
			const struct engine_matrix *all[] = {&l->q,    &l->k,  &l->v,   &l->attn_out,
			                                     &l->gate, &l->up, &l->down};
			for (size_t j = 0; j < sizeof all / sizeof all[0]; j++) {
				if (!read_matrix(e, all[j], &ns, &bytes, error))
					return false;
			}
		}
		if (!read_matrix(e, &e->output, &ns, &bytes, error))
			return false;
		if (ns > 0.0 && bytes / ns > *gbps)
			*gbps = bytes / ns;
	}
	return true;
}
