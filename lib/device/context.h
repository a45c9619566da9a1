/* SPDX-License-Identifier: MIT */
/** \file context.h \brief One device: its facts, its tuning, the programs built for it. */
#ifndef CLKV__CONTEXT_H
#define CLKV__CONTEXT_H

#include "base/log.h"
#include "device/order.h"
#include "tune/tune.h"

#include <clkv.h>
#include <pthread.h>
#include <stdbool.h>

struct clkv__program;
struct clkv__file_names;

enum { CLKV__MOST_BUILD_THREADS = 64 };

struct clkv_context {
	clkv_allocator allocator;
	struct clkv__log log;
	pthread_mutex_t log_mutex; /**< held while the log callback runs; recursive */
	cl_context cl;
	cl_device_id device;
	clkv_device_info info;
	bool unified;     /**< the device's memory is the host's */
	size_t alignment; /**< of its buffers, bytes */
	struct clkv__tune tune;
	const char *subgroups; /**< version of OpenCL C that has them on this device; NULL: none */
	struct clkv__order order;
	char *cache_dir;       /**< folder of built programs; NULL: none */
	char *kernel_dir;      /**< sources that replace embedded ones; NULL: none */
	size_t build_threads;  /**< that build programs at once, 1 to CLKV__MOST_BUILD_THREADS */
	pthread_mutex_t mutex; /**< guards what follows */
	pthread_cond_t built;  /**< of a thread that has built a program, or failed to */
	struct clkv__program *programs;
	struct clkv__file_names *names; /**< that kernel files mention */
	bool cache_warned;              /**< the log knows that cache_dir can't be used */
};

#define clkv__log(context, ...) clkv__log_to(&(context)->log, __VA_ARGS__)

#endif
