/* SPDX-License-Identifier: MIT */
/**
 * \file    file_map.h
 * \brief   A whole file as bytes in memory that may be read.
 */
#ifndef FILE_MAP_H
#define FILE_MAP_H

#include <stddef.h>

#include "tool_error.h"

/** what is for errors: "model". A file that is empty or not regular is refused. */
bool file_map(const char *what, const char *path, void **map, size_t *size,
              struct tool_error *error);

/** NULL is allowed. */
void file_unmap(void *map, size_t size);

#endif
