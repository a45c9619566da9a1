/* SPDX-License-Identifier: MIT */
/**
 * \file    text_file.h
 * \brief   A whole file in memory.
 */
#ifndef TEXT_FILE_H
#define TEXT_FILE_H

#include <stddef.h>

#include "tool_error.h"

/** *text is the caller's to free. "-" is standard input. */
bool text_file_read(const char *path, char **text, size_t *size, struct tool_error *error);

#endif
