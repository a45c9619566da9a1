/* SPDX-License-Identifier: MIT */
/** \file queue.c \brief Chains of commands. */
#include "device/queue.h"

#include "base/error.h"
#include "device/context.h"

/* The caller's events and the chain's own, for one command. */
enum { MAX_WAIT = 64 };

struct wait_list {
	cl_uint n;
	cl_event events[MAX_WAIT + 1];
	const cl_event *list;
};

clkv_status clkv__chain_init(struct clkv__chain *chain, const clkv_context *context,
                             cl_command_queue queue, struct clkv__meter *meter, clkv_error *error)
{
	cl_context cl;
	cl_device_id device;
	cl_command_queue_properties properties;
	if (!queue)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT, "queue is NULL");
	CLKV_CL(error, clGetCommandQueueInfo(queue, CL_QUEUE_CONTEXT, sizeof cl, &cl, NULL));
	CLKV_CL(error, clGetCommandQueueInfo(queue, CL_QUEUE_DEVICE, sizeof device, &device, NULL));
	CLKV_CL(error, clGetCommandQueueInfo(queue, CL_QUEUE_PROPERTIES, sizeof properties, &properties,
	                                     NULL));
	if (cl != context->cl || device != context->device)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT,
		          "queue is of another %s than the clkv_context",
		          cl != context->cl ? "cl_context" : "device");
	*chain = (struct clkv__chain){
		.queue = queue,
		.in_order = !(properties & CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE),
		.meter = meter,
		.offset = clkv__order_offset(&context->order),
	};
	return CLKV_OK;
}

clkv_status clkv__wait_check(cl_uint n_wait, const cl_event *wait, clkv_error *error)
{
	if ((n_wait == 0) != (wait == NULL))
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT, "n_wait is %u but wait is %s", n_wait,
		          wait ? "given" : "NULL");
	return CLKV_OK;
}

void clkv__chain_free(struct clkv__chain *chain)
{
	if (chain->last)
		clReleaseEvent(chain->last);
	chain->last = NULL;
}

static clkv_status gather(const struct clkv__chain *chain, cl_uint n_wait, const cl_event *wait,
                          struct wait_list *w, clkv_error *error)
{
	if (n_wait > MAX_WAIT)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT, "n_wait is %u; allowed: 0 to %d", n_wait,
		          MAX_WAIT);
	w->n = n_wait;
	for (cl_uint i = 0; i < n_wait; i++)
		w->events[i] = wait[i];
	if (chain->last)
		w->events[w->n++] = chain->last;
	w->list = w->n > 0 ? w->events : NULL;
	return CLKV_OK;
}

/* The event of the command just enqueued becomes the chain's last, and the caller's. */
static clkv_status advance(struct clkv__chain *chain, cl_event event, cl_event *done,
                           clkv_error *error)
{
	if (!event)
		return CLKV_OK;
	if (!chain->in_order) {
		if (chain->last)
			clReleaseEvent(chain->last);
		chain->last = event;
		if (done)
			CLKV_CL(error, clRetainEvent(event));
	}
	if (done)
		*done = event;
	return CLKV_OK;
}

/* Makes an enqueueing call and counts its time as the driver's. */
#define ENQUEUE(chain, error, call)                                                                \
	do {                                                                                           \
		uint64_t clkv__start = clkv__now_ns();                                                     \
		clkv_status clkv__made = clkv__cl_check(error, call, #call);                               \
		(chain)->meter->opencl_ns += clkv__now_ns() - clkv__start;                                 \
		CLKV_TRY(clkv__made);                                                                      \
	} while (0)

static cl_event *slot(const struct clkv__chain *chain, cl_event *event, const cl_event *done)
{
	return !chain->in_order || done ? event : NULL;
}

clkv_status clkv__chain_kernel(struct clkv__chain *chain, cl_kernel kernel, cl_uint dims,
                               const size_t *global, const size_t *local, cl_uint n_wait,
                               const cl_event *wait, cl_event *done, clkv_error *error)
{
	const size_t offset[3] = {chain->offset, 0, 0};
	struct wait_list w;
	cl_event event = NULL;
	CLKV_TRY(gather(chain, n_wait, wait, &w, error));
	ENQUEUE(chain, error,
	        clEnqueueNDRangeKernel(chain->queue, kernel, dims, chain->offset ? offset : NULL,
	                               global, local, w.n, w.list, slot(chain, &event, done)));
	chain->meter->launches++;
	return advance(chain, event, done, error);
}

static clkv_status write_buffer(struct clkv__chain *chain, cl_mem mem, cl_bool wait, size_t offset,
                                size_t size, const void *data, cl_event *done, clkv_error *error)
{
	struct wait_list w;
	cl_event event = NULL;
	CLKV_TRY(gather(chain, 0, NULL, &w, error));
	ENQUEUE(chain, error,
	        clEnqueueWriteBuffer(chain->queue, mem, wait, offset, size, data, w.n, w.list,
	                             slot(chain, &event, done)));
	return advance(chain, event, done, error);
}

static clkv_status read_buffer(struct clkv__chain *chain, cl_mem mem, cl_bool wait, size_t offset,
                               size_t size, void *data, cl_event *done, clkv_error *error)
{
	struct wait_list w;
	cl_event event = NULL;
	CLKV_TRY(gather(chain, 0, NULL, &w, error));
	ENQUEUE(chain, error,
	        clEnqueueReadBuffer(chain->queue, mem, wait, offset, size, data, w.n, w.list,
	                            slot(chain, &event, done)));
	return advance(chain, event, done, error);
}

clkv_status clkv__chain_write(struct clkv__chain *chain, cl_mem mem, size_t offset, size_t size,
                              const void *data, cl_event *done, clkv_error *error)
{
	return write_buffer(chain, mem, CL_FALSE, offset, size, data, done, error);
}

clkv_status clkv__chain_write_now(struct clkv__chain *chain, cl_mem mem, size_t offset, size_t size,
                                  const void *data, clkv_error *error)
{
	return write_buffer(chain, mem, CL_TRUE, offset, size, data, NULL, error);
}

clkv_status clkv__chain_read(struct clkv__chain *chain, cl_mem mem, size_t offset, size_t size,
                             void *data, cl_event *done, clkv_error *error)
{
	return read_buffer(chain, mem, CL_FALSE, offset, size, data, done, error);
}

clkv_status clkv__chain_read_now(struct clkv__chain *chain, cl_mem mem, size_t offset, size_t size,
                                 void *data, clkv_error *error)
{
	return read_buffer(chain, mem, CL_TRUE, offset, size, data, NULL, error);
}

static clkv_status map(struct clkv__chain *chain, cl_mem mem, size_t offset, size_t size,
                       void **mapped, clkv_error *error)
{
	struct wait_list w;
	cl_event event = NULL;
	cl_int code;
	CLKV_TRY(gather(chain, 0, NULL, &w, error));
	uint64_t start = clkv__now_ns();
	*mapped = clEnqueueMapBuffer(chain->queue, mem, CL_FALSE, CL_MAP_READ, offset, size, w.n,
	                             w.list, slot(chain, &event, NULL), &code);
	chain->meter->opencl_ns += clkv__now_ns() - start;
	CLKV_CL_CODE(error, code, "clEnqueueMapBuffer");
	return advance(chain, event, NULL, error);
}

clkv_status clkv__chain_show(struct clkv__chain *chain, cl_mem mem, size_t offset, size_t size,
                             cl_event *done, clkv_error *error)
{
	struct wait_list w;
	cl_event event = NULL;
	void *mapped = NULL;
	CLKV_TRY(map(chain, mem, offset, size, &mapped, error));
	CLKV_TRY(gather(chain, 0, NULL, &w, error));
	ENQUEUE(
		chain, error,
		clEnqueueUnmapMemObject(chain->queue, mem, mapped, w.n, w.list, slot(chain, &event, done)));
	return advance(chain, event, done, error);
}

clkv_status clkv__chain_zero(struct clkv__chain *chain, cl_mem mem, size_t offset, size_t size,
                             clkv_error *error)
{
	const cl_uint zero = 0;
	struct wait_list w;
	cl_event event = NULL;
	CLKV_TRY(gather(chain, 0, NULL, &w, error));
	ENQUEUE(chain, error,
	        clEnqueueFillBuffer(chain->queue, mem, &zero, sizeof zero, offset, size, w.n, w.list,
	                            slot(chain, &event, NULL)));
	return advance(chain, event, NULL, error);
}

clkv_status clkv__chain_copy(struct clkv__chain *chain, cl_mem from, size_t from_offset, cl_mem to,
                             size_t to_offset, size_t size, clkv_error *error)
{
	struct wait_list w;
	cl_event event = NULL;
	CLKV_TRY(gather(chain, 0, NULL, &w, error));
	ENQUEUE(chain, error,
	        clEnqueueCopyBuffer(chain->queue, from, to, from_offset, to_offset, size, w.n, w.list,
	                            slot(chain, &event, NULL)));
	return advance(chain, event, NULL, error);
}

clkv_status clkv__chain_wait(struct clkv__chain *chain, cl_event other, clkv_error *error)
{
	struct wait_list w;
	cl_event event = NULL;
	CLKV_TRY(gather(chain, 1, &other, &w, error));
	CLKV_CL(error,
	        clEnqueueBarrierWithWaitList(chain->queue, w.n, w.list, slot(chain, &event, NULL)));
	return advance(chain, event, NULL, error);
}

clkv_status clkv__chain_end(struct clkv__chain *chain, cl_event *end, clkv_error *error)
{
	if (chain->last) {
		CLKV_CL(error, clRetainEvent(chain->last));
		*end = chain->last;
		return CLKV_OK;
	}
	CLKV_CL(error, clEnqueueMarkerWithWaitList(chain->queue, 0, NULL, end));
	return CLKV_OK;
}
