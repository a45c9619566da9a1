/* SPDX-License-Identifier: MIT */
/** \file macros.c \brief The only way to set a macro of a kernel. */
#include "base/macros.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

void clkv__macros_init(clkv__macros *macros)
{
	macros->n = 0;
	macros->std = "CL1.2";
	macros->refused = NULL;
}

void clkv__macros_int(clkv__macros *macros, const char *name, int value)
{
	size_t at = 0;
	while (at < macros->n && strcmp(macros->list[at].name, name) < 0)
		at++;
	bool known = at < macros->n && strcmp(macros->list[at].name, name) == 0;
	if (known ? macros->list[at].value != value : macros->n == CLKV__MAX_MACROS)
		macros->refused = macros->refused ? macros->refused : name;
	if (known || macros->n == CLKV__MAX_MACROS)
		return;
	memmove(&macros->list[at + 1], &macros->list[at], (macros->n - at) * sizeof macros->list[0]);
	macros->list[at].name = name;
	macros->list[at].value = value;
	macros->n++;
}

size_t clkv__macros_text(const clkv__macros *macros, char *text, size_t n)
{
	size_t at = 0;
	if (n > 0)
		text[0] = '\0';
	for (size_t i = 0; i < macros->n; i++)
		at += (size_t)snprintf(at < n ? text + at : NULL, at < n ? n - at : 0, " -D%s=%d",
		                       macros->list[i].name, macros->list[i].value);
	return at;
}
