/* SPDX-License-Identifier: MIT */
/** \file fixture.c \brief A device per test; see fixture.h. */
#include "fixture.h"

#include "inject.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

struct fixture fixture;

/* CLKV_TEST_DEVICE chooses the device as clkv_context_open does. */
clkv_status fixture_try_open(clkv_context **context, clkv_error *error)
{
	clkv_context_options options = CLKV_INIT(clkv_context_options);
	options.allocator = inject_allocator();
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

static void setup(void)
{
	fixture.context = fixture_open();
	fixture.queue = fixture_queue_of(fixture.context);
}

static void teardown(void)
{
	clReleaseCommandQueue(fixture.queue);
	clkv_context_destroy(fixture.context);
	ck_assert_msg(inject_host_bytes() == 0, "%zu bytes of host memory were not freed",
	              (size_t)inject_host_bytes());
}

TCase *fixture_case(Suite *suite, const char *name, double seconds)
{
	const char *factor = getenv("CLKV_TEST_SLOW");
	TCase *c = tcase_create(name);
	tcase_add_checked_fixture(c, setup, teardown);
	/* only hangs may run into it: a machine shared with other work is easily ten times slower */
	tcase_set_timeout(c, 10.0 * seconds * (factor && atof(factor) > 1.0 ? atof(factor) : 1.0));
	suite_add_tcase(suite, c);
	return c;
}

/* In a child: an OpenCL platform that was asked before a fork may hang behind it. */
static int has_device(void)
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

int fixture_run(Suite *suite)
{
	setenv("CLKV_CACHE_DIR", "tests/program-cache", 0);
	setenv("CLKV_BUILD_THREADS", "1", 0); /* failures that are injected come in an order */
	if (!has_device()) {
		fprintf(stderr, "SKIPPED: no OpenCL device\n");
		return 77;
	}
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
