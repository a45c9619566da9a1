/* SPDX-License-Identifier: MIT */
/**
 * \file    machine.c
 * \brief   Opens the device, reads the clock, and sums up what it said.
 */
#include <stdlib.h>
#include <time.h>

#include "bench.h"

static const uint64_t LEAST_CACHE = (uint64_t)48 << 20; /* for drivers that know of no cache */

static double read_clock(clockid_t clock)
{
	struct timespec t;
	(void)clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

double bench_seconds(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

double bench_now(const struct bench_machine *machine)
{
	if (machine->cpu_time)
		return read_clock(CLOCK_PROCESS_CPUTIME_ID) * 1e6 / machine->info.compute_units;
	return bench_seconds() * 1e6;
}

bool bench_wants_more(const struct bench_result *result, double started)
{
	const double seconds = bench_seconds() - started;
	if (result->n < 5)
		return true;
	return result->n < BENCH_MOST_SAMPLES && seconds < (result->n < 21 ? 6.0 : 1.5);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

double bench_median(double *x, size_t n)
{
	qsort(x, n, sizeof *x, compare);
	return x[n / 2];
}

bool bench_machine_open(struct bench_machine *machine, const char *device, bool cpu_time,
                        struct tool_error *error)
{
	clkv_error cause;
	cl_int code;
	cl_ulong cache = 0;
	*machine = (struct bench_machine){.cpu_time = cpu_time};
	if (clkv_context_open(device, NULL, &machine->context, &cause) != CLKV_OK)
		return tool_fail_clkv(error, "the device", &cause);
	machine->cl = clkv_context_cl(machine->context);
	machine->device = clkv_context_device(machine->context);
	machine->info = (clkv_device_info)CLKV_INIT(clkv_device_info);
	if (clkv_context_get_info(machine->context, &machine->info, NULL) != CLKV_OK)
		return tool_fail(error, "can't ask for the device's facts");
	if (cpu_time && machine->info.is_gpu)
		return tool_fail(error, "--cpu-time is for CPUs, and %s is none", machine->info.name);
	code = clGetDeviceInfo(machine->device, CL_DEVICE_GLOBAL_MEM_CACHE_SIZE, sizeof cache, &cache,
	                       NULL);
	machine->cache_bytes = code == CL_SUCCESS && cache > LEAST_CACHE ? cache : LEAST_CACHE;
	machine->queue = clCreateCommandQueue(machine->cl, machine->device, 0, &code);
	return machine->queue != NULL || tool_fail_cl(error, "clCreateCommandQueue", code);
}

void bench_machine_close(struct bench_machine *machine)
{
	if (machine->queue != NULL)
		(void)clReleaseCommandQueue(machine->queue);
	clkv_context_destroy(machine->context);
}
