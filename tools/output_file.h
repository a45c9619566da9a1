/* SPDX-License-Identifier: MIT */
/** \file output_file.h \brief A file that the library writes through a function. */
#ifndef OUTPUT_FILE_H
#define OUTPUT_FILE_H

#include <stdio.h>

#include "tool_error.h"

struct output_file {
	const char *path;
	FILE *file;
};

bool output_file_open(struct output_file *out, const char *path, struct tool_error *error);

/** A clkv_write_fn; opaque is the output_file. */
size_t output_file_write(void *opaque, const void *data, size_t size);

/** Closes it; false if that failed, or if writing it ended with another status than CLKV_OK while `doing`. */
bool output_file_close(struct output_file *out, clkv_status status, const char *doing,
                       const clkv_error *cause, struct tool_error *error);

#endif
