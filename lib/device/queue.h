/* SPDX-License-Identifier: MIT */
/**
 * \file    queue.h
 * \brief   A chain of commands on a caller's queue: each behind the one before.
 *
 * On an in-order queue that costs nothing. On an out-of-order queue each command waits for the event of
 * the one before. The caller's wait list is added; done receives the command's event.
 */
#ifndef CLKV__QUEUE_H
#define CLKV__QUEUE_H

#include "device/meter.h"

#include <clkv.h>
#include <stdbool.h>

struct clkv__chain {
	cl_command_queue queue;
	bool in_order;
	cl_event last; /**< on out-of-order queues: of the last command */
	struct clkv__meter *meter;
	size_t
		offset; /**< global offset of kernels: 0 but where a test orders work-groups (device/order.h) */
};

/** Checks that queue belongs to the context and its device. */
clkv_status clkv__chain_init(struct clkv__chain *chain, const clkv_context *context,
                             cl_command_queue queue, struct clkv__meter *meter, clkv_error *error);

/** Whether a caller's wait list is one. Errors: INVALID_ARGUMENT. */
clkv_status clkv__wait_check(cl_uint n_wait, const cl_event *wait, clkv_error *error);

/** Drops the chain's event; the commands go on. */
void clkv__chain_free(struct clkv__chain *chain);

clkv_status clkv__chain_kernel(struct clkv__chain *chain, cl_kernel kernel, cl_uint dims,
                               const size_t *global, const size_t *local, cl_uint n_wait,
                               const cl_event *wait, cl_event *done, clkv_error *error);
clkv_status clkv__chain_write(struct clkv__chain *chain, cl_mem mem, size_t offset, size_t size,
                              const void *data, cl_event *done, clkv_error *error);
clkv_status clkv__chain_read(struct clkv__chain *chain, cl_mem mem, size_t offset, size_t size,
                             void *data, cl_event *done, clkv_error *error);
clkv_status clkv__chain_copy(struct clkv__chain *chain, cl_mem from, size_t from_offset, cl_mem to,
                             size_t to_offset, size_t size, clkv_error *error);

/** Lets the host see bytes of a buffer that is its own memory. */
clkv_status clkv__chain_show(struct clkv__chain *chain, cl_mem mem, size_t offset, size_t size,
                             cl_event *done, clkv_error *error);

/** The same, and wait until they are done. */
clkv_status clkv__chain_write_now(struct clkv__chain *chain, cl_mem mem, size_t offset, size_t size,
                                  const void *data, clkv_error *error);
clkv_status clkv__chain_read_now(struct clkv__chain *chain, cl_mem mem, size_t offset, size_t size,
                                 void *data, clkv_error *error);
/** Fills `size` bytes with zeros; multiples of 4. */
clkv_status clkv__chain_zero(struct clkv__chain *chain, cl_mem mem, size_t offset, size_t size,
                             clkv_error *error);

/** Everything enqueued later on this chain waits for event. */
clkv_status clkv__chain_wait(struct clkv__chain *chain, cl_event event, clkv_error *error);

/** An event that is complete when the chain's commands are; the caller releases it. */
clkv_status clkv__chain_end(struct clkv__chain *chain, cl_event *end, clkv_error *error);

#endif
