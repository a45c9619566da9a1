/* SPDX-License-Identifier: MIT */
/** \file shell_word.c \brief Nothing is special in single quotes but the quote: it stands between two quoted parts. */
#include "shell_word.h"

#include <string.h>

void shell_word_print(FILE *out, const char *word)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
								"-_./=:,+@%";
	if (*word != '\0' && word[strspn(word, plain)] == '\0') {
		(void)fputs(word, out);
		return;
	}
	(void)putc('\'', out);
	for (; *word != '\0'; word++) {
		if (*word == '\'')
			(void)fputs("'\\''", out);
		else
			(void)putc((unsigned char)*word, out);
	}
	(void)putc('\'', out);
}
