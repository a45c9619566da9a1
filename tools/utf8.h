/* SPDX-License-Identifier: MIT */
/**
 * \file    utf8.h
 * \brief   Checks UTF-8: shortest forms, no surrogates, nothing above U+10FFFF.
 */
#ifndef UTF8_H
#define UTF8_H

#include <stddef.h>

/** The length of the longest valid beginning of text: size when all of it is valid. */
size_t utf8_valid_length(const char *text, size_t size);

/** How many bytes at the end of text (0 to 3) are the beginning of a character that isn't complete.
 */
size_t utf8_incomplete_tail(const char *text, size_t size);

#endif
