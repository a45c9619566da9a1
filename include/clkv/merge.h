/* SPDX-License-Identifier: MIT */
/** \file clkv/merge.h \brief Attention over a context that lies in parts: on several devices, machines or caches. */
#ifndef CLKV_MERGE_H
#define CLKV_MERGE_H

#include "base.h"
#include "tensor.h"

CLKV_BEGIN_DECLS

/** Parts of one attention, each over other tokens: what clkv_step_attend has left as out and lse, with the same queries and
 *  no sinks. Row r of part p is row p * rows + r.
 *  parts     [n_parts * rows][q_heads][head_dim_v]
 *  part_lse  f32 [n_parts][rows][q_heads]: natural logs; -infinity says that a part saw no token, its rows aren't read then
 *  out       [rows][q_heads][head_dim_v], no element of which is one of parts; zeros where no part saw a token
 *  lse       optional f32 [rows][q_heads]: of all parts, sinks included; -infinity where no part saw a token
 *  sinks     optional f32 [q_heads]: a logit per head that takes part in the softmax with no value, once for all parts */
typedef struct clkv_merge_args {
	size_t struct_size;
	size_t n_parts, rows; /**< 1 and up; their product, times q_heads, below 2^31 */
	int q_heads, head_dim_v;
	clkv_tensor parts, out;
	cl_mem part_lse;
	size_t part_lse_offset; /**< in floats, as all these offsets */
	cl_mem lse;
	size_t lse_offset;
	cl_mem sinks;
	size_t sinks_offset;
	const float *
		part_lse_host; /**< host memory in place of part_lse; as clkv_tensor.host; part_lse_offset counts */
	float *lse_host;
	const float *sinks_host;
} clkv_merge_args;

/** Makes one attention of its parts, exact but for rounding: weights are shares of exp(lse), sums are f32, in the order of
 *  parts. Source: log-sum-exp merge of split attention (Flash-Decoding). Any thread. The first call of a context builds the
 *  kernel; else it enqueues and doesn't block. done (may be NULL): out and lse are written.
 *  Errors: INVALID_ARGUMENT, OPENCL, BUILD, NO_HOST_MEMORY, NO_DEVICE_MEMORY. Since 0.1. */
CLKV_API clkv_status clkv_merge(clkv_context *context, const clkv_merge_args *args,
                                cl_command_queue queue, cl_uint n_wait, const cl_event *wait,
                                cl_event *done, clkv_error *error);

/** The same on the host, of packed floats: parts [n_parts][rows][q_heads][head_dim_v], part_lse [n_parts][rows][q_heads]. lse and
 *  sinks may be NULL. For what arrives from other machines, a few rows at a time. Any thread; one thread's work.
 *  Errors: INVALID_ARGUMENT. Since 0.1. */
CLKV_API clkv_status clkv_merge_host(size_t n_parts, size_t rows, int q_heads, int head_dim_v,
                                     const float *parts, const float *part_lse, const float *sinks,
                                     float *out, float *lse, clkv_error *error);

CLKV_END_DECLS

#endif
