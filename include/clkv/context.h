/* SPDX-License-Identifier: MIT */
/** \file clkv/context.h \brief A device, its programs and its tunings; logs, allocators. */
#ifndef CLKV_CONTEXT_H
#define CLKV_CONTEXT_H

#include "base.h"

CLKV_BEGIN_DECLS

/** Host memory. All three set, or all NULL for malloc and free. May be called by any thread that
 *  calls the library, and by those it starts to build programs. alloc returns NULL on failure and memory aligned for any type. */
typedef struct clkv_allocator {
	void *(*alloc)(void *opaque, size_t size);
	void (*free)(void *opaque, void *ptr);
	void *opaque;
} clkv_allocator;

/** How often a level speaks: per context, per cache, per block or build, per launch. */
typedef enum clkv_log_level {
	CLKV_LOG_ERROR = 1,
	CLKV_LOG_CONTEXT = 2,
	CLKV_LOG_CACHE = 3,
	CLKV_LOG_BUILD = 4,
	CLKV_LOG_LAUNCH = 5
} clkv_log_level;

/** Called by threads that call the library and by those it starts to build programs, of a context one at a time. */
typedef void (*clkv_log_fn)(void *opaque, clkv_log_level level, const char *subsystem,
                            const char *text);

typedef struct clkv_context_options {
	size_t struct_size;
	clkv_allocator allocator;
	clkv_log_fn log; /**< NULL: silent */
	void *log_opaque;
	clkv_log_level log_level; /**< 0: CLKV_LOG_CONTEXT */
	const char *cache_dir;    /**< programs and tunings on disk; NULL: CLKV_CACHE_DIR, else
	                               $XDG_CACHE_HOME/clkv, else $HOME/.cache/clkv; "": none */
	const char *kernel_dir;   /**< read kernel sources from here; NULL: CLKV_KERNEL_DIR, else the
	                               embedded ones */
} clkv_context_options;

/** Makes a context on the caller's cl_context and one of its devices, or a part of one (both are retained). Blocks while it asks
 *  the device.
 *  Reads the environment (CLKV_CACHE_DIR, CLKV_KERNEL_DIR, CLKV_TUNE, CLKV_BUILD_THREADS: threads that
 *  build programs at once, the number of cores unless set) and the tunings that clkv_tuning_store has kept here and
 *  never later. Errors: INVALID_ARGUMENT, NO_HOST_MEMORY, OPENCL, UNSUPPORTED. Since 0.1. */
CLKV_API clkv_status clkv_context_create(cl_context context, cl_device_id device,
                                         const clkv_context_options *options, clkv_context **out,
                                         clkv_error *error);

/** Opens a context on a device chosen by name: NULL or "" (the first GPU, else the first device), "gpu",
 *  "cpu", "accelerator", "P:D" (platform and device number as clkv-info lists them), or a part of the
 *  platform's or device's name in any case ("pocl", "radeon"). Platforms without a device are passed
 *  over. Errors: CLKV_ERROR_NO_DEVICE. Since 0.1. */
CLKV_API clkv_status clkv_context_open(const char *device, const clkv_context_options *options,
                                       clkv_context **out, clkv_error *error);

/** Frees a context. Its caches must be destroyed before. NULL is allowed. Since 0.1. */
CLKV_API void clkv_context_destroy(clkv_context *context);

/** Give the cl_context and device of a context: for the buffers and queues of those who opened it by
 *  name. Not retained for the caller. Never NULL. Since 0.1. */
CLKV_API cl_context clkv_context_cl(const clkv_context *context);
CLKV_API cl_device_id clkv_context_device(const clkv_context *context);

/** What the library knows of a device, and what it chose for it. */
typedef struct clkv_device_info {
	size_t struct_size;
	char platform[128], name[128], vendor[128], driver[128], cl_version[128];
	int is_gpu; /**< 1: GPU or accelerator; 0: CPU */
	unsigned compute_units;
	unsigned vector_width; /**< floats in a native vector */
	int has_fp16, has_fp64, has_subgroups;
	uint64_t global_bytes, max_alloc_bytes, local_bytes;
	size_t max_work_group;
	unsigned lanes, vec; /**< work-items per group and their vector width, for caches that have no
	                          tuning of their own in the tuning file */
	char tuning[64];     /**< where these come from */
} clkv_device_info;

/** Fills info. Errors: INVALID_ARGUMENT. Since 0.1. */
CLKV_API clkv_status clkv_context_get_info(const clkv_context *context, clkv_device_info *info,
                                           clkv_error *error);

CLKV_END_DECLS

#endif
