/* SPDX-License-Identifier: MIT */
/** \file sizes_place.h \brief The arithmetic of sealed blocks that leave the device, and of rows that come back. */
#ifndef CLKV__SIZES_PLACE_H
#define CLKV__SIZES_PLACE_H

#include "store/sizes.h"

/** Sets how many blocks land at a time and how many slots of rows there are. Errors: INVALID_RECIPE, INVALID_ARGUMENT. */
clkv_status clkv__sizes_place(const struct clkv__shape *shape, const struct clkv__plan *plan,
                              struct clkv__sizes *sizes, clkv_error *error);

/** Device bytes of a layer whose sealed blocks leave: room where they land, and slots for rows that come back. */
uint64_t clkv__landing_bytes(const struct clkv__sizes *sizes);
uint64_t clkv__row_slot_bytes(const struct clkv__shape *shape, const struct clkv__sizes *sizes);

/** Bytes of a row on its way to a slot: 16 with the slot's number, K, V. */
static inline size_t clkv__record_bytes(int dk, int dv)
{
	return 16 + 2 * (size_t)(dk + dv);
}

/** Buffers through which lists and rows go, in bytes. */
struct clkv__place_bytes {
	uint64_t lists;   /**< [asks][KV heads][1 + listed] words */
	uint64_t records; /**< rows on their way to slots, on the host and on the device */
	uint64_t query;   /**< queries of a row in f32, the widest of the caller's types */
	uint64_t sums;    /**< partial records of rows that the host attends with */
};

struct clkv__place_bytes clkv__place_bytes(const struct clkv__shape *shape,
                                           const struct clkv__sizes *sizes);

/** (sequence, layer, KV head) that have slots of rows. */
uint64_t clkv__place_heads(const struct clkv__shape *shape, const struct clkv__plan *plan,
                           const struct clkv__sizes *sizes);

/** Host and device bytes of all but the pages. */
uint64_t clkv__place_host_bytes(const struct clkv__shape *shape, const struct clkv__plan *plan,
                                const struct clkv__sizes *sizes);
uint64_t clkv__place_device_bytes(const struct clkv__shape *shape, const struct clkv__plan *plan,
                                  const struct clkv__sizes *sizes);

#endif
