/* SPDX-License-Identifier: MIT */
/**
 * \file    fixture.h
 * \brief   What every suite that needs a device shares: a context and a queue per test, time limits,
 *          the skip when there is no device.
 */
#ifndef TEST_FIXTURE_H
#define TEST_FIXTURE_H

#include <check.h>
#include <clkv.h>

/** Of the running test: opened before it, in its own process, and closed behind it. */
struct fixture {
	clkv_context *context;
	cl_command_queue queue;
};
extern struct fixture fixture;

/** Adds a case whose tests have a device and take `seconds` each at most on an idle machine; they are
 *  stopped after ten times that, times CLKV_TEST_SLOW. */
TCase *fixture_case(Suite *suite, const char *name, double seconds);

/** Runs the suite; the value of main: 0, 1, or 77 when there is no device. */
int fixture_run(Suite *suite);

/** Another queue of the same device; skips nothing: NULL if the device refuses the properties. */
cl_command_queue fixture_queue(cl_command_queue_properties properties);

/** A context of its own on the device of the tests, its allocator counted and made to fail by inject.h;
 *  and a queue for it. The caller releases both. */
clkv_status fixture_try_open(clkv_context **context, clkv_error *error);
clkv_context *fixture_open(void);
/** The same with a tuning, as CLKV_TUNE would set it. */
clkv_context *fixture_open_tuned(const char *tuning);
cl_command_queue fixture_queue_of(const clkv_context *context);

#endif
