/* SPDX-License-Identifier: MIT */
/** \file slots.c \brief A bump pointer and a stack of freed slots: taking and freeing are O(1). */
#include "store/slots.h"

#include "base/alloc.h"
#include "base/error.h"

#include <assert.h>

clkv_status clkv__slots_init(struct clkv__slots *slots, const clkv_allocator *allocator,
                             uint32_t first, uint32_t slot_units, uint32_t n, clkv_error *error)
{
	*slots = (struct clkv__slots){.first = first, .slot_units = slot_units, .n = n};
	if (n == 0)
		return CLKV_OK;
	slots->free_list = clkv__calloc(allocator, n, sizeof *slots->free_list);
	slots->refs = clkv__calloc(allocator, n, sizeof *slots->refs);
	if (!slots->free_list || !slots->refs) {
		clkv__slots_free(slots, allocator);
		CLKV_FAIL(error, CLKV_ERROR_NO_HOST_MEMORY, "no host memory for %u pool slots", n);
	}
	return CLKV_OK;
}

void clkv__slots_free(struct clkv__slots *slots, const clkv_allocator *allocator)
{
	clkv__free(allocator, slots->free_list);
	clkv__free(allocator, slots->refs);
	*slots = (struct clkv__slots){0};
}

static uint32_t index_of(const struct clkv__slots *slots, uint32_t address)
{
	uint32_t i = (address - slots->first) / slots->slot_units;
	assert(address >= slots->first && i < slots->top && slots->refs[i] > 0);
	return i;
}

uint32_t clkv__slots_take(struct clkv__slots *slots)
{
	uint32_t i;
	if (slots->n_free > 0)
		i = slots->free_list[--slots->n_free];
	else if (slots->top < slots->n)
		i = slots->top++;
	else
		return CLKV__NO_SLOT;
	slots->refs[i] = 1;
	return slots->first + i * slots->slot_units;
}

void clkv__slots_ref(struct clkv__slots *slots, uint32_t address)
{
	slots->refs[index_of(slots, address)]++;
}

bool clkv__slots_release(struct clkv__slots *slots, uint32_t address)
{
	uint32_t i = index_of(slots, address);
	if (--slots->refs[i] > 0)
		return false;
	slots->free_list[slots->n_free++] = i;
	return true;
}

uint32_t clkv__slots_refs(const struct clkv__slots *slots, uint32_t address)
{
	return slots->refs[index_of(slots, address)];
}
