/* SPDX-License-Identifier: MIT */
/** \file fixture.c \brief A device per test or per suite; see fixture.h. */
#include "fixture.h"

#include "inject.h"
#include "programs.h"
#include "suite.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct fixture fixture;

/* CLKV_TEST_DEVICE chooses the device as clkv_context_open does. */
clkv_status fixture_try_open(clkv_context **context, clkv_error *error)
{
	clkv_context_options options = CLKV_INIT(clkv_context_options);
	options.allocator = inject_allocator();
	programs_listen(&options);
	return clkv_context_open(getenv("CLKV_TEST_DEVICE"), &options, context, error);
}

clkv_context *fixture_open(void)
{
	clkv_context *context = NULL;
	clkv_error error;
	clkv_status status = fixture_try_open(&context, &error);
	ck_assert_msg(status == CLKV_OK, "no context: %s", error.text);
	return context;
}

clkv_context *fixture_open_tuned(const char *tuning)
{
	setenv("CLKV_TUNE", tuning, 1);
	clkv_context *context = fixture_open();
	unsetenv("CLKV_TUNE"); /* with CK_FORK=no the next test shares it */
	return context;
}

static cl_command_queue queue_with(const clkv_context *context,
                                   cl_command_queue_properties properties)
{
	cl_int code;
	cl_command_queue queue = clCreateCommandQueue(clkv_context_cl(context),
	                                              clkv_context_device(context), properties, &code);
	return code == CL_SUCCESS ? queue : NULL;
}

cl_command_queue fixture_queue_of(const clkv_context *context)
{
	cl_command_queue queue = queue_with(context, 0);
	ck_assert_ptr_nonnull(queue);
	return queue;
}

cl_command_queue fixture_queue(cl_command_queue_properties properties)
{
	return queue_with(fixture.context, properties);
}

static bool shared;         /* by all tests, which then run in one process */
static unsigned time_limit; /* of the slowest case, in seconds */

static void open_device(void)
{
	fixture.context = fixture_open();
	fixture.queue = fixture_queue_of(fixture.context);
}

static void close_device(void)
{
	clReleaseCommandQueue(fixture.queue);
	clkv_context_destroy(fixture.context);
	fixture = (struct fixture){NULL, NULL};
}

/* Check's time limits need a process per test. */
static void setup(void)
{
	if (!fixture.context)
		open_device();
	if (shared)
		alarm(time_limit);
}

static void teardown(void)
{
	alarm(0);
	if (shared)
		return;
	close_device();
	ck_assert_msg(inject_host_bytes() == 0, "%zu bytes of host memory were not freed",
	              (size_t)inject_host_bytes());
}

TCase *fixture_case(Suite *suite, const char *name, double seconds)
{
	const char *factor = getenv("CLKV_TEST_SLOW");
	setenv("CLKV_TEST_LANES", "1", 0); /* PoCL takes the forms of GPUs */
	TCase *c = tcase_create(name);
	/* only hangs may run into it: a machine shared with other work is easily ten times slower */
	double limit = 10.0 * seconds * (factor && atof(factor) > 1.0 ? atof(factor) : 1.0);
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_set_timeout(c, limit);
	if (limit > time_limit)
		time_limit = (unsigned)limit;
	suite_add_tcase(suite, c);
	return c;
}

bool fixture_full(void)
{
	const char *full = getenv("CLKV_TEST_FULL");
	return full && *full && strcmp(full, "0") != 0;
}

/* In a child: an OpenCL platform that was asked before a fork may hang behind it. */
int fixture_has_device(void)
{
	int status = 0;
	pid_t child = fork();
	if (child == 0) {
		clkv_context *context = NULL;
		clkv_error error;
		clkv_status opened = fixture_try_open(&context, &error);
		if (opened == CLKV_OK)
			clkv_context_destroy(context);
		else
			fprintf(stderr, "no device: %s: %s\n", clkv_status_string(opened), error.text);
		_exit(opened == CLKV_ERROR_NO_DEVICE ? 77 : 0);
	}
	waitpid(child, &status, 0);
	return !(WIFEXITED(status) && WEXITSTATUS(status) == 77);
}

void fixture_add_some(TCase *tcase, const TTest *test, int n, const int *core)
{
	if (fixture_full())
		_tcase_add_test(tcase, test, 0, 0, 0, n);
	for (; !fixture_full() && *core >= 0; core++)
		_tcase_add_test(tcase, test, 0, 0, *core, *core + 1);
}

static void say_hang(int signal)
{
	static const char text[] = "a test hangs, CK_FORK=yes says which: ";
	const char *name = tcase_name();
	if (write(STDERR_FILENO, text, sizeof text - 1) < 0 ||
	    write(STDERR_FILENO, name, strlen(name)) < 0 || write(STDERR_FILENO, "\n", 1) < 0)
		_exit(128 + signal);
	_exit(128 + signal);
}

/* After the last test; what one of them leaked is still there. */
static bool close_shared(void)
{
	if (fixture.context)
		close_device();
	if (inject_host_bytes() != 0)
		fprintf(stderr, "%zu bytes of host memory were not freed\n", (size_t)inject_host_bytes());
	return inject_host_bytes() == 0;
}

static int run(Suite *suite, bool fork_each)
{
	setenv("CLKV_CACHE_DIR", "tests/program-cache", 0);
	setenv("CLKV_BUILD_THREADS", "1", 0); /* failures that are injected come in an order */
	if (!fixture_has_device()) {
		fprintf(stderr, "SKIPPED: no OpenCL device\n");
		return 77;
	}
	shared = !fork_each;
	signal(SIGALRM, say_hang);
	int status = run_suite_as(suite, fork_each ? CK_FORK_GETENV : CK_NOFORK);
	return shared && !close_shared() ? EXIT_FAILURE : status;
}

int fixture_run(Suite *suite)
{
	return run(suite, true);
}

int fixture_run_shared(Suite *suite)
{
	const char *how = getenv("CK_FORK");
	return run(suite, how && strcmp(how, "yes") == 0);
}
