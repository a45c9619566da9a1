/* SPDX-License-Identifier: MIT */
/** \file counters.c \brief Reads the device's counters without waiting for them. */
#include "store/counters.h"

#include "../cl/base/abi.clh"
#include "base/error.h"

#include <string.h>

_Static_assert(sizeof(((struct clkv__counters *)0)->values) == ABI_COUNTERS * sizeof(cl_uint),
               "as many counters as the device has");

static cl_float float_of(cl_uint bits)
{
	cl_float x;
	memcpy(&x, &bits, sizeof x);
	return x;
}

static void take_over(struct clkv__counters *counters)
{
	const cl_uint *v = counters->values;
	counters->not_finite = v[ABI_COUNTER_NOT_FINITE];
	counters->broken = v[ABI_COUNTER_BROKEN];
	counters->bound_k = float_of(v[ABI_COUNTER_BOUND_K]);
	counters->bound_v = float_of(v[ABI_COUNTER_BOUND_V]);
}

void clkv__counters_poll(struct clkv__counters *counters)
{
	cl_int state = CL_QUEUED;
	if (!counters->pending ||
	    clGetEventInfo(counters->pending, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof state, &state,
	                   NULL) != CL_SUCCESS ||
	    state > CL_COMPLETE)
		return;
	if (state == CL_COMPLETE)
		take_over(counters);
	clReleaseEvent(counters->pending);
	counters->pending = NULL;
}

clkv_status clkv__counters_read(struct clkv__counters *counters, struct clkv__chain *chain,
                                clkv_error *error)
{
	clkv__counters_poll(counters);
	if (counters->pending)
		return CLKV_OK;
	return clkv__chain_read(chain, counters->mem, 0, sizeof counters->values, counters->values,
	                        &counters->pending, error);
}

void clkv__counters_free(struct clkv__counters *counters)
{
	if (counters->pending) {
		clWaitForEvents(1, &counters->pending);
		clReleaseEvent(counters->pending);
	}
	if (counters->mem)
		clReleaseMemObject(counters->mem);
	*counters = (struct clkv__counters){0};
}
