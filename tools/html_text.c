/* SPDX-License-Identifier: MIT */
/**
 * \file    html_text.c
 * \brief   Text inside an HTML page.
 */
#include "html_text.h"

#include <string.h>

#include "utf8.h"

static const char *escaped(char c)
{
	switch (c) {
	case '&':
		return "&amp;";
	case '<':
		return "&lt;";
	case '>':
		return "&gt;";
	case '"':
		return "&quot;";
	case '\'':
		return "&#39;";
	default:
		return NULL;
	}
}

static void print_byte(FILE *out, char c)
{
	const char *text = escaped(c);
	if (text != NULL)
		(void)fputs(text, out);
	else if (((unsigned char)c < 0x20 && c != '\n' && c != '\t') || c == 0x7f)
		(void)fputs("\xef\xbf\xbd", out);
	else
		(void)fputc(c, out);
}

void html_text_print_part(FILE *out, const char *text, size_t size)
{
	while (size > 0) {
		size_t valid = utf8_valid_length(text, size);
		for (size_t i = 0; i < valid; i++)
			print_byte(out, text[i]);
		if (valid == size)
			return;
		(void)fputs("\xef\xbf\xbd", out);
		text += valid + 1;
		size -= valid + 1;
	}
}

void html_text_print(FILE *out, const char *text)
{
	html_text_print_part(out, text, strlen(text));
}
