/* SPDX-License-Identifier: MIT */
/** \file suite.h \brief Runs a suite of Check's: for programs that link nothing else of the tests, so it's here as a whole. */
#ifndef TEST_SUITE_H
#define TEST_SUITE_H

#include <check.h>
#include <stdlib.h>

/** Frees the suite; the value of main. `how`: a process for each test, or CK_NOFORK. */
static inline int run_suite_as(Suite *suite, enum fork_status how)
{
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, how);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

/** The same, as the environment says: usually with a process for each test. */
static inline int run_suite(Suite *suite)
{
	return run_suite_as(suite, CK_FORK_GETENV);
}

#endif
