/* SPDX-License-Identifier: MIT */
/** \file alloc.h \brief The caller's allocator, or malloc and free. */
#ifndef CLKV__ALLOC_H
#define CLKV__ALLOC_H

#include <clkv.h>

/** n * size zeroed bytes, or NULL: also when the product overflows. n of 0 gives one element. */
void *clkv__calloc(const clkv_allocator *allocator, size_t n, size_t size);

/** NULL is allowed. */
void clkv__free(const clkv_allocator *allocator, void *ptr);

#endif
