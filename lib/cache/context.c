/* SPDX-License-Identifier: MIT */
/** \file context.c \brief Contexts: on the caller's device, or destroyed. */
#include "device/context.h"

#include "base/alloc.h"
#include "base/struct_io.h"
#include "cache/tune_file.h"
#include "device/device_info.h"
#include "program/build.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* "first/second" in memory of the context, or NULL. */
static char *join(const clkv_allocator *allocator, const char *first, const char *second)
{
	size_t n = strlen(first) + strlen(second) + 1;
	char *text = clkv__calloc(allocator, n, 1);
	if (text)
		snprintf(text, n, "%s%s", first, second);
	return text;
}

/* Reads the names of folders. This file reads all that the library takes from the environment. */
static clkv_status read_folders(clkv_context *c, const clkv_context_options *o, clkv_error *error)
{
	const char *cache = o->cache_dir ? o->cache_dir : getenv("CLKV_CACHE_DIR");
	const char *kernels = o->kernel_dir ? o->kernel_dir : getenv("CLKV_KERNEL_DIR");
	const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	bool wanted = true;
	if (cache && cache[0])
		c->cache_dir = join(&c->allocator, cache, "");
	else if (!cache && xdg && xdg[0])
		c->cache_dir = join(&c->allocator, xdg, "/clkv");
	else if (!cache && home && home[0])
		c->cache_dir = join(&c->allocator, home, "/.cache/clkv");
	else
		wanted = false;
	bool wanted_kernels = kernels && kernels[0];
	if (wanted_kernels)
		c->kernel_dir = join(&c->allocator, kernels, "");
	if ((wanted && !c->cache_dir) || (wanted_kernels && !c->kernel_dir))
		CLKV_FAIL(error, CLKV_ERROR_NO_HOST_MEMORY, "no host memory for folder names");
	return CLKV_OK;
}

/* As many as CLKV_BUILD_THREADS says, else as there are cores. */
static size_t count_threads(void)
{
	const char *text = getenv("CLKV_BUILD_THREADS");
	long n = text && text[0] ? strtol(text, NULL, 10) : sysconf(_SC_NPROCESSORS_ONLN);
	return n < 1 ? 1 : n > CLKV__MOST_BUILD_THREADS ? CLKV__MOST_BUILD_THREADS : (size_t)n;
}

/* How the device's memory lies beside the host's. */
static clkv_status read_memory(clkv_context *c, clkv_error *error)
{
	cl_bool unified = CL_FALSE;
	cl_uint bits = 0;
	CLKV_CL(error, clGetDeviceInfo(c->device, CL_DEVICE_HOST_UNIFIED_MEMORY, sizeof unified,
	                               &unified, NULL));
	CLKV_CL(error,
	        clGetDeviceInfo(c->device, CL_DEVICE_MEM_BASE_ADDR_ALIGN, sizeof bits, &bits, NULL));
	c->unified = unified == CL_TRUE;
	c->alignment = bits >= 64 ? bits / 8 : 8;
	return CLKV_OK;
}

static clkv_status fill(clkv_context *c, const clkv_context_options *o, clkv_error *error)
{
	CLKV_TRY(clkv__device_info_read(c->device, &c->info, error));
	struct clkv__device_hints hints;
	CLKV_TRY(read_memory(c, error));
	const struct clkv__tuning *t = &c->tune.general;
	clkv__device_hints_read(c->device, &hints);
	c->subgroups = clkv__device_subgroups(c->device, &c->info);
	CLKV_TRY(clkv__tune_choose(&c->info, &hints, getenv("CLKV_TUNE"), &c->tune, error));
	CLKV_TRY(clkv__order_parse(getenv("CLKV_TEST_ORDER"), &c->order, error));
	c->info.lanes = t->lanes;
	c->info.vec = t->vec;
	memcpy(c->info.tuning, t->source, sizeof c->info.tuning);
	/* Oclgrind counts its buffers and programs without locks: threads make it abort now and then. */
	c->build_threads = strcmp(c->info.platform, "Oclgrind") == 0 ? 1 : count_threads();
	CLKV_TRY(read_folders(c, o, error));
	CLKV_TRY(clkv__tune_file_read(c, &c->tune.list, error));
	char text[CLKV__TUNING_TEXT];
	clkv__tuning_print(t, text);
	clkv__log(c, CLKV_LOG_CONTEXT, "context", "%s: %s (%s), %zu tunings of its own", c->info.name,
	          text, t->source, c->tune.list.n);
	return CLKV_OK;
}

/* The device, or one of which it's a part: contexts of a part may list the whole (PoCL's do). */
static bool is_among(cl_device_id device, const cl_device_id *devices, cl_uint n)
{
	for (cl_uint i = 0; i < n; i++)
		if (devices[i] == device)
			return true;
	cl_device_id whole = NULL;
	cl_int code =
		clGetDeviceInfo(device, CL_DEVICE_PARENT_DEVICE, sizeof(cl_device_id), &whole, NULL);
	return code == CL_SUCCESS && whole && whole != device && is_among(whole, devices, n);
}

static clkv_status check_device(cl_context context, cl_device_id device, clkv_error *error)
{
	cl_uint n;
	cl_device_id devices[64];
	if (!context || !device)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT, "%s is NULL", context ? "device" : "context");
	CLKV_CL(error, clGetContextInfo(context, CL_CONTEXT_NUM_DEVICES, sizeof n, &n, NULL));
	if (n > sizeof devices / sizeof devices[0])
		n = sizeof devices / sizeof devices[0];
	CLKV_CL(error,
	        clGetContextInfo(context, CL_CONTEXT_DEVICES, n * sizeof devices[0], devices, NULL));
	if (is_among(device, devices, n))
		return CLKV_OK;
	CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT, "device is not one of the cl_context's %u", n);
}

static void release(cl_context context, cl_device_id device)
{
	clReleaseDevice(device);
	clReleaseContext(context);
}

/* Both or none. Only parts of devices count their references. */
static clkv_status retain(cl_context context, cl_device_id device, clkv_error *error)
{
	CLKV_CL(error, clRetainContext(context));
	clkv_status status = clkv__cl_check(error, clRetainDevice(device), "clRetainDevice");
	if (status != CLKV_OK)
		clReleaseContext(context);
	return status;
}

/* A log callback may call the library, which may speak again. */
static void init_mutexes(clkv_context *c)
{
	pthread_mutexattr_t recursive;
	pthread_mutexattr_init(&recursive);
	pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&c->log_mutex, &recursive);
	pthread_mutexattr_destroy(&recursive);
	pthread_mutex_init(&c->mutex, NULL);
	pthread_cond_init(&c->built, NULL);
}

clkv_status clkv_context_create(cl_context context, cl_device_id device,
                                const clkv_context_options *options, clkv_context **out,
                                clkv_error *error)
{
	clkv__error_clear(error);
	clkv_context_options o = CLKV_INIT(clkv_context_options);
	if (!out)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT, "out is NULL");
	if (options)
		CLKV_TRY(clkv__struct_read(&o, sizeof o, options, "clkv_context_options", error));
	if (!o.allocator.alloc != !o.allocator.free)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT,
		          "allocator: alloc and free must both be set, or both be NULL");
	CLKV_TRY(check_device(context, device, error));
	CLKV_TRY(retain(context, device, error));
	clkv_context *c = clkv__calloc(&o.allocator, 1, sizeof *c);
	if (!c) {
		release(context, device);
		CLKV_FAIL(error, CLKV_ERROR_NO_HOST_MEMORY, "no host memory for a context");
	}
	c->allocator = o.allocator;
	init_mutexes(c);
	c->log = (struct clkv__log){o.log, o.log_opaque, o.log_level ? o.log_level : CLKV_LOG_CONTEXT,
	                            &c->log_mutex};
	c->cl = context;
	c->device = device;
	clkv_status status = fill(c, &o, error);
	if (status != CLKV_OK) {
		clkv_context_destroy(c);
		return status;
	}
	*out = c;
	return CLKV_OK;
}

void clkv_context_destroy(clkv_context *context)
{
	if (!context)
		return;
	clkv_allocator allocator = context->allocator;
	clkv__programs_free(context);
	clkv__tune_list_free(context, &context->tune.list);
	release(context->cl, context->device);
	pthread_cond_destroy(&context->built);
	pthread_mutex_destroy(&context->mutex);
	pthread_mutex_destroy(&context->log_mutex);
	clkv__free(&allocator, context->cache_dir);
	clkv__free(&allocator, context->kernel_dir);
	clkv__free(&allocator, context);
}

cl_context clkv_context_cl(const clkv_context *context)
{
	return context->cl;
}

cl_device_id clkv_context_device(const clkv_context *context)
{
	return context->device;
}

clkv_status clkv_context_get_info(const clkv_context *context, clkv_device_info *info,
                                  clkv_error *error)
{
	clkv__error_clear(error);
	if (!context)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT, "context is NULL");
	return clkv__struct_write(info, &context->info, sizeof context->info, "clkv_device_info",
	                          error);
}
