/* SPDX-License-Identifier: MIT */
/**
 * \file    host_tensor.h
 * \brief   Callers' tensors in host memory: a buffer stands for each as long as a call enqueues.
 *
 * Where the device shares the host's memory the buffer is that memory. Elsewhere what is read is written to the device
 * first, and what is written comes back behind the last kernel.
 */
#ifndef CLKV__HOST_TENSOR_H
#define CLKV__HOST_TENSOR_H

#include "device/queue.h"

/** Most tensors of a call. */
enum { CLKV__HOST_TENSORS = 5 };

/** The buffer of one tensor. */
struct clkv__host_tensor {
	cl_mem mem;
	unsigned char *host; /**< its first byte */
	size_t offset, size; /**< bytes of the buffer in front of that, and from there on */
	bool copies, writes; /**< it's a copy; kernels write to it */
};

/** Those of a call. */
struct clkv__host_tensors {
	const clkv_context *context;
	struct clkv__chain *chain;
	struct clkv__host_tensor tensor[CLKV__HOST_TENSORS];
	size_t n;
};

/** What a tensor, checked, is. */
struct clkv__extent {
	size_t rows, heads, dim;
	bool gaps; /**< there are rows between its own that aren't the step's */
};

/** Begins those of a call on a chain; any: there are some, so that what is enqueued for them waits for the caller's events.
 *  Errors: OPENCL. */
clkv_status clkv__host_tensors_start(struct clkv__host_tensors *all, const clkv_context *context,
                                     struct clkv__chain *chain, bool any, cl_uint n_wait,
                                     const cl_event *wait, clkv_error *error);

/** Puts a buffer in the place of the tensor's host pointer, if it has one; writes: kernels will write to it. Reading may be
 *  enqueued: behind what the chain waits for. Errors: INVALID_ARGUMENT (not aligned to its elements), OPENCL,
 *  NO_DEVICE_MEMORY. */
clkv_status clkv__host_tensor_take(struct clkv__host_tensors *all, clkv_tensor *tensor,
                                   const char *name, const struct clkv__extent *extent, bool writes,
                                   clkv_error *error);

/** The same of floats [rows][heads] of the extent, behind *offset, which become *mem's; checked first. Of neither mem nor host
 *  nothing is done. Errors: also INVALID_ARGUMENT (both are given, or a buffer is too small). */
clkv_status clkv__host_floats_take(struct clkv__host_tensors *all, cl_mem *mem, const float *host,
                                   const char *name, size_t *offset,
                                   const struct clkv__extent *extent, bool writes,
                                   clkv_error *error);

/** Whether kernels write to any, so that more is enqueued behind them. */
bool clkv__host_tensors_return(const struct clkv__host_tensors *all);

/** Behind the kernels, whose call ended with status: what they wrote becomes the host's, done (may be NULL) the event behind
 *  it, and the buffers go. On failure no command uses the caller's memory any more. Returns status, or its own. */
clkv_status clkv__host_tensors_end(struct clkv__host_tensors *all, clkv_status status,
                                   cl_event *done, clkv_error *error);

#endif
