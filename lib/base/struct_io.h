/* SPDX-License-Identifier: MIT */
/** \file struct_io.h \brief Structures that cross the interface with their size in front. */
#ifndef CLKV__STRUCT_IO_H
#define CLKV__STRUCT_IO_H

#include <clkv.h>

/** Reads a caller's structure into the library's: fields it lacks become zero; of a larger one the
 *  unknown tail must be zero. Errors: INVALID_ARGUMENT, naming type. */
clkv_status clkv__struct_read(void *dst, size_t size, const void *src, const char *type,
                              clkv_error *error);

/** Fills a caller's structure up to its own struct_size, which stays as it is. Errors: INVALID_ARGUMENT, naming type. */
clkv_status clkv__struct_write(void *dst, const void *src, size_t size, const char *type,
                               clkv_error *error);

#endif
