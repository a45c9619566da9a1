/* SPDX-License-Identifier: MIT */
/** \file error.h \brief Statuses with details: the first cause wins, OpenCL codes are kept. */
#ifndef CLKV__ERROR_H
#define CLKV__ERROR_H

#include <clkv.h>
#include <stdarg.h>

#if defined(__GNUC__)
#define CLKV__PRINTF(text, first) __attribute__((format(printf, text, first)))
#else
#define CLKV__PRINTF(text, first)
#endif

void clkv__error_clear(clkv_error *error);

/** Fills error's text; one that is too long ends in "...", and control characters, which may come from a file, don't
 *  reach a terminal: each becomes '?'. */
void clkv__error_text(clkv_error *error, const char *format, va_list args) CLKV__PRINTF(2, 0);

/** Fills error (may be NULL) unless it already has a cause; returns status. */
clkv_status clkv__error_set(clkv_error *error, clkv_status status, const char *format, ...)
	CLKV__PRINTF(3, 4);

/** CLKV_OK for CL_SUCCESS; else fills error with code and the name of the call. What OpenCL says of
 *  memory becomes a memory status. call may be the whole expression: its name is cut out. */
clkv_status clkv__cl_check(clkv_error *error, cl_int code, const char *call);

/** Hands a failure on. */
#define CLKV_TRY(expression)                                                                       \
	do {                                                                                           \
		clkv_status clkv__status = (expression);                                                   \
		if (clkv__status != CLKV_OK)                                                               \
			return clkv__status;                                                                   \
	} while (0)

#define CLKV_FAIL(error, ...) return clkv__error_set(error, __VA_ARGS__)

/** Makes an OpenCL call; CLKV_CL_CODE checks the code of one made before. */
#define CLKV_CL(error, call) CLKV_TRY(clkv__cl_check(error, call, #call))
#define CLKV_CL_CODE(error, code, call) CLKV_TRY(clkv__cl_check(error, code, call))

#endif
