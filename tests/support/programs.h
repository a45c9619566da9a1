/* SPDX-License-Identifier: MIT */
/** \file programs.h \brief Lists the programs that tests build, so that they can be counted. */
#ifndef TEST_PROGRAMS_H
#define TEST_PROGRAMS_H

#include <clkv.h>

/** With CLKV_TEST_PROGRAMS set, adds a line to the file that it names for each program that the context gets, from the
 *  compiler or from the cache: suite, tab, file and options. Equal lines of all suites are one program. Takes the
 *  context's log; a test that wants it for itself goes uncounted. */
void programs_listen(clkv_context_options *options);

#endif
