/* SPDX-License-Identifier: MIT */
/** \file alloc.c \brief Every host allocation of the library passes through here. */
#include "base/alloc.h"

#include "base/checked.h"

#include <stdlib.h>
#include <string.h>

void *clkv__calloc(const clkv_allocator *allocator, size_t n, size_t size)
{
	size_t bytes;
	if (n == 0)
		n = 1;
	if (!clkv__checked_mul(n, size, &bytes))
		return NULL;
	if (!allocator->alloc)
		return calloc(n, size);
	void *ptr = allocator->alloc(allocator->opaque, bytes);
	if (ptr)
		memset(ptr, 0, bytes);
	return ptr;
}

void clkv__free(const clkv_allocator *allocator, void *ptr)
{
	if (!ptr)
		return;
	if (allocator->free)
		allocator->free(allocator->opaque, ptr);
	else
		free(ptr);
}
