/* SPDX-License-Identifier: MIT */
/**
 * \file    inject.h
 * \brief   Counts memory, and makes the n-th allocation or OpenCL call fail.
 *
 * inject.c defines the OpenCL functions that can fail in front of the real ones: whoever links it, test
 * or library, goes through it.
 */
#ifndef TEST_INJECT_H
#define TEST_INJECT_H

#include <clkv.h>
#include <stdbool.h>
#include <stdint.h>

/** The code that a failing call returns. */
#define INJECT_CODE CL_OUT_OF_RESOURCES

/** An allocator that counts, and fails when it is told to. */
clkv_allocator inject_allocator(void);
/** Bytes that it has handed out and not got back. */
uint64_t inject_host_bytes(void);
/** Bytes of the cl_mem objects that exist. */
uint64_t inject_device_bytes(void);

/** Call n from now fails (0: the next one). disarm says whether it has. */
void inject_alloc_arm(int n);
bool inject_alloc_disarm(void);
void inject_cl_arm(int n);
bool inject_cl_disarm(void);

/** n calls of one function fail with code, beginning with call number from (0: the next one); n of 0
 *  ends it. */
void inject_refuse(const char *function, int from, int n, cl_int code);

/** What clGetKernelWorkGroupInfo says of the next n kernels asked about: their largest work-group and
 *  their local memory; 0: the truth. */
void inject_kernel_limits(int n, size_t work_group, cl_ulong local_bytes);

/** Whether this process has launched a kernel of that name. */
bool inject_launched(const char *kernel);

/** The function that was made to fail last. */
const char *inject_cl_name(void);

#endif
