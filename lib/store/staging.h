/* SPDX-License-Identifier: MIT */
/** \file staging.h \brief Host buffers in turn, through which words go to the device. */
#ifndef CLKV__STAGING_H
#define CLKV__STAGING_H

#include "device/queue.h"

#include <clkv.h>
#include <stdint.h>

/** Buffers in turn: a write may still be under way while the next is prepared. */
enum { CLKV__STAGING = 4 };

/** A host buffer that a write reads from; done is NULL or the write's event. */
struct clkv__staging {
	uint32_t *words;
	cl_event done;
};

/** Those of a cache. */
struct clkv__stagings {
	struct clkv__staging turns[CLKV__STAGING];
	unsigned next;
};

/** Errors: NO_HOST_MEMORY, with some of the buffers taken. */
clkv_status clkv__stagings_init(struct clkv__stagings *all, const clkv_allocator *allocator,
                                size_t words, clkv_error *error);

/** Waits for writes that are under way, then frees the buffers. */
void clkv__stagings_free(struct clkv__stagings *all, const clkv_allocator *allocator);

/** The next buffer, once the write that last used it is done. */
clkv_status clkv__staging_next(struct clkv__stagings *all, struct clkv__staging **out,
                               clkv_error *error);

/** Writes the first n_words of a buffer to mem. */
clkv_status clkv__staging_write(struct clkv__staging *staging, struct clkv__chain *chain,
                                cl_mem mem, size_t n_words, clkv_error *error);

#endif
