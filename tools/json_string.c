/* SPDX-License-Identifier: MIT */
/**
 * \file    json_string.c
 * \brief   A string of JSON on standard output.
 */
#include "json_string.h"

#include <stdio.h>

void json_string_print(const char *text)
{
	(void)putchar('"');
	for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; c++) {
		if (*c == '"' || *c == '\\')
			(void)printf("\\%c", *c);
		else if (*c < 0x20)
			(void)printf("\\u%04x", *c);
		else
			(void)putchar(*c);
	}
	(void)putchar('"');
}
