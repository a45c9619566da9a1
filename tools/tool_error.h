/* SPDX-License-Identifier: MIT */
/**
 * \file    tool_error.h
 * \brief   What went wrong, as a sentence, in the caller's struct. The first cause wins.
 *
 * Functions of the tools that can fail return true when done and false with *error filled. Nothing
 * but the main programs prints it.
 */
#ifndef TOOL_ERROR_H
#define TOOL_ERROR_H

#include <stdbool.h>

#include <clkv.h>

struct tool_error {
	char text[512];
};

#if defined(__GNUC__)
#define TOOL_PRINTF(text, first) __attribute__((format(printf, text, first)))
#else
#define TOOL_PRINTF(text, first)
#endif

/** Fills *error (may be NULL) unless it is filled already; tool_fail also is false. */
void tool_set_error(struct tool_error *error, const char *format, ...) TOOL_PRINTF(2, 3);

/* A macro, so that compilers see that it is false. */
#define tool_fail(...) (tool_set_error(__VA_ARGS__), false)

/** The same for a failed call of clkv: `what` was being done. */
bool tool_fail_clkv(struct tool_error *error, const char *what, const clkv_error *cause);

/** The same for a failed OpenCL call. */
bool tool_fail_cl(struct tool_error *error, const char *call, cl_int code);

#endif
