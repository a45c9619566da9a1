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

/** The function that was made to fail last. */
const char *inject_cl_name(void);

#endif
