/* SPDX-License-Identifier: MIT */
/** \file host_tensor.c \brief Buffers that stand for tensors in host memory. */
#include "attend/host_tensor.h"

#include "attend/tensor.h"
#include "base/error.h"
#include "device/context.h"

#include <stdint.h>

/* Behind this boundary a GPU's driver takes host memory as it is; in front of it it may copy. */
enum { PAGE = 4096 };

clkv_status clkv__host_tensors_start(struct clkv__host_tensors *all, const clkv_context *context,
                                     struct clkv__chain *chain, bool any, cl_uint n_wait,
                                     const cl_event *wait, clkv_error *error)
{
	*all = (struct clkv__host_tensors){.context = context, .chain = chain};
	for (cl_uint i = 0; any && i < n_wait; i++)
		CLKV_TRY(clkv__chain_wait(chain, wait[i], error));
	return CLKV_OK;
}

static size_t element_size(const clkv_tensor *t)
{
	return t->dtype == CLKV_F32 ? 4 : 2;
}

/* Elements from the first to the last; the check has seen that they can be counted. */
static size_t extent_of(const clkv_tensor *t, const struct clkv__extent *e)
{
	return (e->rows - 1) * t->token_stride + (e->heads - 1) * t->head_stride + e->dim;
}

/* Whether all between its first and its last element is the tensor's. */
static bool is_dense(const clkv_tensor *t, const struct clkv__extent *e)
{
	return t->head_stride == e->dim && t->token_stride == e->heads * e->dim && !e->gaps;
}

static clkv_status create(const clkv_context *context, struct clkv__host_tensor *h,
                          clkv_error *error)
{
	cl_mem_flags flags = h->writes ? CL_MEM_READ_WRITE : CL_MEM_READ_ONLY;
	cl_int code;
	if (h->copies)
		h->mem = clCreateBuffer(context->cl, flags, h->size, NULL, &code);
	else
		h->mem = clCreateBuffer(context->cl, flags | CL_MEM_USE_HOST_PTR, h->offset + h->size,
		                        h->host - h->offset, &code);
	if (code != CL_SUCCESS)
		h->mem = NULL;
	CLKV_CL_CODE(error, code, "clCreateBuffer");
	return CLKV_OK;
}

/* Devices may take the beginning of a buffer to be aligned: it begins a little in front of the tensor, in bytes that no
 * kernel touches. */
static void place(const clkv_context *context, struct clkv__host_tensor *h)
{
	bool pages = (uintptr_t)h->host % PAGE == 0;
	h->copies = !context->unified || (context->info.is_gpu && !pages);
	h->offset = h->copies ? 0 : (uintptr_t)h->host % context->alignment;
}

clkv_status clkv__host_tensor_take(struct clkv__host_tensors *all, clkv_tensor *tensor,
                                   const char *name, const struct clkv__extent *extent, bool writes,
                                   clkv_error *error)
{
	size_t element = element_size(tensor);
	if (!tensor->host)
		return CLKV_OK;
	struct clkv__host_tensor h = {.host = (unsigned char *)tensor->host + tensor->offset * element,
	                              .size = extent_of(tensor, extent) * element,
	                              .writes = writes};
	if ((uintptr_t)h.host % element != 0)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT,
		          "%s: host is %p; allowed: multiples of an element's size (%zu)", name,
		          tensor->host, element);
	place(all->context, &h);
	CLKV_TRY(create(all->context, &h, error));
	all->tensor[all->n++] = h;
	tensor->mem = h.mem;
	tensor->host = NULL;
	tensor->offset = h.offset / element;
	/* what lies between the elements of an output comes back as it was */
	if (h.copies && !(writes && is_dense(tensor, extent)))
		CLKV_TRY(clkv__chain_write(all->chain, h.mem, 0, h.size, h.host, NULL, error));
	return CLKV_OK;
}

clkv_status clkv__host_floats_take(struct clkv__host_tensors *all, cl_mem *mem, const float *host,
                                   const char *name, size_t *offset,
                                   const struct clkv__extent *extent, bool writes,
                                   clkv_error *error)
{
	clkv_tensor t = {.host = (void *)(uintptr_t)host, .offset = *offset, .dtype = CLKV_F32};
	if (*mem && host)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT,
		          "%s and %s_host are given; allowed: one of the two", name, name);
	if (*mem)
		return clkv__floats_check(*mem, name, *offset, extent->rows * extent->heads, error);
	if (!host)
		return CLKV_OK;
	CLKV_TRY(clkv__tensor_check(&t, name, extent->rows, (int)extent->heads, 1, error));
	CLKV_TRY(clkv__host_tensor_take(all, &t, name, extent, writes, error));
	*mem = t.mem;
	*offset = t.offset;
	return CLKV_OK;
}

bool clkv__host_tensors_return(const struct clkv__host_tensors *all)
{
	for (size_t i = 0; i < all->n; i++)
		if (all->tensor[i].writes)
			return true;
	return false;
}

static clkv_status give_back(struct clkv__host_tensors *all, cl_event *done, clkv_error *error)
{
	size_t last = all->n;
	while (last > 0 && !all->tensor[last - 1].writes)
		last--;
	for (size_t i = 0; i < last; i++) {
		const struct clkv__host_tensor *h = &all->tensor[i];
		cl_event *at_end = i + 1 == last ? done : NULL;
		if (h->writes && h->copies)
			CLKV_TRY(clkv__chain_read(all->chain, h->mem, 0, h->size, h->host, at_end, error));
		else if (h->writes)
			CLKV_TRY(clkv__chain_show(all->chain, h->mem, h->offset, h->size, at_end, error));
	}
	return CLKV_OK;
}

clkv_status clkv__host_tensors_end(struct clkv__host_tensors *all, clkv_status status,
                                   cl_event *done, clkv_error *error)
{
	if (status == CLKV_OK)
		status = give_back(all, done, error);
	if (status != CLKV_OK && all->n > 0)
		(void)clFinish(all->chain->queue);
	/* OpenCL keeps a buffer until the commands that use it are done */
	for (size_t i = 0; i < all->n; i++)
		clReleaseMemObject(all->tensor[i].mem);
	all->n = 0;
	return status;
}
