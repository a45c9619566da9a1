/* SPDX-License-Identifier: MIT */
/**
 * \file    json_string.c
 * \brief   A string of JSON.
 */
#include "json_string.h"

void json_string_print(FILE *out, const char *text)
{
	(void)putc('"', out);
	for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; c++) {
		if (*c == '"' || *c == '\\')
			(void)fprintf(out, "\\%c", *c);
		else if (*c < 0x20)
			(void)fprintf(out, "\\u%04x", *c);
		else
			(void)putc(*c, out);
	}
	(void)putc('"', out);
}
