/* SPDX-License-Identifier: MIT */
/** \file slots.h \brief Slots of one size in a range of pool units, with counted references. */
#ifndef CLKV__SLOTS_H
#define CLKV__SLOTS_H

#include <clkv.h>
#include <stdbool.h>
#include <stdint.h>

/** The address of no slot. */
#define CLKV__NO_SLOT UINT32_MAX

struct clkv__slots {
	uint32_t first; /**< address of slot 0, in pool units */
	uint32_t slot_units;
	uint32_t n;      /**< slots in all */
	uint32_t top;    /**< slots that were ever taken */
	uint32_t n_free; /**< of those, free again */
	uint32_t *free_list;
	uint32_t *refs;
};

clkv_status clkv__slots_init(struct clkv__slots *slots, const clkv_allocator *allocator,
                             uint32_t first, uint32_t slot_units, uint32_t n, clkv_error *error);
void clkv__slots_free(struct clkv__slots *slots, const clkv_allocator *allocator);

static inline uint32_t clkv__slots_available(const struct clkv__slots *s)
{
	return s->n - s->top + s->n_free;
}

static inline uint32_t clkv__slots_used(const struct clkv__slots *s)
{
	return s->top - s->n_free;
}

/** The address of a free slot, with one reference; CLKV__NO_SLOT when none is left. */
uint32_t clkv__slots_take(struct clkv__slots *slots);
void clkv__slots_ref(struct clkv__slots *slots, uint32_t address);
/** Drops one reference; the last one frees the slot, and is answered with true. */
bool clkv__slots_release(struct clkv__slots *slots, uint32_t address);
uint32_t clkv__slots_refs(const struct clkv__slots *slots, uint32_t address);

#endif
