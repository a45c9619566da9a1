/* SPDX-License-Identifier: MIT */
/** \file fail.c \brief Fills the caller's clkv_error. */
#include "share/fail.h"

#include <stdarg.h>
#include <stdio.h>

void share_fail_clear(clkv_error *error)
{
	if (error)
		*error = (clkv_error){.status = CLKV_OK, .position = -1};
}

/* Texts may quote what a server said: no control characters get out. */
clkv_status share_fail(clkv_error *error, clkv_status status, const char *format, ...)
{
	if (!error || error->status != CLKV_OK)
		return status;
	va_list args;
	va_start(args, format);
	vsnprintf(error->text, sizeof error->text, format, args);
	va_end(args);
	for (char *c = error->text; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	error->status = status;
	return status;
}

clkv_status share_fail_memory(clkv_error *error, size_t bytes)
{
	return share_fail(error, CLKV_ERROR_NO_HOST_MEMORY, "no host memory for %zu bytes", bytes);
}
