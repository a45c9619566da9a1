/* SPDX-License-Identifier: MIT */
/** \file seen.c \brief Places for the newest queries: taken by the first step, copied when they are shared. */
#include "store/seen.h"

#include "../cl/base/abi.clh"
#include "base/error.h"

clkv_status clkv__seen_own(struct clkv__seen *seen, struct clkv__chain *chain, uint32_t *place,
                           clkv_error *error)
{
	struct clkv__slots *slots = &seen->slots;
	size_t bytes = (size_t)slots->slot_units * ABI_UNIT;
	if (*place != CLKV__NO_SLOT && clkv__slots_refs(slots, *place) == 1)
		return CLKV_OK;
	uint32_t own = clkv__slots_take(slots);
	if (own == CLKV__NO_SLOT)
		CLKV_FAIL(error, CLKV_ERROR_INTERNAL, "more sequences than places for their queries");
	clkv_status status =
		*place == CLKV__NO_SLOT
			? clkv__chain_zero(chain, seen->mem, (size_t)own * ABI_UNIT, seen->tag_bytes, error)
			: clkv__chain_copy(chain, seen->mem, (size_t)*place * ABI_UNIT, seen->mem,
	                           (size_t)own * ABI_UNIT, bytes, error);
	clkv__seen_drop(seen, status == CLKV_OK ? *place : own);
	if (status == CLKV_OK)
		*place = own;
	return status;
}

void clkv__seen_share(struct clkv__seen *seen, uint32_t place)
{
	if (place != CLKV__NO_SLOT)
		clkv__slots_ref(&seen->slots, place);
}

void clkv__seen_drop(struct clkv__seen *seen, uint32_t place)
{
	if (place != CLKV__NO_SLOT)
		clkv__slots_release(&seen->slots, place);
}
