/* SPDX-License-Identifier: MIT */
/** \file build.h \brief From a kernel file and macros to a kernel: memory, disk, or the compiler. */
#ifndef CLKV__BUILD_H
#define CLKV__BUILD_H

#include "device/context.h"
#include "program/macros.h"

/** A new kernel of the program (file, macros), which is built on first use and kept in the context.
 *  Kernels are not shared, so that setting arguments needs no lock; the caller releases it.
 *  Errors: BUILD (names file and device; the log callback has the build log), OPENCL, memory. What a
 *  compiler can't do for want of host memory is NO_HOST_MEMORY, not BUILD. */
clkv_status clkv__program_kernel(clkv_context *context, const char *file, const char *kernel,
                                 const clkv__macros *macros, cl_kernel *out, clkv_error *error);

void clkv__programs_free(clkv_context *context);

#endif
