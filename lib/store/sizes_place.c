/* SPDX-License-Identifier: MIT */
/** \file sizes_place.c \brief Blocks that land, slots of rows, buffers between device and host memory. */
#include "store/sizes_place.h"

#include "base/checked.h"
#include "base/error.h"
#include "store/row_cache.h"

/* Seal jobs whose blocks wait on the device for their way to the host: two times what generation seals at once. */
enum { LANDING_JOBS = 16 };

clkv_status clkv__sizes_place(const struct clkv__shape *shape, const struct clkv__plan *plan,
                              struct clkv__sizes *s, clkv_error *error)
{
	const struct clkv__placement *p = &plan->place;
	uint64_t bt = (uint64_t)plan->general.block;
	s->moves = clkv__moves(p);
	if (!s->moves)
		return CLKV_OK;
	s->landing = LANDING_JOBS;
	s->landing_blocks = LANDING_JOBS * (uint32_t)shape->streams;
	if (clkv__host_attends(p))
		return CLKV_OK;
	uint64_t slots = p->cached < 0 ? 2 * (uint64_t)s->listed : (uint64_t)p->cached;
	uint64_t all = clkv__ceil_div(s->max_seq_tokens, bt) * bt;
	if (slots < s->listed)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_RECIPE,
		          "stage 'place': key 'cached' is %d; allowed: %u (what the query heads of a KV "
		          "head can recall "
		          "together) and up",
		          p->cached, s->listed);
	slots = clkv__ceil_div(slots < all ? slots : all, bt) * bt;
	s->row_slots = (uint32_t)slots;
	if (slots * s->max_sequences * (uint64_t)shape->streams > UINT32_MAX)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT,
		          "cache options: max_sequences (%u) of %u cached rows each are too many",
		          s->max_sequences, s->row_slots);
	return CLKV_OK;
}

uint64_t clkv__landing_bytes(const struct clkv__sizes *s)
{
	return (uint64_t)s->landing_blocks * s->sealed_units * ABI_UNIT;
}

uint64_t clkv__row_slot_bytes(const struct clkv__shape *shape, const struct clkv__sizes *s)
{
	return (uint64_t)s->max_sequences * (uint64_t)shape->streams * s->row_slots * 2 *
	       (uint64_t)(shape->dk + shape->dv);
}

struct clkv__place_bytes clkv__place_bytes(const struct clkv__shape *shape,
                                           const struct clkv__sizes *s)
{
	uint64_t asks = s->asks, streams = (uint64_t)shape->streams, heads = (uint64_t)shape->q_heads;
	return (struct clkv__place_bytes){
		.lists = asks * streams * (1 + (uint64_t)s->listed) * sizeof(uint32_t),
		.records = asks * streams * s->listed * clkv__record_bytes(shape->dk, shape->dv),
		.query = heads * (uint64_t)shape->dk * sizeof(float),
		.sums = asks * heads * (uint64_t)(shape->dv + 2) * sizeof(float),
	};
}

uint64_t clkv__place_heads(const struct clkv__shape *shape, const struct clkv__plan *plan,
                           const struct clkv__sizes *s)
{
	return (uint64_t)s->max_sequences * (uint64_t)(shape->layers - plan->general.skip) *
	       (uint64_t)shape->streams;
}

uint64_t clkv__place_host_bytes(const struct clkv__shape *shape, const struct clkv__plan *plan,
                                const struct clkv__sizes *s)
{
	const struct clkv__place_bytes b = clkv__place_bytes(shape, s);
	if (!s->moves)
		return 0;
	if (clkv__host_attends(&plan->place))
		return b.lists + (s->asks + 1) * b.query + b.sums;
	return b.lists + b.records +
	       clkv__row_cache_bytes(clkv__place_heads(shape, plan, s), s->row_slots);
}

uint64_t clkv__place_device_bytes(const struct clkv__shape *shape, const struct clkv__plan *plan,
                                  const struct clkv__sizes *s)
{
	if (!s->moves || clkv__host_attends(&plan->place))
		return 0;
	return clkv__place_bytes(shape, s).records;
}
