/* SPDX-License-Identifier: MIT */
/**
 * \file    build.h
 * \brief   From a kernel file and macros to a kernel: memory, disk, or the compiler.
 *
 * A program is found first, which costs next to nothing, and built when it's wanted. All functions may be called by
 * several threads; the context's mutex isn't held while a compiler runs.
 */
#ifndef CLKV__BUILD_H
#define CLKV__BUILD_H

#include "base/macros.h"
#include "device/context.h"

struct clkv__program;

/** The program of a file and those of the macros that its text names, built or not. It belongs to the context.
 *  Errors: INTERNAL (macros with two values, no such file), IO, NO_HOST_MEMORY. */
clkv_status clkv__program_find(clkv_context *context, const char *file, const clkv__macros *macros,
                               struct clkv__program **out, clkv_error *error);

/** Builds it, unless it is built; waits if another thread builds it. A failure isn't remembered: the next call tries
 *  again. Errors: BUILD (names file and device; the log callback has the build log), OPENCL, memory. What a compiler
 *  can't do for want of host memory is NO_HOST_MEMORY, not BUILD. */
clkv_status clkv__program_build(clkv_context *context, struct clkv__program *program,
                                clkv_error *error);

/** Whether it is built already. */
bool clkv__program_is_built(clkv_context *context, const struct clkv__program *program);

/** The name of its file. */
const char *clkv__program_file(const struct clkv__program *program);

/** A new kernel of a program, which is built if it isn't. Kernels are not shared, so that setting arguments needs no
 *  lock; the caller releases it. */
clkv_status clkv__program_kernel(clkv_context *context, struct clkv__program *program,
                                 const char *kernel, cl_kernel *out, clkv_error *error);

void clkv__programs_free(clkv_context *context);

#endif
