/* SPDX-License-Identifier: MIT */
/** \file each.h \brief Assertions about each of many values. */
#ifndef TEST_EACH_H
#define TEST_EACH_H

#include <check.h>

/** As ck_assert_msg, which writes to a file for each condition that holds: in loops over values that
 *  takes most of a suite's time. */
#define EACH_MSG(condition, ...)                                                                   \
	do {                                                                                           \
		if (!(condition))                                                                          \
			ck_abort_msg(__VA_ARGS__);                                                             \
	} while (0)

#endif
