/* SPDX-License-Identifier: MIT */
/**
 * \file    limits.c
 * \brief   What the device can do at best: bytes read per second, multiply-adds per second.
 */
#include <math.h>
#include <stdio.h>

#include "bench.h"

enum { TRIES = 11, CHAINS = 12, ROUNDS = 20000 };

/* Each group reads a range of its own, its lanes side by side; four sums hide the adder's latency.
 * The chains of multiply-adds don't wait for each other and stay finite: x becomes x / 2 + c. */
static const char *const source[] = {
	"kernel void read_all(global const WIDE *x, global uint *out, ulong n)\n",
	"{\n",
	"    const size_t lanes = get_local_size(0);\n",
	"    global const WIDE *own = x + get_group_id(0) * n;\n",
	"    WIDE a = 0, b = 0, c = 0, d = 0;\n",
	"    for (size_t i = get_local_id(0); i + 3 * lanes < n; i += 4 * lanes) {\n",
	"        a += own[i]; b += own[i + lanes]; c += own[i + 2 * lanes]; d += own[i + 3 * lanes];\n",
	"    }\n",
	"    a += b + c + d;\n",
	"    uint sum = 0;\n",
	"    for (int i = 0; i < (int)(sizeof a / 4); i++) sum += ((const uint *)&a)[i];\n",
	"    out[get_global_id(0)] = sum;\n",
	"}\n",
	"kernel void multiply_add(global float *out, float start)\n",
	"{\n",
	"    const FLOATS c = start + get_global_id(0), half_of = 0.5f;\n",
	"    FLOATS s = c, t = c + 1, u = c + 2, v = c + 3, w = c + 4, x = c + 5;\n",
	"    FLOATS y = c + 6, z = c + 7;\n",
	"    FLOATS k = c + 8, l = c + 9, m = c + 10, n = c + 11;\n",
	"    for (int i = 0; i < ROUNDS; i++) {\n",
	"        s = FMA(s, half_of, c); t = FMA(t, half_of, c); u = FMA(u, half_of, c);\n",
	"        v = FMA(v, half_of, c); w = FMA(w, half_of, c); x = FMA(x, half_of, c);\n",
	"        y = FMA(y, half_of, c); z = FMA(z, half_of, c); k = FMA(k, half_of, c);\n",
	"        l = FMA(l, half_of, c); m = FMA(m, half_of, c); n = FMA(n, half_of, c);\n",
	"    }\n",
	"    s += t + u + v + w + x + y + z + k + l + m + n;\n",
	"    float sum = 0;\n",
	"    for (int i = 0; i < (int)(sizeof s / 4); i++) sum += ((const float *)&s)[i];\n",
	"    out[get_global_id(0)] = sum;\n",
	"}\n",
};

/* A CPU's work-item is a loop over whole vectors; a GPU's is one lane of many. */
struct shape {
	size_t lanes, groups, read_floats, add_floats;
};

struct limits {
	const struct bench_machine *machine;
	struct shape shape;
	cl_program program;
	cl_mem data, out;
	size_t data_bytes;
};

static struct shape choose_shape(const clkv_device_info *info)
{
	if (!info->is_gpu) {
		size_t floats = info->vector_width >= 16 ? 16 : 8;
		return (struct shape){1, (size_t)info->compute_units * 16, floats, floats};
	}
	size_t lanes = info->max_work_group < 256 ? info->max_work_group : 256;
	return (struct shape){lanes, (size_t)info->compute_units * 16, 4, 1};
}

static bool has_fma(cl_device_id device)
{
	cl_device_fp_config config = 0;
	return clGetDeviceInfo(device, CL_DEVICE_SINGLE_FP_CONFIG, sizeof config, &config, NULL) ==
	           CL_SUCCESS &&
	       (config & CL_FP_FMA) != 0;
}

static bool build(struct limits *l, struct tool_error *error)
{
	char options[160], floats[16] = "float";
	cl_int code;
	if (l->shape.add_floats > 1)
		(void)snprintf(floats, sizeof floats, "float%zu", l->shape.add_floats);
	(void)snprintf(options, sizeof options, "-DWIDE=uint%zu -DFLOATS=%s -DROUNDS=%d -DFMA=%s",
	               l->shape.read_floats, floats, ROUNDS,
	               has_fma(l->machine->device) ? "fma" : "mad");
	const char **lines = (const char **)source;
	l->program = clCreateProgramWithSource(
		l->machine->cl, (cl_uint)(sizeof source / sizeof source[0]), lines, NULL, &code);
	if (l->program == NULL)
		return tool_fail_cl(error, "clCreateProgramWithSource", code);
	code = clBuildProgram(l->program, 1, &l->machine->device, options, NULL, NULL);
	return code == CL_SUCCESS || tool_fail_cl(error, "clBuildProgram (limits)", code);
}

static bool make_buffers(struct limits *l, struct tool_error *error)
{
	const clkv_device_info *info = &l->machine->info;
	size_t unit = l->shape.groups * l->shape.lanes * 4 * l->shape.read_floats * 4;
	uint64_t bytes = l->machine->cache_bytes + l->machine->cache_bytes / 2;
	if (bytes > info->max_alloc_bytes)
		bytes = info->max_alloc_bytes;
	l->data_bytes = (size_t)(bytes / unit * unit);
	size_t out_bytes = l->shape.groups * l->shape.lanes * sizeof(float);
	const cl_uint one = 1;
	cl_int code;
	l->data = clCreateBuffer(l->machine->cl, CL_MEM_READ_WRITE, l->data_bytes, NULL, &code);
	if (l->data != NULL)
		l->out = clCreateBuffer(l->machine->cl, CL_MEM_READ_WRITE, out_bytes, NULL, &code);
	if (l->out == NULL)
		return tool_fail_cl(error, "clCreateBuffer (limits)", code);
	/* pages that were never written may all be one page of zeros */
	code = clEnqueueFillBuffer(l->machine->queue, l->data, &one, sizeof one, 0, l->data_bytes, 0,
	                           NULL, NULL);
	return code == CL_SUCCESS || tool_fail_cl(error, "clEnqueueFillBuffer", code);
}

/* Microseconds of the fastest of some tries: a limit is what can be reached, not what is usual. */
static bool fastest(struct limits *l, cl_kernel kernel, double *us, struct tool_error *error)
{
	size_t local = l->shape.lanes, global = l->shape.groups * local;
	cl_command_queue queue = l->machine->queue;
	*us = 0;
	for (int i = 0; i <= TRIES; i++) {
		double begun = bench_now(l->machine);
		cl_int code =
			clEnqueueNDRangeKernel(queue, kernel, 1, NULL, &global, &local, 0, NULL, NULL);
		if (code == CL_SUCCESS)
			code = clFinish(queue);
		if (code != CL_SUCCESS)
			return tool_fail_cl(error, "clEnqueueNDRangeKernel (limits)", code);
		double taken = bench_now(l->machine) - begun;
		if (*us <= 0 || taken < *us)
			*us = taken;
	}
	return true;
}

static bool measure_reading(struct limits *l, double *us, struct tool_error *error)
{
	cl_int code;
	cl_ulong n = l->data_bytes / l->shape.groups / (4 * l->shape.read_floats);
	cl_kernel kernel = clCreateKernel(l->program, "read_all", &code);
	if (kernel == NULL)
		return tool_fail_cl(error, "clCreateKernel (limits)", code);
	bool done = clSetKernelArg(kernel, 0, sizeof l->data, &l->data) == CL_SUCCESS &&
	            clSetKernelArg(kernel, 1, sizeof l->out, &l->out) == CL_SUCCESS &&
	            clSetKernelArg(kernel, 2, sizeof n, &n) == CL_SUCCESS;
	done = done ? fastest(l, kernel, us, error) : tool_fail(error, "clSetKernelArg failed");
	(void)clReleaseKernel(kernel);
	return done;
}

static bool measure_adding(struct limits *l, double *us, struct tool_error *error)
{
	cl_int code;
	const cl_float start = 1;
	cl_kernel kernel = clCreateKernel(l->program, "multiply_add", &code);
	if (kernel == NULL)
		return tool_fail_cl(error, "clCreateKernel (limits)", code);
	bool done = clSetKernelArg(kernel, 0, sizeof l->out, &l->out) == CL_SUCCESS &&
	            clSetKernelArg(kernel, 1, sizeof start, &start) == CL_SUCCESS;
	done = done ? fastest(l, kernel, us, error) : tool_fail(error, "clSetKernelArg failed");
	(void)clReleaseKernel(kernel);
	return done;
}

bool bench_limits(struct bench_machine *machine, struct tool_error *error)
{
	struct limits l = {.machine = machine, .shape = choose_shape(&machine->info)};
	double read_us, add_us;
	bool done = build(&l, error) && make_buffers(&l, error) &&
	            measure_reading(&l, &read_us, error) && measure_adding(&l, &add_us, error);
	if (done) {
		double adds = (double)(l.shape.groups * l.shape.lanes * l.shape.add_floats) * CHAINS;
		machine->read_gbps = fmax(machine->read_gbps, (double)l.data_bytes / read_us / 1e3);
		machine->fma_gflops = fmax(machine->fma_gflops, 2.0 * adds * ROUNDS / add_us / 1e3);
	}
	if (l.data != NULL)
		(void)clReleaseMemObject(l.data);
	if (l.out != NULL)
		(void)clReleaseMemObject(l.out);
	if (l.program != NULL)
		(void)clReleaseProgram(l.program);
	return done;
}
