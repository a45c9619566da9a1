/* SPDX-License-Identifier: MIT */
/**
 * \file    pages.h
 * \brief   Pages of any size in a range of pool units, with counted references.
 *
 * The sibling of slots.h for blocks whose size depends on their contents. Taking and releasing are O(1)
 * apart from walks along free runs of 256 units and more of nearly the same size. The same calls give
 * the same addresses.
 */
#ifndef CLKV__PAGES_H
#define CLKV__PAGES_H

#include "store/slots.h"

#include <clkv.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** The least units of a page: what is asked below is rounded up to it. */
#define CLKV__PAGE_LEAST 4

/** Free runs up to this many units have a bin per length; longer ones 4 bins per power of two. */
#define CLKV__PAGES_EXACT 255
#define CLKV__PAGES_BINS (CLKV__PAGES_EXACT + 1 - CLKV__PAGE_LEAST + 4 * 23)

struct clkv__pages {
	uint32_t first; /**< address of unit 0 */
	uint32_t n;     /**< units in all: below 2^31 */
	uint32_t used;
	uint32_t *tags; /**< one per unit: see pages.c */
	uint32_t heads[CLKV__PAGES_BINS];
	uint32_t filled[(CLKV__PAGES_BINS + 31) / 32]; /**< a bit per bin that isn't empty */
};

/** Host memory of n_units, in bytes, beside the structure. */
static inline uint64_t clkv__pages_host_bytes(uint32_t n_units)
{
	return (uint64_t)n_units * sizeof(uint32_t);
}

/** All of n_units units from address first on are free. Errors: 2^31 units and more (unsupported), no
 *  host memory; pages then hold nothing. */
clkv_status clkv__pages_init(struct clkv__pages *pages, const clkv_allocator *allocator,
                             uint32_t first, uint32_t n_units, clkv_error *error);
void clkv__pages_free(struct clkv__pages *pages, const clkv_allocator *allocator);

static inline uint32_t clkv__pages_used(const struct clkv__pages *pages)
{
	return pages->used;
}

/** Free units, also those in runs that are too short for what will be asked. */
static inline uint32_t clkv__pages_available(const struct clkv__pages *pages)
{
	return pages->n - pages->used;
}

/** The units of the longest page that could be taken now; 0 when none could. */
uint32_t clkv__pages_largest(const struct clkv__pages *pages);

/** The address of a page of units (1 and more; below 4 it gets 4), with one reference, in the shortest
 *  free run that holds it; CLKV__NO_SLOT, and nothing changed, when none does. */
uint32_t clkv__pages_take(struct clkv__pages *pages, uint32_t units);
void clkv__pages_ref(struct clkv__pages *pages, uint32_t address);
/** Drops one reference; true if it was the last one and the page is free. */
bool clkv__pages_release(struct clkv__pages *pages, uint32_t address);
uint32_t clkv__pages_refs(const struct clkv__pages *pages, uint32_t address);
/** The units that a page holds. */
uint32_t clkv__pages_units_of(const struct clkv__pages *pages, uint32_t address);

#endif
