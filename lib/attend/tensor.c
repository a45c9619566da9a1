/* SPDX-License-Identifier: MIT */
/** \file tensor.c \brief Checks callers' tensors before a kernel trusts them. */
#include "attend/tensor.h"

#include "../cl/base/abi.clh"
#include "base/checked.h"
#include "base/error.h"

_Static_assert((int)CLKV_F32 == ABI_F32 && (int)CLKV_F16 == ABI_F16 && (int)CLKV_BF16 == ABI_BF16,
               "kernels get element types as callers name them");

static clkv_status buffer_size(cl_mem mem, const char *name, size_t *size, clkv_error *error)
{
	if (!mem)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT, "%s: mem is NULL", name);
	CLKV_CL(error, clGetMemObjectInfo(mem, CL_MEM_SIZE, sizeof *size, size, NULL));
	return CLKV_OK;
}

/* Bytes of what a tensor lies in; of host memory only its owner knows. */
static clkv_status memory_size(const clkv_tensor *t, const char *name, size_t *size,
                               clkv_error *error)
{
	if (t->mem && t->host)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT,
		          "%s: mem and host are given; allowed: one of "
		          "the two",
		          name);
	*size = SIZE_MAX;
	return t->host ? CLKV_OK : buffer_size(t->mem, name, size, error);
}

static clkv_status check_strides(clkv_tensor *t, const char *name, size_t heads, size_t dim,
                                 clkv_error *error)
{
	if (t->head_stride == 0)
		t->head_stride = dim;
	if (t->token_stride == 0 && !clkv__checked_mul(heads, t->head_stride, &t->token_stride))
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT, "%s: head_stride %zu is too large", name,
		          t->head_stride);
	/* Heads may also lie outside tokens ([head][token][dim]): only overlap is refused. */
	if (t->head_stride < dim || t->token_stride < dim)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT,
		          "%s: strides are %zu (token) and %zu (head); allowed: the head size (%zu) and up",
		          name, t->token_stride, t->head_stride, dim);
	return CLKV_OK;
}

clkv_status clkv__tensor_check(clkv_tensor *tensor, const char *name, size_t n_rows, int heads,
                               int dim, clkv_error *error)
{
	size_t size, token, head, end, bytes;
	CLKV_TRY(memory_size(tensor, name, &size, error));
	if (tensor->dtype < CLKV_F32 || tensor->dtype > CLKV_BF16)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT, "%s: dtype is %d; allowed: f32, f16, bf16",
		          name, (int)tensor->dtype);
	CLKV_TRY(check_strides(tensor, name, (size_t)heads, (size_t)dim, error));
	size_t element = tensor->dtype == CLKV_F32 ? 4 : 2;
	bool ok = clkv__checked_mul(n_rows - 1, tensor->token_stride, &token) &&
	          clkv__checked_mul((size_t)heads - 1, tensor->head_stride, &head) &&
	          clkv__checked_add(token, head, &end) && clkv__checked_add(end, (size_t)dim, &end) &&
	          clkv__checked_add(end, tensor->offset, &end) &&
	          clkv__checked_mul(end, element, &bytes);
	if (!ok || bytes > size)
		CLKV_FAIL(
			error, CLKV_ERROR_INVALID_ARGUMENT,
			"%s: %zu rows of %d heads reach byte %zu behind its offset and strides; its buffer "
			"has %zu",
			name, n_rows, heads, ok ? bytes : SIZE_MAX, size);
	return CLKV_OK;
}

clkv_status clkv__floats_check(cl_mem mem, const char *name, size_t offset, size_t n,
                               clkv_error *error)
{
	size_t size, end, bytes;
	CLKV_TRY(buffer_size(mem, name, &size, error));
	if (!clkv__checked_add(offset, n, &end) || !clkv__checked_mul(end, sizeof(float), &bytes) ||
	    bytes > size)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT,
		          "%s: %zu floats behind offset %zu don't fit its buffer of %zu bytes", name, n,
		          offset, size);
	return CLKV_OK;
}
