/* SPDX-License-Identifier: MIT */
/**
 * \file    html_text.h
 * \brief   Text inside an HTML page.
 */
#ifndef HTML_TEXT_H
#define HTML_TEXT_H

#include <stdio.h>

/** Prints text so that a browser shows it and does nothing else with it, between tags and in quoted
 *  attributes. Bytes that aren't UTF-8 and control characters become U+FFFD. */
void html_text_print(FILE *out, const char *text);

/** The same for size bytes of text. */
void html_text_print_part(FILE *out, const char *text, size_t size);

#endif
