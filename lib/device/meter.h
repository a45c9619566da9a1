/* SPDX-License-Identifier: MIT */
/** \file meter.h \brief What a cache's calls cost: kernels enqueued, time of our own and of OpenCL's. */
#ifndef CLKV__METER_H
#define CLKV__METER_H

#include <stdint.h>
#include <time.h>

/** The first two are read by any thread while a step counts on. The others belong to whoever enqueues. */
struct clkv__meter {
	_Atomic uint64_t launches;
	_Atomic uint64_t host_ns; /**< inside step functions, without the next two */
	uint64_t opencl_ns;       /**< inside clEnqueue*, of all functions */
	uint64_t build_ns;        /**< of kernels that were made when they were first launched */
};

static inline uint64_t clkv__now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/** A clock that stands still inside clEnqueue* and while kernels are made. */
static inline uint64_t clkv__meter_now(const struct clkv__meter *meter)
{
	return clkv__now_ns() - meter->opencl_ns - meter->build_ns;
}

#endif
