/* SPDX-License-Identifier: MIT */
/** \file clkv/base.h \brief Status, errors, versions, the names of objects: what all other headers need. */
#ifndef CLKV_BASE_H
#define CLKV_BASE_H

#ifndef CL_TARGET_OPENCL_VERSION
#define CL_TARGET_OPENCL_VERSION 120
#endif
#include <CL/cl.h>
#include <stddef.h>
#include <stdint.h>

#include "version.h"

#if defined(__GNUC__) && !defined(CLKV_NO_VISIBILITY)
#define CLKV_API __attribute__((visibility("default")))
#else
#define CLKV_API
#endif

#ifdef __cplusplus
#define CLKV_BEGIN_DECLS extern "C" {
#define CLKV_END_DECLS }
#else
#define CLKV_BEGIN_DECLS
#define CLKV_END_DECLS
#endif

/** Sets struct_size and zeroes the rest: clkv_geometry g = CLKV_INIT(clkv_geometry); */
#ifdef __cplusplus
template <typename T> static inline T clkv_init_struct()
{
	T t = T();
	t.struct_size = sizeof(T);
	return t;
}
#define CLKV_INIT(type) clkv_init_struct<type>()
#else
#define CLKV_INIT(type)                                                                            \
	{                                                                                              \
		.struct_size = sizeof(type)                                                                \
	}
#endif

CLKV_BEGIN_DECLS

typedef struct clkv_context clkv_context; /**< one device, its built programs and its tuning */
typedef struct clkv_cache clkv_cache;     /**< the page pool of one geometry and one recipe */
typedef struct clkv_seq clkv_seq;         /**< one stream of tokens in a cache */
typedef struct clkv_step clkv_step;       /**< one forward pass, from begin to commit */

/** X(name, value, text, meaning). Values are pinned and never reused. */
#define CLKV_STATUS_LIST(X)                                                                        \
	X(CLKV_OK, 0, "ok", "done")                                                                    \
	X(CLKV_ERROR_INVALID_ARGUMENT, -10, "invalid argument", "a bug of the caller's: fix the call") \
	X(CLKV_ERROR_INVALID_RECIPE, -11, "invalid recipe", "position says where")                     \
	X(CLKV_ERROR_INVALID_STATE, -12, "invalid state", "not allowed at this moment")                \
	X(CLKV_ERROR_UNSUPPORTED, -20, "unsupported", "this device or combination can't do it")        \
	X(CLKV_ERROR_NO_DEVICE, -21, "no such device", "no OpenCL device matches")                     \
	X(CLKV_ERROR_NO_HOST_MEMORY, -30, "out of host memory", "the allocator failed")                \
	X(CLKV_ERROR_NO_DEVICE_MEMORY, -31, "out of device memory", "the device can't hold it")        \
	X(CLKV_ERROR_POOL_FULL, -32, "pool full", "the cache has no room: drop or truncate sequences") \
	X(CLKV_ERROR_OPENCL, -40, "OpenCL call failed", "cl_code and call say which")                  \
	X(CLKV_ERROR_BUILD, -41, "kernel build failed", "the log callback has the build log")          \
	X(CLKV_ERROR_CORRUPT, -50, "corrupt data", "a file from outside is damaged")                   \
	X(CLKV_ERROR_IO, -51, "input or output failed", "a file can't be read or written")             \
	X(CLKV_ERROR_BUSY, -60, "busy", "the cache has an open step")                                  \
	X(CLKV_ERROR_INTERNAL, -90, "internal error", "a bug of the library's: please report it")

typedef enum clkv_status {
#define CLKV_X(name, value, text, meaning) name = value,
	CLKV_STATUS_LIST(CLKV_X)
#undef CLKV_X
} clkv_status;

/** Details of a failure; the caller owns it. The first cause wins. Any function takes NULL. */
typedef struct clkv_error {
	clkv_status status;
	cl_int cl_code; /**< OpenCL's code, or 0 */
	char call[40];  /**< the OpenCL call that failed, or "" */
	int position;   /**< in a recipe string: where the error begins, else -1 */
	char text[256]; /**< names what is wrong and what is allowed */
} clkv_error;

/** Names a status ("pool full"); never NULL. Any thread. Since 0.1. */
CLKV_API const char *clkv_status_string(clkv_status status);

/** Tells the version of the library at run time, as "major.minor.patch" and as a number like CLKV_VERSION_NUMBER. Since 0.1. */
CLKV_API const char *clkv_version(void);
CLKV_API unsigned clkv_version_number(void);

CLKV_END_DECLS

#endif
