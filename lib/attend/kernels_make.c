/* SPDX-License-Identifier: MIT */
/** \file kernels_make.c \brief Makes planned kernels: with the cache, at their first launch, or when asked to. */
#include "attend/kernels.h"

#include "base/alloc.h"
#include "base/error.h"
#include "device/context.h"
#include "program/build_many.h"
#include "store/cache.h"

#include <string.h>

/* What a driver only says of the finished kernel. */
static clkv_status check_limits(const clkv_cache *cache, const char *file, cl_kernel kernel,
                                const char **why, clkv_error *error)
{
	const clkv_context *context = cache->context;
	size_t group = 0, lanes = cache->tuning.lanes;
	cl_ulong local = 0;
	CLKV_CL(error, clGetKernelWorkGroupInfo(kernel, context->device, CL_KERNEL_WORK_GROUP_SIZE,
	                                        sizeof group, &group, NULL));
	CLKV_CL(error, clGetKernelWorkGroupInfo(kernel, context->device, CL_KERNEL_LOCAL_MEM_SIZE,
	                                        sizeof local, &local, NULL));
	if (group < lanes) {
		*why = "work-group";
		CLKV_FAIL(error, CLKV_ERROR_BUILD, "%s on '%.60s': %zu work-items per group, not %zu", file,
		          context->info.name, group, lanes);
	}
	if (local > context->info.local_bytes) {
		*why = "local memory";
		CLKV_FAIL(error, CLKV_ERROR_BUILD,
		          "%s on '%.60s': %llu bytes of local memory, there are %llu", file,
		          context->info.name, (unsigned long long)local,
		          (unsigned long long)context->info.local_bytes);
	}
	return CLKV_OK;
}

/* Refusals are the compiler's, and a finished kernel for which the device has no room; a lack of host
 * memory or a mistake of ours would meet every other tuning too. */
static clkv_status make(const clkv_cache *cache, struct clkv__kernel *k, const char **why,
                        clkv_error *error)
{
	clkv_status status = clkv__program_kernel(cache->context, k->program, k->name, &k->made, error);
	if (status == CLKV_ERROR_BUILD)
		*why = "build";
	else if (error->cl_code == CL_OUT_OF_RESOURCES && strcmp(error->call, "clCreateKernel") == 0)
		*why = "resources";
	if (status != CLKV_OK)
		return status;
	status = check_limits(cache, clkv__program_file(k->program), k->made, why, error);
	if (status == CLKV_OK)
		return CLKV_OK;
	clReleaseKernel(k->made);
	k->made = NULL;
	return status;
}

/* The kernel with subgroups, if it has such a form, else the one without. */
static clkv_status make_either(const clkv_cache *cache, struct clkv__kernel *k, const char **why,
                               clkv_error *error)
{
	clkv_error refusal;
	clkv__error_clear(&refusal);
	if (!k->plain)
		return make(cache, k, why, error);
	if (make(cache, k, why, &refusal) == CLKV_OK)
		return CLKV_OK;
	clkv__log(cache->context, CLKV_LOG_CONTEXT, "build", "no subgroups: %s", refusal.text);
	*why = NULL;
	k->program = k->plain;
	k->plain = NULL;
	return make(cache, k, why, error);
}

clkv_status clkv__kernel_make(clkv_cache *cache, struct clkv__kernel *kernel, const char **why,
                              clkv_error *error)
{
	clkv_error cause;
	const char *word = NULL;
	if (kernel->made)
		return CLKV_OK;
	clkv__error_clear(&cause);
	uint64_t start = clkv__now_ns();
	clkv_status status = make_either(cache, kernel, &word, &cause);
	cache->meter.build_ns += clkv__now_ns() - start;
	if (why)
		*why = word;
	if (status != CLKV_OK && error && error->status == CLKV_OK)
		*error = cause;
	return status;
}

/* Those of a cache's kernels that the list lacks. */
static void add_programs(const clkv_cache *cache, bool early, struct clkv__program **list,
                         size_t *at)
{
	for (struct clkv__kernel *k = cache->kernels->first; k; k = k->next) {
		size_t known = 0;
		while (known < *at && list[known] != k->program)
			known++;
		if (known == *at && (k->early || !early) &&
		    !clkv__program_is_built(cache->context, k->program))
			list[(*at)++] = k->program;
	}
}

/* Programs that are wanted and not built yet, each once, in the order of kernels: early, of one band, else of all behind
 * it too. Memory of the context's allocator. */
static clkv_status list_programs(const clkv_cache *cache, bool early, struct clkv__program ***out,
                                 size_t *n, clkv_error *error)
{
	size_t most = 0, at = 0;
	for (const clkv_cache *c = cache; c; c = early ? NULL : c->next_band)
		for (struct clkv__kernel *k = c->kernels->first; k; k = k->next)
			most++;
	struct clkv__program **list =
		clkv__calloc(&cache->context->allocator, most, sizeof(struct clkv__program *));
	if (!list)
		CLKV_FAIL(error, CLKV_ERROR_NO_HOST_MEMORY, "no host memory for %zu kernels", most);
	for (const clkv_cache *c = cache; c; c = early ? NULL : c->next_band)
		add_programs(c, early, list, &at);
	*out = list;
	*n = at;
	return CLKV_OK;
}

clkv_status clkv__kernels_make_early(clkv_cache *cache, const char **why, clkv_error *error)
{
	struct clkv__program **list = NULL;
	size_t n = 0;
	CLKV_TRY(list_programs(cache, true, &list, &n, error));
	/* What a device refuses is met again below, in the order of kernels. */
	if (n > 1 && cache->context->build_threads > 1)
		(void)clkv__build_many(cache->context, list, n, NULL, NULL, NULL);
	clkv__free(&cache->context->allocator, list);
	for (struct clkv__kernel *k = cache->kernels->first; k; k = k->next)
		if (k->early)
			CLKV_TRY(clkv__kernel_make(cache, k, why, error));
	return CLKV_OK;
}

struct warming {
	clkv_progress_fn progress;
	void *opaque;
	size_t total;
};

static bool report(void *opaque, size_t done, const char *file)
{
	const struct warming *w = opaque;
	return !w->progress || w->progress(w->opaque, done, w->total, file) == 0;
}

/* Touches nothing but programs, so that steps may go on meanwhile. */
clkv_status clkv_cache_warm(clkv_cache *cache, clkv_progress_fn progress, void *opaque,
                            clkv_error *error)
{
	struct clkv__program **list = NULL;
	struct warming w = {progress, opaque, 0};
	clkv__error_clear(error);
	if (!cache)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT, "cache is NULL");
	CLKV_TRY(list_programs(cache, false, &list, &w.total, error));
	clkv_status status = CLKV_OK;
	if (w.total > 0 && report(&w, 0, ""))
		status = clkv__build_many(cache->context, list, w.total, report, &w, error);
	clkv__free(&cache->context->allocator, list);
	return status;
}
