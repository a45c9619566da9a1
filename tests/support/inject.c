/* SPDX-License-Identifier: MIT */
/** \file inject.c \brief Failures on demand. */
#include "inject.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- host memory ---- */

union header {
	size_t size;
	max_align_t align;
};

struct countdown {
	bool armed, happened;
	int left;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* guards all that follows */
static struct countdown allocations, calls;
static uint64_t host_bytes, device_bytes;
static const char *failed_name = "";
static struct refusals {
	const char *function;
	int from, n;
	cl_int code;
} refusals = {"", 0, 0, CL_SUCCESS};
static bool only_enqueues; /* calls that count */
static struct {
	int n;
	size_t work_group;
	cl_ulong local_bytes;
} limits;

static bool strikes(struct countdown *c)
{
	pthread_mutex_lock(&mutex);
	bool now = c->armed && !c->happened && c->left-- <= 0;
	c->happened = c->happened || now;
	pthread_mutex_unlock(&mutex);
	return now;
}

static void *counted_alloc(void *opaque, size_t size)
{
	(void)opaque;
	if (strikes(&allocations))
		return NULL;
	union header *h = malloc(sizeof *h + size);
	if (!h)
		return NULL;
	h->size = size;
	pthread_mutex_lock(&mutex);
	host_bytes += size;
	pthread_mutex_unlock(&mutex);
	memset(h + 1, 0xcd, size);
	return h + 1;
}

static void counted_free(void *opaque, void *ptr)
{
	(void)opaque;
	if (!ptr)
		return;
	union header *h = (union header *)ptr - 1;
	pthread_mutex_lock(&mutex);
	host_bytes -= h->size;
	pthread_mutex_unlock(&mutex);
	memset(ptr, 0xdd, h->size);
	free(h);
}

clkv_allocator inject_allocator(void)
{
	return (clkv_allocator){counted_alloc, counted_free, NULL};
}

uint64_t inject_host_bytes(void)
{
	return host_bytes;
}

uint64_t inject_device_bytes(void)
{
	return device_bytes;
}

static void arm(struct countdown *c, int n)
{
	*c = (struct countdown){.armed = true, .left = n};
}

static bool disarm(struct countdown *c)
{
	c->armed = false;
	return c->happened;
}

void inject_alloc_arm(int n)
{
	arm(&allocations, n);
}

bool inject_alloc_disarm(void)
{
	return disarm(&allocations);
}

void inject_cl_arm(int n)
{
	only_enqueues = false;
	arm(&calls, n);
}

void inject_enqueue_arm(int n)
{
	only_enqueues = true;
	arm(&calls, n);
}

bool inject_cl_disarm(void)
{
	return disarm(&calls);
}

void inject_refuse(const char *function, int from, int n, cl_int code)
{
	refusals = (struct refusals){function, from, n, code};
}

void inject_kernel_limits(int n, size_t work_group, cl_ulong local_bytes)
{
	limits.n = n;
	limits.work_group = work_group;
	limits.local_bytes = local_bytes;
}

const char *inject_cl_name(void)
{
	return failed_name;
}

/* ---------------------------------------------------------------- OpenCL ---- */

/* The code of a call that is to fail, or CL_SUCCESS. */
static cl_int call_strikes(const char *name)
{
	bool counts = !only_enqueues || strncmp(name, "clEnqueue", strlen("clEnqueue")) == 0;
	cl_int code = counts && strikes(&calls) ? INJECT_CODE : CL_SUCCESS;
	pthread_mutex_lock(&mutex);
	if (refusals.n > 0 && strcmp(refusals.function, name) == 0 && refusals.from-- <= 0) {
		refusals.n--;
		code = refusals.code;
	}
	pthread_mutex_unlock(&mutex);
	if (code != CL_SUCCESS)
		failed_name = name;
	return code;
}

/* The next definition behind this one; memcpy because ISO C has no cast from object to function. */
static void find(const char *name, void *function, size_t size)
{
	void *symbol = dlsym(RTLD_NEXT, name);
	if (!symbol) {
		fprintf(stderr, "no %s: %s\n", name, dlerror());
		abort();
	}
	memcpy(function, &symbol, size);
}

/* A program may stand in front of these in turn, with a definition of its own. */
#define WEAK __attribute__((weak))

/* A function that returns its code. */
#define CODE(name, params, args)                                                                   \
	WEAK CL_API_ENTRY cl_int CL_API_CALL name params                                               \
	{                                                                                              \
		static cl_int(CL_API_CALL *real) params;                                                   \
		if (!real)                                                                                 \
			find(#name, &real, sizeof real);                                                       \
		cl_int clkv_code = call_strikes(#name);                                                    \
		return clkv_code != CL_SUCCESS ? clkv_code : real args;                                    \
	}

/* A function that returns an object and stores its code. */
#define OBJECT(type, name, params, args)                                                           \
	WEAK CL_API_ENTRY type CL_API_CALL name params                                                 \
	{                                                                                              \
		static type(CL_API_CALL *real) params;                                                     \
		if (!real)                                                                                 \
			find(#name, &real, sizeof real);                                                       \
		cl_int clkv_code = call_strikes(#name);                                                    \
		if (clkv_code == CL_SUCCESS)                                                               \
			return real args;                                                                      \
		if (code)                                                                                  \
			*code = clkv_code;                                                                     \
		return NULL;                                                                               \
	}

/* Names of kernels that were launched, each once, with blanks around them. */
static char launched[4096] = " ";

static void note_launch(cl_kernel kernel)
{
	char name[64] = "", word[sizeof name + 2];
	clGetKernelInfo(kernel, CL_KERNEL_FUNCTION_NAME, sizeof name, name, NULL);
	snprintf(word, sizeof word, " %s ", name);
	pthread_mutex_lock(&mutex);
	if (!strstr(launched, word) && strlen(launched) + strlen(word) < sizeof launched)
		strcat(launched, word + 1);
	pthread_mutex_unlock(&mutex);
}

bool inject_launched(const char *kernel)
{
	char word[80];
	snprintf(word, sizeof word, " %s ", kernel);
	return strstr(launched, word) != NULL;
}

CODE(clEnqueueNDRangeKernel,
     (cl_command_queue queue, cl_kernel kernel, cl_uint dims, const size_t *offset,
      const size_t *global, const size_t *local, cl_uint n, const cl_event *wait, cl_event *event),
     ((note_launch(kernel), queue), kernel, dims, offset, global, local, n, wait, event))
CODE(clEnqueueWriteBuffer,
     (cl_command_queue queue, cl_mem mem, cl_bool block, size_t offset, size_t size,
      const void *ptr, cl_uint n, const cl_event *wait, cl_event *event),
     (queue, mem, block, offset, size, ptr, n, wait, event))
CODE(clEnqueueReadBuffer,
     (cl_command_queue queue, cl_mem mem, cl_bool block, size_t offset, size_t size, void *ptr,
      cl_uint n, const cl_event *wait, cl_event *event),
     (queue, mem, block, offset, size, ptr, n, wait, event))
OBJECT(void *, clEnqueueMapBuffer,
       (cl_command_queue queue, cl_mem mem, cl_bool block, cl_map_flags flags, size_t offset,
        size_t size, cl_uint n, const cl_event *wait, cl_event *event, cl_int *code),
       (queue, mem, block, flags, offset, size, n, wait, event, code))
CODE(clEnqueueUnmapMemObject,
     (cl_command_queue queue, cl_mem mem, void *ptr, cl_uint n, const cl_event *wait,
      cl_event *event),
     (queue, mem, ptr, n, wait, event))
CODE(clEnqueueCopyBuffer,
     (cl_command_queue queue, cl_mem from, cl_mem to, size_t from_offset, size_t to_offset,
      size_t size, cl_uint n, const cl_event *wait, cl_event *event),
     (queue, from, to, from_offset, to_offset, size, n, wait, event))
CODE(clEnqueueFillBuffer,
     (cl_command_queue queue, cl_mem mem, const void *pattern, size_t pattern_size, size_t offset,
      size_t size, cl_uint n, const cl_event *wait, cl_event *event),
     (queue, mem, pattern, pattern_size, offset, size, n, wait, event))
CODE(clEnqueueMarkerWithWaitList,
     (cl_command_queue queue, cl_uint n, const cl_event *wait, cl_event *event),
     (queue, n, wait, event))
CODE(clEnqueueBarrierWithWaitList,
     (cl_command_queue queue, cl_uint n, const cl_event *wait, cl_event *event),
     (queue, n, wait, event))
CODE(clSetKernelArg, (cl_kernel kernel, cl_uint index, size_t size, const void *value),
     (kernel, index, size, value))
CODE(clBuildProgram,
     (cl_program program, cl_uint n, const cl_device_id *devices, const char *options,
      void(CL_CALLBACK *notify)(cl_program, void *), void *data),
     (program, n, devices, options, notify, data))
CODE(clWaitForEvents, (cl_uint n, const cl_event *events), (n, events))
CODE(clFinish, (cl_command_queue queue), (queue))
CODE(clFlush, (cl_command_queue queue), (queue))
CODE(clGetMemObjectInfo, (cl_mem mem, cl_mem_info what, size_t size, void *value, size_t *used),
     (mem, what, size, value, used))
CODE(clGetCommandQueueInfo,
     (cl_command_queue queue, cl_command_queue_info what, size_t size, void *value, size_t *used),
     (queue, what, size, value, used))
CODE(clGetDeviceInfo,
     (cl_device_id device, cl_device_info what, size_t size, void *value, size_t *used),
     (device, what, size, value, used))
CODE(clGetPlatformInfo,
     (cl_platform_id platform, cl_platform_info what, size_t size, void *value, size_t *used),
     (platform, what, size, value, used))
CODE(clGetPlatformIDs, (cl_uint n, cl_platform_id *platforms, cl_uint *used), (n, platforms, used))
CODE(clGetDeviceIDs,
     (cl_platform_id platform, cl_device_type type, cl_uint n, cl_device_id *devices,
      cl_uint *used),
     (platform, type, n, devices, used))
OBJECT(cl_kernel, clCreateKernel, (cl_program program, const char *name, cl_int *code),
       (program, name, code))
OBJECT(cl_program, clCreateProgramWithSource,
       (cl_context context, cl_uint n, const char **text, const size_t *lengths, cl_int *code),
       (context, n, text, lengths, code))
OBJECT(cl_program, clCreateProgramWithBinary,
       (cl_context context, cl_uint n, const cl_device_id *devices, const size_t *lengths,
        const unsigned char **binaries, cl_int *status, cl_int *code),
       (context, n, devices, lengths, binaries, status, code))
OBJECT(cl_context, clCreateContext,
       (const cl_context_properties *properties, cl_uint n, const cl_device_id *devices,
        void(CL_CALLBACK *notify)(const char *, const void *, size_t, void *), void *data,
        cl_int *code),
       (properties, n, devices, notify, data, code))

/* Buffers are counted too; nobody here retains one a second time. */

#define MAX_BUFFERS 4096
static struct {
	cl_mem mem;
	size_t size;
} buffers[MAX_BUFFERS];

static void count_buffer(cl_mem mem, size_t size)
{
	size_t i = 0;
	pthread_mutex_lock(&mutex);
	while (i < MAX_BUFFERS && buffers[i].mem)
		i++;
	if (i == MAX_BUFFERS)
		abort();
	buffers[i].mem = mem;
	buffers[i].size = size;
	device_bytes += size;
	pthread_mutex_unlock(&mutex);
}

/* What a new buffer holds is nobody's business: NaNs and large numbers below zero, so that whoever reads what nothing wrote shows. */
static cl_mem make_garbage(cl_mem(CL_API_CALL *real)(cl_context, cl_mem_flags, size_t, void *,
                                                     cl_int *),
                           cl_context context, cl_mem_flags flags, size_t size, cl_int *code)
{
	static const uint32_t words[2] = {0xffffffff, 0xf149f2ca};
	unsigned char *garbage = malloc(size);
	if (!garbage)
		return real(context, flags, size, NULL, code);
	for (size_t i = 0; i < size; i += sizeof words)
		memcpy(garbage + i, words, size - i < sizeof words ? size - i : sizeof words);
	cl_mem mem = real(context, flags | CL_MEM_COPY_HOST_PTR, size, garbage, code);
	free(garbage);
	return mem;
}

CL_API_ENTRY cl_mem CL_API_CALL clCreateBuffer(cl_context context, cl_mem_flags flags, size_t size,
                                               void *host, cl_int *code)
{
	static cl_mem(CL_API_CALL * real)(cl_context, cl_mem_flags, size_t, void *, cl_int *);
	if (!real)
		find("clCreateBuffer", &real, sizeof real);
	cl_int failed = call_strikes("clCreateBuffer");
	if (failed != CL_SUCCESS) {
		if (code)
			*code = failed;
		return NULL;
	}
	cl_mem mem = host ? real(context, flags, size, host, code)
	                  : make_garbage(real, context, flags, size, code);
	if (mem)
		count_buffer(mem, size);
	return mem;
}

CL_API_ENTRY cl_int CL_API_CALL clReleaseMemObject(cl_mem mem)
{
	static cl_int(CL_API_CALL * real)(cl_mem);
	if (!real)
		find("clReleaseMemObject", &real, sizeof real);
	size_t i = 0;
	pthread_mutex_lock(&mutex);
	while (i < MAX_BUFFERS && buffers[i].mem != mem)
		i++;
	if (i < MAX_BUFFERS) {
		device_bytes -= buffers[i].size;
		buffers[i].mem = NULL;
	}
	pthread_mutex_unlock(&mutex);
	return real(mem);
}

/* Asked for the work-group first, then for the local memory. */
CL_API_ENTRY cl_int CL_API_CALL clGetKernelWorkGroupInfo(cl_kernel kernel, cl_device_id device,
                                                         cl_kernel_work_group_info what,
                                                         size_t size, void *value, size_t *used)
{
	static cl_int(CL_API_CALL * real)(cl_kernel, cl_device_id, cl_kernel_work_group_info, size_t,
	                                  void *, size_t *);
	if (!real)
		find("clGetKernelWorkGroupInfo", &real, sizeof real);
	cl_int code = call_strikes("clGetKernelWorkGroupInfo");
	if (code == CL_SUCCESS)
		code = real(kernel, device, what, size, value, used);
	if (code != CL_SUCCESS || limits.n <= 0)
		return code;
	if (what == CL_KERNEL_WORK_GROUP_SIZE && limits.work_group > 0)
		memcpy(value, &limits.work_group, size);
	if (what == CL_KERNEL_LOCAL_MEM_SIZE && limits.local_bytes > 0)
		memcpy(value, &limits.local_bytes, size);
	limits.n -= what == CL_KERNEL_LOCAL_MEM_SIZE;
	return code;
}
