/* SPDX-License-Identifier: MIT */
/**
 * \file    fixture.h
 * \brief   What every suite that needs a device shares: a context and a queue, time limits, how much of it runs, the
 *          skip when there is no device.
 */
#ifndef TEST_FIXTURE_H
#define TEST_FIXTURE_H

#include <check.h>
#include <clkv.h>
#include <stdbool.h>

/** Of the running test: opened before it, in its own process, and closed behind it; or those of the whole suite. */
struct fixture {
	clkv_context *context;
	cl_command_queue queue;
};
extern struct fixture fixture;

/** Adds a case whose tests have a device and take `seconds` each at most on an idle machine; they are
 *  stopped after ten times that, times CLKV_TEST_SLOW. */
TCase *fixture_case(Suite *suite, const char *name, double seconds);

/** Adds a loop test over rows 0 to n - 1, or, unless everything is asked for, over the rows that are named: a core that
 *  meets each kernel and each branch of it once. */
#define fixture_some(tcase, test, n, ...)                                                          \
	fixture_add_some(tcase, test, (int)(n), (const int[]){__VA_ARGS__, -1})
void fixture_add_some(TCase *tcase, const TTest *test, int n, const int *core);

/** Asks a child, as a platform that was asked before a fork may hang behind it. */
int fixture_has_device(void);

/** Runs the suite, each test in a process and with a context of its own; the value of main: 0, 1, or 77 when there is no
 *  device. */
int fixture_run(Suite *suite);

/** The same in one process with one context, so that each program is built or loaded once: for suites that inject no
 *  faults. A test that crashes or hangs ends the suite; CK_FORK=yes runs it as fixture_run does. */
int fixture_run_shared(Suite *suite);

/** Whether everything is asked for (CLKV_TEST_FULL, as `make check-full` sets it): whole products of cases, every form.
 *  Otherwise tests take what a wrong implementation is unlikely to pass. */
bool fixture_full(void);

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
