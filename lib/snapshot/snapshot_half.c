/* SPDX-License-Identifier: MIT */
/**
 * \file    snapshot_half.c
 * \brief   Half blocks as they are saved: without the rows that are nobody's.
 *
 * A half block also holds rows that have been sealed since, or another sequence's that had the slot
 * before; they don't leave the device.
 */
#include "snapshot/snapshot_half.h"
#include "snapshot/snapshot_state.h"

#include <string.h>

void clkv__half_live(const struct clkv__snapshot_head *head, const struct clkv__plan *plan,
                     int layer, uint32_t j, struct clkv__live *live)
{
	uint32_t bt = (uint32_t)plan->general.block, sinks = clkv__plan_sinks(plan, head->length);
	bool dense = clkv__layer_is_dense(plan, layer);
	live->n = 0;
	for (uint32_t i = 0; i < bt && j * bt + i < head->length; i++) {
		uint32_t position = j * bt + i;
		if (position >= head->from && (dense || position < sinks || position >= head->tail))
			live->token[live->n++] = (unsigned char)i;
	}
}

struct clkv__record clkv__half_record(const struct clkv__snapshot_head *head,
                                      const struct clkv__plan *plan, int layer, int stream,
                                      uint32_t j, const struct clkv__live *live)
{
	bool state = clkv__plan_state(plan) > 0 && !clkv__layer_is_dense(plan, layer);
	return (struct clkv__record){
		.kind = CLKV__RECORD_HALF,
		.layer = (uint32_t)layer,
		.head = (uint32_t)stream,
		.pos = j * (uint32_t)plan->general.block + live->token[0],
		.count = live->n,
		.bytes = live->n * ((head->dk + head->dv) * 2 + (state ? CLKV__OPEN_STATE : 0u)),
	};
}

void clkv__half_pack(const struct clkv__shape *shape, int block, const struct clkv__live *live,
                     const unsigned char *whole, unsigned char *packed)
{
	size_t bt = (size_t)block, dk = (size_t)shape->dk, dv = (size_t)shape->dv;
	for (size_t c = 0; c < dk; c++)
		for (size_t i = 0; i < live->n; i++, packed += 2)
			memcpy(packed, whole + 2 * (c * bt + live->token[i]), 2);
	for (size_t i = 0; i < live->n; i++, packed += 2 * dv)
		memcpy(packed, whole + 2 * (dk * bt + live->token[i] * dv), 2 * dv);
}

void clkv__half_unpack(const struct clkv__shape *shape, int block, const struct clkv__live *live,
                       const unsigned char *packed, unsigned char *whole)
{
	size_t bt = (size_t)block, dk = (size_t)shape->dk, dv = (size_t)shape->dv;
	for (size_t c = 0; c < dk; c++)
		for (size_t i = 0; i < live->n; i++, packed += 2)
			memcpy(whole + 2 * (c * bt + live->token[i]), packed, 2);
	for (size_t i = 0; i < live->n; i++, packed += 2 * dv)
		memcpy(whole + 2 * (dk * bt + live->token[i] * dv), packed, 2 * dv);
}

/* Words of a slot's state that count in half, by their number in a block's. */
static const size_t open_words[CLKV__OPEN_STATE / 4] = {1, 3};

void clkv__half_pack_state(int block, const struct clkv__live *live, const unsigned char *state,
                           unsigned char *packed)
{
	for (size_t w = 0; w < CLKV__OPEN_STATE / 4; w++)
		for (size_t i = 0; i < live->n; i++, packed += 4)
			memcpy(packed, state + 4 * (open_words[w] * (size_t)block + live->token[i]), 4);
}

void clkv__half_unpack_state(int block, const struct clkv__live *live, const unsigned char *packed,
                             unsigned char *state)
{
	for (size_t w = 0; w < CLKV__OPEN_STATE / 4; w++)
		for (size_t i = 0; i < live->n; i++, packed += 4)
			memcpy(state + 4 * (open_words[w] * (size_t)block + live->token[i]), packed, 4);
}
