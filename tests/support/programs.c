/* SPDX-License-Identifier: MIT */
/** \file programs.c \brief Lists the programs that tests build. */
#include "programs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A line of the log's is "FILE OPTIONS: ready". The file is opened to append, and a line goes out in one piece: suites
 * that run beside each other share it. */
static void list(void *opaque, clkv_log_level level, const char *subsystem, const char *text)
{
	const char *end = strrchr(text, ':');
	if (level != CLKV_LOG_BUILD || strcmp(subsystem, "build") != 0 || !end)
		return;
	FILE *file = fopen(opaque, "a");
	if (!file)
		return;
	fprintf(file, "%s\t%.*s\n", program_invocation_short_name, (int)(end - text), text);
	fclose(file);
}

void programs_listen(clkv_context_options *options)
{
	char *path = getenv("CLKV_TEST_PROGRAMS");
	if (!path || !*path)
		return;
	options->log = list;
	options->log_opaque = path;
	options->log_level = CLKV_LOG_BUILD;
}
