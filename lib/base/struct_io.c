/* SPDX-License-Identifier: MIT */
/** \file struct_io.c \brief Copies between the caller's and the library's idea of a structure. */
#include "base/struct_io.h"

#include "base/error.h"

#include <string.h>

/* Larger than any structure of any version: a size above it is garbage. */
#define ABSURD_SIZE 65536

clkv_status clkv__struct_read(void *dst, size_t size, const void *src, const char *type,
                              clkv_error *error)
{
	if (!src)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT, "%s is NULL", type);
	size_t given;
	memcpy(&given, src, sizeof given);
	if (given < sizeof given || given > ABSURD_SIZE)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT,
		          "%s: struct_size is %zu; set it to sizeof(%s)", type, given, type);
	for (size_t i = size; i < given; i++)
		if (((const unsigned char *)src)[i] != 0)
			CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT,
			          "%s: byte %zu is set, but this library knows %zu bytes of it", type, i, size);
	memset(dst, 0, size);
	memcpy(dst, src, given < size ? given : size);
	return CLKV_OK;
}

clkv_status clkv__struct_write(void *dst, const void *src, size_t size, const char *type,
                               clkv_error *error)
{
	size_t given;
	if (!dst)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT, "%s is NULL", type);
	memcpy(&given, dst, sizeof given);
	if (given < sizeof given || given > ABSURD_SIZE)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT,
		          "%s: struct_size is %zu; set it to sizeof(%s)", type, given, type);
	memcpy(dst, src, given < size ? given : size);
	memcpy(dst, &given, sizeof given);
	return CLKV_OK;
}
