/* SPDX-License-Identifier: MIT */
/** \file build.c \brief Builds programs and keeps them in their context. */
#include "program/build.h"

#include "base/alloc.h"
#include "program/cache_file.h"
#include "program/source.h"

#include <stdio.h>
#include <string.h>

enum { MAX_OPTIONS = 2048 };

struct clkv__program {
	struct clkv__program *next;
	cl_program program;
	char key[]; /* "file options" */
};

static struct clkv__program *find(clkv_context *context, const char *key)
{
	for (struct clkv__program *p = context->programs; p; p = p->next)
		if (strcmp(p->key, key) == 0)
			return p;
	return NULL;
}

/* The whole log goes to the callback, its first line that speaks of an error into the text. */
static clkv_status fail_build(clkv_context *context, cl_program program, const char *file,
                              cl_int code, clkv_error *error)
{
	size_t size = 0;
	clGetProgramBuildInfo(program, context->device, CL_PROGRAM_BUILD_LOG, 0, NULL, &size);
	char *log = clkv__calloc(&context->allocator, size + 1, 1);
	if (log)
		clGetProgramBuildInfo(program, context->device, CL_PROGRAM_BUILD_LOG, size, log, NULL);
	const char *text = log ? log : "", *line = strstr(text, "error");
	while (line && line > text && line[-1] != '\n')
		line--;
	clkv__log(context, CLKV_LOG_ERROR, "build", "%s on %s: %s", file, context->info.name, text);
	if (error && error->status == CLKV_OK) {
		error->cl_code = code;
		snprintf(error->call, sizeof error->call, "clBuildProgram");
	}
	clkv__error_set(error, CLKV_ERROR_BUILD, "%s doesn't build on '%.60s' (code %d): %.*s", file,
	                context->info.name, code, line ? (int)strcspn(line, "\n") : 0,
	                line ? line : "");
	clkv__free(&context->allocator, log);
	return CLKV_ERROR_BUILD;
}

static clkv_status compile(clkv_context *context, const char *file, const char *source,
                           const char *options, cl_program *out, clkv_error *error)
{
	cl_int code;
	cl_program program = clCreateProgramWithSource(context->cl, 1, &source, NULL, &code);
	CLKV_CL_CODE(error, code, "clCreateProgramWithSource");
	code = clBuildProgram(program, 1, &context->device, options, NULL, NULL);
	if (code != CL_SUCCESS) {
		clkv_status status = code == CL_OUT_OF_HOST_MEMORY
		                         ? clkv__cl_check(error, code, "clBuildProgram")
		                         : fail_build(context, program, file, code, error);
		clReleaseProgram(program);
		return status;
	}
	*out = program;
	return CLKV_OK;
}

static clkv_status build(clkv_context *context, const char *file, const char *options,
                         cl_program *out, clkv_error *error)
{
	char *source = NULL;
	CLKV_TRY(clkv__source_text(context, file, &source, error));
	struct clkv__cache_key key;
	clkv__cache_key_make(context, source, options, &key);
	clkv_status status = CLKV_OK;
	cl_program program = clkv__cache_file_load(context, &key, options);
	if (!program) {
		status = compile(context, file, source, options, &program, error);
		if (status == CLKV_OK)
			clkv__cache_file_store(context, &key, program);
	}
	clkv__log(context, CLKV_LOG_BUILD, "build", "%s%s: %s", file, options,
	          status == CLKV_OK ? "ready" : "failed");
	clkv__free(&context->allocator, source);
	*out = program;
	return status;
}

static clkv_status add(clkv_context *context, const char *key, const char *file,
                       const char *options, struct clkv__program **out, clkv_error *error)
{
	size_t size = sizeof(struct clkv__program) + strlen(key) + 1;
	struct clkv__program *p = clkv__calloc(&context->allocator, 1, size);
	if (!p)
		CLKV_FAIL(error, CLKV_ERROR_NO_HOST_MEMORY, "no host memory for program %s", file);
	memcpy(p->key, key, strlen(key) + 1);
	clkv_status status = build(context, file, options, &p->program, error);
	if (status != CLKV_OK) {
		clkv__free(&context->allocator, p);
		return status;
	}
	p->next = context->programs;
	context->programs = p;
	*out = p;
	return CLKV_OK;
}

clkv_status clkv__program_kernel(clkv_context *context, const char *file, const char *kernel,
                                 const clkv__macros *macros, cl_kernel *out, clkv_error *error)
{
	char options[MAX_OPTIONS], key[MAX_OPTIONS + 128], text[MAX_OPTIONS - 32];
	if (macros->refused)
		CLKV_FAIL(error, CLKV_ERROR_INTERNAL, "%s: macro %s has two values, or there are over %d",
		          file, macros->refused, CLKV__MAX_MACROS);
	if (clkv__macros_text(macros, text, sizeof text) >= sizeof text)
		CLKV_FAIL(error, CLKV_ERROR_INTERNAL, "%s has too many macros", file);
	snprintf(options, sizeof options, "-cl-std=%s%s", macros->std, text);
	snprintf(key, sizeof key, "%s %s", file, options);
	pthread_mutex_lock(&context->mutex);
	struct clkv__program *p = find(context, key);
	clkv_status status = CLKV_OK;
	if (!p)
		status = add(context, key, file, options, &p, error);
	if (status == CLKV_OK) {
		cl_int code;
		cl_kernel k = clCreateKernel(p->program, kernel, &code);
		status = clkv__cl_check(error, code, "clCreateKernel");
		if (status == CLKV_OK)
			*out = k;
	}
	pthread_mutex_unlock(&context->mutex);
	return status;
}

void clkv__programs_free(clkv_context *context)
{
	while (context->programs) {
		struct clkv__program *p = context->programs;
		context->programs = p->next;
		clReleaseProgram(p->program);
		clkv__free(&context->allocator, p);
	}
}
