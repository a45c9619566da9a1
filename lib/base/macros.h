/* SPDX-License-Identifier: MIT */
/** \file macros.h \brief The macros of one program, sorted by name: equal settings, equal text. */
#ifndef CLKV__MACROS_H
#define CLKV__MACROS_H

#include <stddef.h>

enum { CLKV__MAX_MACROS = 72 };

typedef struct clkv__macros {
	size_t n;
	const char *std;     /**< version of OpenCL C: "CL1.2" unless a kernel's form needs another */
	const char *refused; /**< the first macro that got a second value or found no room, or NULL */
	struct {
		const char *name; /**< a literal */
		int value;
	} list[CLKV__MAX_MACROS];
} clkv__macros;

/** A kernel and the file that holds it; both NULL: there is none. */
struct clkv__kernel_file {
	const char *file, *name;
};

void clkv__macros_init(clkv__macros *macros);

/** Sets a macro, once. Another value for the same name is a bug of the library's: it's noted, and
 *  clkv__program_kernel answers with an internal error. */
void clkv__macros_int(clkv__macros *macros, const char *name, int value);

/** " -DA=1 -DB=2" into text (size n). Returns the length it needs. */
size_t clkv__macros_text(const clkv__macros *macros, char *text, size_t n);

#endif
