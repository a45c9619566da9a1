/* SPDX-License-Identifier: MIT */
/** \file clkv/tensor.h \brief The caller's rows. */
#ifndef CLKV_TENSOR_H
#define CLKV_TENSOR_H

#include "base.h"

CLKV_BEGIN_DECLS

/** Element types of caller's tensors. Half and bfloat16 are rounded to nearest even. */
typedef enum clkv_dtype { CLKV_F32 = 0, CLKV_F16 = 1, CLKV_BF16 = 2 } clkv_dtype;

/** Rows in the caller's buffer, or in host memory: element (token, head, d) lies at
 *  offset + token * token_stride + head * head_stride + d, all in elements of dtype.
 *  Strides of 0 mean packed: head_stride = head size, token_stride = heads * head_stride.
 *  Host memory (host, with mem NULL) may lie at any multiple of its element's size, and is the library's from the call
 *  until the call's event, or anything that the queue does behind it, has completed: what is read must stay as it is,
 *  what is written may be read then, and not before. Devices that share the host's memory (CPUs) read and write it in place.
 *  For others each call makes buffers, which clkv_bytes doesn't count, reads all between the first and the last element,
 *  and of an output writes what lies between its elements back as it was; pinned or mapped memory makes that faster. */
typedef struct clkv_tensor {
	cl_mem mem;
	size_t offset;
	clkv_dtype dtype;
	size_t token_stride, head_stride;
	void *host; /**< in place of mem; of tensors that are only read it isn't written to */
} clkv_tensor;

CLKV_END_DECLS

#endif
