/* SPDX-License-Identifier: MIT */
/** \file given.h \brief What a cache's rows are turned by, where a file gives it: checked, brought to the device. */
#ifndef CLKV__GIVEN_H
#define CLKV__GIVEN_H

#include "cache/demand.h"

/** Distrusts the files of the options that the recipe asks for, which are of all layers, so that bands needn't look at them
 *  again. Errors: CORRUPT, INVALID_ARGUMENT. */
clkv_status clkv__cache_given_check(const struct clkv__shape *whole,
                                    const struct clkv__demands *all, clkv_error *error);

/** Whether another cache has what the plan asks for, of all of the shape's layers. Errors: UNSUPPORTED. */
clkv_status clkv__cache_given_like(const clkv_cache *like, const struct clkv__shape *shape,
                                   const struct clkv__plan *plan, clkv_error *error);

/** What tells a cache's from others; 0: nothing is given. like: has it; NULL: the options do. */
uint64_t clkv__cache_given_number(const clkv_cache *cache, const clkv_cache_options *o,
                                  const clkv_cache *like);

/** Brings it to the cache's buffers, from the options or from another cache, whose bands may have other layers. Blocks.
 *  Errors: NO_HOST_MEMORY, OPENCL. */
clkv_status clkv__cache_given_fill(clkv_cache *cache, const clkv_cache_options *o,
                                   const clkv_cache *like, cl_command_queue queue,
                                   clkv_error *error);

#endif
