/* SPDX-License-Identifier: MIT */
/**
 * \file    tool_error.c
 * \brief   Sentences for failures.
 */
#include "tool_error.h"

#include <stdarg.h>
#include <stdio.h>

void tool_set_error(struct tool_error *error, const char *format, ...)
{
	if (error == NULL || error->text[0] != '\0')
		return;
	va_list args;
	va_start(args, format);
	(void)vsnprintf(error->text, sizeof error->text, format, args);
	va_end(args);
	for (char *c = error->text; *c != '\0'; c++) /* names from files go to a terminal */
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
}

bool tool_fail_clkv(struct tool_error *error, const char *what, const clkv_error *cause)
{
	if (cause->cl_code != 0)
		return tool_fail(error, "%s: %s (%s gave %d)", what, cause->text, cause->call,
		                 (int)cause->cl_code);
	return tool_fail(error, "%s: %s", what,
	                 cause->text[0] != '\0' ? cause->text : clkv_status_string(cause->status));
}

bool tool_fail_cl(struct tool_error *error, const char *call, cl_int code)
{
	const char *hint = "";
	if (code == CL_MEM_OBJECT_ALLOCATION_FAILURE || code == CL_OUT_OF_RESOURCES)
		hint = "; the device may be out of memory: try a shorter context or fewer recipes";
	return tool_fail(error, "%s failed with OpenCL error %d%s", call, (int)code, hint);
}
