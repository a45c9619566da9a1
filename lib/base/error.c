/* SPDX-License-Identifier: MIT */
/** \file error.c \brief Fills the caller's clkv_error. */
#include "base/error.h"

#include <stdio.h>
#include <string.h>

void clkv__error_clear(clkv_error *error)
{
	if (!error)
		return;
	*error = (clkv_error){.status = CLKV_OK, .position = -1};
}

void clkv__error_text(clkv_error *error, const char *format, va_list args)
{
	static const char more[] = "...";
	int n = vsnprintf(error->text, sizeof error->text, format, args);
	if (n >= (int)sizeof error->text)
		memcpy(error->text + sizeof error->text - sizeof more, more, sizeof more);
	for (char *c = error->text; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
}

clkv_status clkv__error_set(clkv_error *error, clkv_status status, const char *format, ...)
{
	if (!error || error->status != CLKV_OK)
		return status;
	va_list args;
	va_start(args, format);
	clkv__error_text(error, format, args);
	va_end(args);
	error->status = status;
	return status;
}

static clkv_status status_of(cl_int code)
{
	switch (code) {
	case CL_OUT_OF_HOST_MEMORY:
		return CLKV_ERROR_NO_HOST_MEMORY;
	case CL_MEM_OBJECT_ALLOCATION_FAILURE:
	case CL_OUT_OF_RESOURCES:
	case CL_INVALID_BUFFER_SIZE:
		return CLKV_ERROR_NO_DEVICE_MEMORY;
	default:
		return CLKV_ERROR_OPENCL;
	}
}

clkv_status clkv__cl_check(clkv_error *error, cl_int code, const char *call)
{
	if (code == CL_SUCCESS)
		return CLKV_OK;
	int length = (int)strcspn(call, "(");
	if (error && error->status == CLKV_OK) {
		error->cl_code = code;
		snprintf(error->call, sizeof error->call, "%.*s", length, call);
	}
	return clkv__error_set(error, status_of(code), "%.*s failed with OpenCL code %d", length, call,
	                       code);
}
