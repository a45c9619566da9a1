/* SPDX-License-Identifier: MIT */
/** \file counters.h \brief What kernels count on the device, known on the host one commit later. */
#ifndef CLKV__COUNTERS_H
#define CLKV__COUNTERS_H

#include "device/queue.h"

struct clkv__counters {
	cl_mem mem;
	cl_uint values[16]; /**< a read may be writing to them while pending is set */
	cl_event pending;
	/* the newest values that have arrived */
	cl_uint not_finite, broken;
	cl_float bound_k, bound_v;
};

/** Enqueues a read unless the last one is still under way. */
clkv_status clkv__counters_read(struct clkv__counters *counters, struct clkv__chain *chain,
                                clkv_error *error);

/** Takes over a read that has arrived; never blocks. */
void clkv__counters_poll(struct clkv__counters *counters);

void clkv__counters_free(struct clkv__counters *counters);

#endif
