/* SPDX-License-Identifier: MIT */
/**
 * \file    pocl_join.c
 * \brief   Shows what PoCL makes of a kernel that returns in front of a barrier, without clkv.
 *
 * Valid OpenCL C: whether a group returns is the same for all its lanes. Behind the barrier lanes whose j isn't below n
 * must write nothing. PoCL 3.1 (LLVM 15, x86-64) lets all of them go where lane 0 goes, so out[n] is written. Prints which
 * happened; ends with 0 if the device is right, 1 if not, 77 if there is none or a call fails.
 */
#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>
#include <stdio.h>
#include <stdlib.h>

enum { LANES = 64, BT = 32, GROUPS = 5, SLOTS = GROUPS * BT };

static const char *const text =
	"__kernel __attribute__((reqd_work_group_size(64, 1, 1)))\n"
	"void mark(__global float *out, __global float *other, __global const uint *order,\n"
	"          __global const uchar *keep, uint groups, uint n, uint both)\n"
	"{\n"
	"	const uint i = get_group_id(0);\n"
	"	uint at = 0, last = n;\n"
	"	if (i >= groups)\n"
	"		return;\n"
	"	while (at < last) {\n"
	"		const uint middle = (at + last) / 2;\n"
	"		if (order[middle] < i * 32)\n"
	"			at = middle + 1;\n"
	"		else\n"
	"			last = middle;\n"
	"	}\n"
	"	barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);\n"
	"	for (uint j = at + get_local_id(0); j < n && order[j] < (i + 1) * 32; j += 64) {\n"
	"		const uint t = order[j] % 32;\n"
	"		if (both)\n"
	"			other[i * 32 + t] = 1.0f;\n"
	"		if (keep[j] != 1)\n"
	"			out[i * 32 + t] = 1.0f;\n"
	"	}\n"
	"}\n";

static void stop(const char *call, cl_int code)
{
	printf("SKIPPED: %s: %d\n", call, (int)code);
	exit(77);
}

static cl_device_id find_device(void)
{
	cl_platform_id platforms[16];
	cl_uint n = 0;
	cl_device_id device;
	if (clGetPlatformIDs(16, platforms, &n) != CL_SUCCESS)
		n = 0;
	for (cl_uint i = 0; i < n && i < 16; i++)
		if (clGetDeviceIDs(platforms[i], CL_DEVICE_TYPE_ALL, 1, &device, NULL) == CL_SUCCESS)
			return device;
	stop("clGetDeviceIDs", CL_DEVICE_NOT_FOUND);
	return NULL;
}

static cl_kernel build(cl_context context, cl_device_id device)
{
	cl_int code;
	cl_program program = clCreateProgramWithSource(context, 1, (const char **)&text, NULL, &code);
	if (code == CL_SUCCESS)
		code = clBuildProgram(program, 1, &device, "-cl-std=CL1.2", NULL, NULL);
	if (code != CL_SUCCESS)
		stop("clBuildProgram", code);
	cl_kernel kernel = clCreateKernel(program, "mark", &code);
	if (code != CL_SUCCESS)
		stop("clCreateKernel", code);
	clReleaseProgram(program);
	return kernel;
}

/* Slots of all groups but the last, every third one kept. Behind the last number of order stand zeros. */
static cl_uint fill(cl_uint *order, cl_uchar *keep)
{
	for (cl_uint i = 0; i < (GROUPS - 1) * BT; i++) {
		order[i] = i;
		keep[i] = i % 3 == 0;
	}
	return (GROUPS - 1) * BT;
}

static cl_mem buffer(cl_context context, size_t bytes, void *from)
{
	cl_int code;
	cl_mem mem =
		clCreateBuffer(context, CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR, bytes, from, &code);
	if (code != CL_SUCCESS)
		stop("clCreateBuffer", code);
	return mem;
}

static void run(cl_context context, cl_device_id device, cl_uint n, cl_uint *order, cl_uchar *keep,
                float *out)
{
	cl_int code;
	cl_command_queue queue = clCreateCommandQueue(context, device, 0, &code);
	cl_kernel kernel = build(context, device);
	cl_mem mem[4] = {buffer(context, 2 * SLOTS * sizeof *out, out),
	                 buffer(context, 2 * SLOTS * sizeof *out, out),
	                 buffer(context, 2 * SLOTS * sizeof *order, order),
	                 buffer(context, 2 * SLOTS, keep)};
	cl_uint numbers[3] = {GROUPS - 1, n, 0};
	size_t items = LANES * GROUPS, local = LANES;
	for (cl_uint i = 0; i < 4; i++)
		clSetKernelArg(kernel, i, sizeof *mem, &mem[i]);
	for (cl_uint i = 0; i < 3; i++)
		clSetKernelArg(kernel, 4 + i, sizeof *numbers, &numbers[i]);
	code = clEnqueueNDRangeKernel(queue, kernel, 1, NULL, &items, &local, 0, NULL, NULL);
	if (code == CL_SUCCESS)
		code = clEnqueueReadBuffer(queue, mem[0], CL_TRUE, 0, 2 * SLOTS * sizeof *out, out, 0, NULL,
		                           NULL);
	if (code != CL_SUCCESS)
		stop("clEnqueueNDRangeKernel", code);
	for (int i = 0; i < 4; i++)
		clReleaseMemObject(mem[i]);
	clReleaseKernel(kernel);
	clReleaseCommandQueue(queue);
}

int main(void)
{
	static cl_uint order[2 * SLOTS];
	static cl_uchar keep[2 * SLOTS];
	static float out[2 * SLOTS];
	cl_int code;
	cl_device_id device = find_device();
	cl_context context = clCreateContext(NULL, 1, &device, NULL, NULL, &code);
	if (code != CL_SUCCESS)
		stop("clCreateContext", code);
	const cl_uint n = fill(order, keep);
	/* as if the last group's slots ended before its lanes do */
	const cl_uint cut = n - 11;
	for (cl_uint i = cut; i < n; i++)
		order[i] = 0, keep[i] = 0;
	run(context, device, cut, order, keep, out);
	int wrong = 0;
	for (cl_uint i = 0; i < 2 * SLOTS; i++) {
		const float want = i < cut && !keep[i] ? 1.0f : 0.0f;
		if (out[i] == want)
			continue;
		printf("slot %u is %g instead of %g\n", i, (double)out[i], (double)want);
		wrong++;
	}
	printf("%d slots are wrong\n", wrong);
	clReleaseContext(context);
	return wrong > 0;
}
