/* SPDX-License-Identifier: MIT */
/**
 * \file    names.h
 * \brief   Which names a program's text mentions: a macro that it doesn't name can't change the program.
 *
 * Kept are hashes of identifiers without small letters, as macros are written; two that collide cost a macro too many,
 * never one too few. A name that only ## makes isn't seen, so kernels don't paste the names of macros.
 */
#ifndef CLKV__NAMES_H
#define CLKV__NAMES_H

#include "base/macros.h"

#include <clkv.h>
#include <stdbool.h>
#include <stdint.h>

/** An open hash table. */
struct clkv__names {
	uint32_t *table; /**< 0: free */
	size_t room, n;  /**< room is 0 or a power of two */
};

/** Reads a text with its includes; comments and literals name nothing. Errors: NO_HOST_MEMORY. */
clkv_status clkv__names_read(const clkv_allocator *allocator, const char *text,
                             struct clkv__names *out, clkv_error *error);
void clkv__names_free(const clkv_allocator *allocator, struct clkv__names *names);

/** False: the text doesn't mention it. */
bool clkv__names_have(const struct clkv__names *names, const char *name);

/** Leaves the macros that the text names. */
void clkv__names_filter(const struct clkv__names *names, clkv__macros *macros);

#endif
