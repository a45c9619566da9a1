/* SPDX-License-Identifier: MIT */
/** \file tensor.c \brief Tensors with guards around every row. */
#include "tensor.h"

#include "../ref/ref_half.h"
#include "each.h"

#include <check.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define GUARD 0xa5
#define GUARD_BYTES 64 /* behind the last element */

static size_t size_of(clkv_dtype dtype)
{
	return dtype == CLKV_F32 ? 4 : 2;
}

double tensor_round(clkv_dtype dtype, double value)
{
	if (dtype == CLKV_F16)
		return ref_half(value);
	if (dtype == CLKV_BF16)
		return ref_from_bfloat(ref_to_bfloat(value));
	return (double)(float)value;
}

static void encode(clkv_dtype dtype, double value, unsigned char *at)
{
	if (dtype == CLKV_F32) {
		float f = (float)value;
		memcpy(at, &f, sizeof f);
	} else {
		uint16_t bits = dtype == CLKV_F16 ? ref_to_half(value) : ref_to_bfloat(value);
		memcpy(at, &bits, sizeof bits);
	}
}

static double decode(clkv_dtype dtype, const unsigned char *at)
{
	if (dtype == CLKV_F32) {
		float f;
		memcpy(&f, at, sizeof f);
		return (double)f;
	}
	uint16_t bits;
	memcpy(&bits, at, sizeof bits);
	return dtype == CLKV_F16 ? ref_from_half(bits) : ref_from_bfloat(bits);
}

double tensor_guard(clkv_dtype dtype)
{
	const unsigned char bytes[4] = {GUARD, GUARD, GUARD, GUARD};
	return decode(dtype, bytes);
}

/* Byte of element (row, head, 0). */
static size_t row_at(const struct tensor *x, size_t row, size_t head)
{
	size_t head_stride = x->t.head_stride ? x->t.head_stride : x->dim;
	size_t token_stride = x->t.token_stride ? x->t.token_stride : x->heads * head_stride;
	return (x->t.offset + row * token_stride + head * head_stride) * size_of(x->t.dtype);
}

/* Host memory for bytes of a tensor, with guards in front of it. */
static void open_host(struct tensor *x, size_t skew, const unsigned char *bytes)
{
	enum { FRONT = 64 };
	unsigned char *block = malloc(x->bytes + skew + 2 * FRONT);
	ck_assert_ptr_nonnull(block);
	memset(block, GUARD, x->bytes + skew + 2 * FRONT);
	unsigned char *at = block + 2 * FRONT - (uintptr_t)block % FRONT + skew;
	memcpy(at, bytes, x->bytes);
	x->block = block;
	x->t.host = at;
}

/* The host memory's bytes; those in front of it are guards still. */
static void read_host(const struct tensor *x, unsigned char *bytes)
{
	for (const unsigned char *at = x->block; at < (const unsigned char *)x->t.host; at++)
		EACH_MSG(*at == GUARD, "a byte in front of the tensor was written");
	memcpy(bytes, x->t.host, x->bytes);
}

void tensor_open(struct tensor *x, cl_command_queue queue, struct tensor_layout layout, size_t rows,
                 size_t heads, size_t dim, const double *values)
{
	size_t size = size_of(layout.dtype);
	bool packed = layout.head_gap == 0 && layout.token_gap == 0;
	cl_context context;
	cl_int code;
	*x = (struct tensor){.rows = rows, .heads = heads, .dim = dim};
	x->t.dtype = layout.dtype;
	x->t.offset = layout.offset;
	x->t.head_stride = packed ? 0 : dim + layout.head_gap;
	x->t.token_stride = packed ? 0 : heads * (dim + layout.head_gap) + layout.token_gap;
	x->bytes = row_at(x, rows - 1, heads - 1) + dim * size + GUARD_BYTES;
	unsigned char *bytes = malloc(x->bytes);
	ck_assert_ptr_nonnull(bytes);
	memset(bytes, GUARD, x->bytes);
	for (size_t i = 0; values && i < rows * heads * dim; i++)
		encode(layout.dtype, values[i],
		       bytes + row_at(x, i / dim / heads, i / dim % heads) + i % dim * size);
	if (layout.host) {
		open_host(x, layout.skew, bytes);
		free(bytes);
		return;
	}
	ck_assert_int_eq(clGetCommandQueueInfo(queue, CL_QUEUE_CONTEXT, sizeof context, &context, NULL),
	                 CL_SUCCESS);
	x->t.mem =
		clCreateBuffer(context, CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR, x->bytes, bytes, &code);
	ck_assert_int_eq(code, CL_SUCCESS);
	free(bytes);
}

void tensor_close(struct tensor *x)
{
	if (x->t.mem)
		ck_assert_int_eq(clReleaseMemObject(x->t.mem), CL_SUCCESS);
	free(x->block);
	*x = (struct tensor){0};
}

void tensor_read(const struct tensor *x, cl_command_queue queue, double *values)
{
	size_t size = size_of(x->t.dtype);
	unsigned char *bytes = malloc(x->bytes);
	ck_assert_ptr_nonnull(bytes);
	ck_assert_int_eq(clFinish(queue), CL_SUCCESS);
	if (x->t.host)
		read_host(x, bytes);
	else
		ck_assert_int_eq(
			clEnqueueReadBuffer(queue, x->t.mem, CL_TRUE, 0, x->bytes, bytes, 0, NULL, NULL),
			CL_SUCCESS);
	for (size_t row = 0; row < x->rows; row++)
		for (size_t head = 0; head < x->heads; head++) {
			unsigned char *at = bytes + row_at(x, row, head);
			for (size_t d = 0; d < x->dim; d++)
				values[(row * x->heads + head) * x->dim + d] = decode(x->t.dtype, at + d * size);
			memset(at, GUARD, x->dim * size);
		}
	for (size_t i = 0; i < x->bytes; i++)
		EACH_MSG(bytes[i] == GUARD, "byte %zu beside the tensor's elements was written", i);
	free(bytes);
}
