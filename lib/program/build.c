/* SPDX-License-Identifier: MIT */
/** \file build.c \brief Builds programs and keeps them in their context. */
#include "program/build.h"

#include "base/alloc.h"
#include "program/cache_file.h"
#include "program/names.h"
#include "program/source.h"

#include <stdio.h>
#include <string.h>

enum { MAX_OPTIONS = 2048 };

struct clkv__program {
	struct clkv__program *next;
	cl_program program; /* NULL: not built */
	bool building;
	const char *options; /* in text */
	char text[];         /* file and options, each with its end */
};

/* The names in one file's text, read when the file is first asked for. */
struct clkv__file_names {
	struct clkv__file_names *next;
	struct clkv__names names;
	char file[];
};

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
	/* Drivers print what their compilers warn of, PoCL of its own headers: that's for tests/check-kernels.sh to see. */
	char quiet[MAX_OPTIONS + 8];
	snprintf(quiet, sizeof quiet, "%s -w", options);
	code = clBuildProgram(program, 1, &context->device, quiet, NULL, NULL);
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
		if (status == CLKV_OK && clkv__cache_file_is_due(context, &key))
			clkv__cache_file_store(context, &key, program);
	}
	clkv__log(context, CLKV_LOG_BUILD, "build", "%s%s: %s", file, options,
	          status == CLKV_OK ? "ready" : "failed");
	clkv__free(&context->allocator, source);
	*out = program;
	return status;
}

/* Reads the names of a file's text. */
static clkv_status read_names(clkv_context *context, const char *file, struct clkv__names *out,
                              clkv_error *error)
{
	char *source = NULL;
	CLKV_TRY(clkv__source_text(context, file, &source, error));
	clkv_status status = clkv__names_read(&context->allocator, source, out, error);
	clkv__free(&context->allocator, source);
	return status;
}

static clkv_status add_names(clkv_context *context, const char *file, struct clkv__file_names **out,
                             clkv_error *error)
{
	size_t size = strlen(file) + 1;
	struct clkv__file_names *f = clkv__calloc(&context->allocator, 1, sizeof *f + size);
	if (!f)
		CLKV_FAIL(error, CLKV_ERROR_NO_HOST_MEMORY, "no host memory for the names in %s", file);
	memcpy(f->file, file, size);
	clkv_status status = read_names(context, file, &f->names, error);
	if (status != CLKV_OK) {
		clkv__free(&context->allocator, f);
		return status;
	}
	f->next = context->names;
	context->names = f;
	*out = f;
	return CLKV_OK;
}

/* Leaves the macros that the file's text names. Files of a kernel folder may change at any time. */
static clkv_status filter(clkv_context *context, const char *file, clkv__macros *macros,
                          clkv_error *error)
{
	struct clkv__file_names *f = context->names;
	if (context->kernel_dir) {
		struct clkv__names names;
		CLKV_TRY(read_names(context, file, &names, error));
		clkv__names_filter(&names, macros);
		clkv__names_free(&context->allocator, &names);
		return CLKV_OK;
	}
	while (f && strcmp(f->file, file) != 0)
		f = f->next;
	if (!f)
		CLKV_TRY(add_names(context, file, &f, error));
	clkv__names_filter(&f->names, macros);
	return CLKV_OK;
}

static struct clkv__program *find(clkv_context *context, const char *file, const char *options)
{
	for (struct clkv__program *p = context->programs; p; p = p->next)
		if (strcmp(p->text, file) == 0 && strcmp(p->options, options) == 0)
			return p;
	return NULL;
}

static clkv_status add(clkv_context *context, const char *file, const char *options,
                       struct clkv__program **out, clkv_error *error)
{
	size_t n = strlen(file) + 1, m = strlen(options) + 1;
	struct clkv__program *p = clkv__calloc(&context->allocator, 1, sizeof *p + n + m);
	if (!p)
		CLKV_FAIL(error, CLKV_ERROR_NO_HOST_MEMORY, "no host memory for program %s", file);
	memcpy(p->text, file, n);
	memcpy(p->text + n, options, m);
	p->options = p->text + n;
	p->next = context->programs;
	context->programs = p;
	*out = p;
	return CLKV_OK;
}

/* The caller holds the mutex. */
static clkv_status find_or_add(clkv_context *context, const char *file, const clkv__macros *all,
                               struct clkv__program **out, clkv_error *error)
{
	char options[MAX_OPTIONS], text[MAX_OPTIONS - 32];
	clkv__macros macros = *all;
	CLKV_TRY(filter(context, file, &macros, error));
	if (clkv__macros_text(&macros, text, sizeof text) >= sizeof text)
		CLKV_FAIL(error, CLKV_ERROR_INTERNAL, "%s has too many macros", file);
	snprintf(options, sizeof options, "-cl-std=%s%s", macros.std, text);
	*out = find(context, file, options);
	return *out ? CLKV_OK : add(context, file, options, out, error);
}

clkv_status clkv__program_find(clkv_context *context, const char *file, const clkv__macros *macros,
                               struct clkv__program **out, clkv_error *error)
{
	struct clkv__program *p = NULL;
	if (macros->refused)
		CLKV_FAIL(error, CLKV_ERROR_INTERNAL, "%s: macro %s has two values, or there are over %d",
		          file, macros->refused, CLKV__MAX_MACROS);
	pthread_mutex_lock(&context->mutex);
	clkv_status status = find_or_add(context, file, macros, &p, error);
	pthread_mutex_unlock(&context->mutex);
	if (status == CLKV_OK)
		*out = p;
	return status;
}

clkv_status clkv__program_build(clkv_context *context, struct clkv__program *program,
                                clkv_error *error)
{
	cl_program built = NULL;
	pthread_mutex_lock(&context->mutex);
	while (program->building)
		pthread_cond_wait(&context->built, &context->mutex);
	bool wanted = !program->program;
	program->building = wanted;
	pthread_mutex_unlock(&context->mutex);
	if (!wanted)
		return CLKV_OK;
	clkv_status status = build(context, program->text, program->options, &built, error);
	pthread_mutex_lock(&context->mutex);
	program->program = built;
	program->building = false;
	pthread_cond_broadcast(&context->built);
	pthread_mutex_unlock(&context->mutex);
	return status;
}

bool clkv__program_is_built(clkv_context *context, const struct clkv__program *program)
{
	pthread_mutex_lock(&context->mutex);
	bool built = program->program != NULL;
	pthread_mutex_unlock(&context->mutex);
	return built;
}

const char *clkv__program_file(const struct clkv__program *program)
{
	return program->text;
}

clkv_status clkv__program_kernel(clkv_context *context, struct clkv__program *program,
                                 const char *kernel, cl_kernel *out, clkv_error *error)
{
	cl_int code;
	CLKV_TRY(clkv__program_build(context, program, error));
	cl_kernel k = clCreateKernel(program->program, kernel, &code);
	CLKV_CL_CODE(error, code, "clCreateKernel");
	*out = k;
	return CLKV_OK;
}

static void free_names(clkv_context *context)
{
	while (context->names) {
		struct clkv__file_names *f = context->names;
		context->names = f->next;
		clkv__names_free(&context->allocator, &f->names);
		clkv__free(&context->allocator, f);
	}
}

void clkv__programs_free(clkv_context *context)
{
	while (context->programs) {
		struct clkv__program *p = context->programs;
		context->programs = p->next;
		if (p->program)
			clReleaseProgram(p->program);
		clkv__free(&context->allocator, p);
	}
	free_names(context);
}
