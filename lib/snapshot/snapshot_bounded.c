/* SPDX-License-Identifier: MIT */
/**
 * \file    snapshot_bounded.c
 * \brief   Pages of the error-bounded codec, found to be what they say before a kernel walks them.
 *
 * A kernel trusts the lengths of lanes: their sum must end within the page. A stream that is longer or
 * shorter than its length says gives wrong numbers, no wrong addresses: codes have lmax bits at most.
 */
#include "snapshot/snapshot_bounded.h"
#include "base/halves.h"

#include <string.h>

/* One side: a matrix rows x cols, in streams of lane_cols columns. */
struct side {
	uint32_t rows, cols, lane_cols, lmax, index;
	bool absolute; /* it may be in half */
};

static struct side side_of(const clkv_cache *cache, const struct clkv__variant *head, int i)
{
	const struct clkv__codec_layout *l = &head->layout;
	const struct clkv__bounded_spec *spec = &cache->plan.sealing.spec.bounded;
	uint32_t block = (uint32_t)cache->plan.general.block;
	return (struct side){
		.rows = i ? block : (uint32_t)l->kept.k_rows,
		.cols = i ? (uint32_t)cache->shape.dv : block,
		.lane_cols = (uint32_t)(i ? l->v_lane_cols : l->k_lane_cols),
		.lmax = (uint32_t)l->alphabet[i].lmax,
		.index = i ? l->v_index : l->k_index,
		.absolute = i ? spec->v.absolute : spec->k.absolute,
	};
}

static bool is_width(uint32_t bits)
{
	return (bits >= 2 && bits <= 6) || bits == 8;
}

static uint32_t length_bytes(const struct side *s)
{
	return clkv__lane_length_bytes((int)(s->lane_cols * s->rows), (int)s->lmax);
}

static uint64_t sum_lanes(const struct side *s, const unsigned char *page)
{
	uint32_t size = length_bytes(s);
	uint64_t sum = 0;
	for (uint32_t i = 0; i < s->cols / s->lane_cols; i++) {
		const unsigned char *at = page + s->index + i * size;
		sum += size == 2 ? at[0] | (uint32_t)at[1] << 8 : at[0];
	}
	return sum;
}

/* Bytes of a side's codes; false if no side has such a table. */
static bool payload_bytes(const clkv_cache *cache, const struct side *s, uint32_t table,
                          const unsigned char *page, uint64_t *bytes)
{
	uint32_t values = s->rows * s->cols;
	bool packed = cache->plan.sealing.spec.bounded.entropy == ABI_ENTROPY_PACK;
	if (table == ABI_TABLE_HALF)
		*bytes = 2ull * values;
	else if (packed)
		*bytes = clkv__align_up(values * table / 8, 16);
	else
		*bytes = sum_lanes(s, page);
	if (table == ABI_TABLE_HALF)
		return s->absolute;
	return packed ? is_width(table) : table < ABI_TABLES;
}

bool clkv__bounded_find(const clkv_cache *cache, const struct clkv__variant *head, uint32_t flags,
                        const unsigned char *page, struct clkv__bounded_parts *parts)
{
	const struct clkv__codec_layout *l = &head->layout;
	const struct side k = side_of(cache, head, 0), v = side_of(cache, head, 1);
	bool packed = cache->plan.sealing.spec.bounded.entropy == ABI_ENTROPY_PACK;
	uint64_t all = (uint64_t)ABI_FLAGS_UNITS(flags) * ABI_UNIT, k_bytes, v_bytes, at;
	at = l->payload + (flags & ABI_FLAG_EXACT ? l->exact_bytes : 0);
	if (l->section + at > all || !payload_bytes(cache, &k, ABI_FLAGS_K(flags), page, &k_bytes) ||
	    !payload_bytes(cache, &v, ABI_FLAGS_V(flags), page, &v_bytes))
		return false;
	uint64_t k_end = at + k_bytes;
	uint64_t v_at = ABI_FLAGS_V(flags) == ABI_TABLE_HALF ? (k_end + 15) / 16 * 16 : k_end;
	uint64_t end = v_at + v_bytes;
	if ((l->section + end + ABI_UNIT - 1) / ABI_UNIT * ABI_UNIT != all)
		return false;
	*parts = (struct clkv__bounded_parts){
		.lanes_end = l->v_index + (packed ? 0 : v.cols / v.lane_cols * length_bytes(&v)),
		.k = (uint32_t)at,
		.k_end = (uint32_t)k_end,
		.v = (uint32_t)v_at,
		.v_end = (uint32_t)end,
	};
	return true;
}

static void clear(unsigned char *page, uint32_t from, uint32_t to)
{
	if (to > from)
		memset(page + from, 0, to - from);
}

static uint32_t k_units(const struct clkv__variant *head)
{
	bool one = head->spec.bounded.unit_k == ABI_RANGE_BLOCK;
	return one ? 1 : (uint32_t)head->layout.kept.k_channels;
}

/* Exact tokens that the block lacks are whatever lay there. */
static void tidy_exact(const clkv_cache *cache, uint32_t count, unsigned char *first)
{
	uint32_t n = (uint32_t)cache->plan.sealing.spec.bounded.exact;
	uint32_t dk = 2 * (uint32_t)cache->shape.dk, dv = 2 * (uint32_t)cache->shape.dv;
	if (count >= n)
		return;
	clear(first, count * dk, n * dk);
	clear(first, n * dk + count * dv, n * (dk + dv));
}

void clkv__bounded_tidy(const clkv_cache *cache, const struct clkv__variant *head,
                        const struct clkv__record *record, unsigned char *page)
{
	const struct clkv__codec_layout *l = &head->layout;
	uint32_t flags = record->flags;
	const struct side k = side_of(cache, head, 0), v = side_of(cache, head, 1);
	struct clkv__bounded_parts p;
	if (!clkv__bounded_find(cache, head, flags, page, &p))
		return; /* no block of this library's: as it is */
	clear(page, 4 * k_units(head), l->v_params);
	if (ABI_FLAGS_K(flags) == ABI_TABLE_HALF)
		clear(page, k.index, v.index);
	if (ABI_FLAGS_V(flags) == ABI_TABLE_HALF)
		clear(page, v.index, p.lanes_end);
	clear(page, p.lanes_end, l->payload);
	if (flags & ABI_FLAG_EXACT)
		tidy_exact(cache, record->count, page + l->payload);
	clear(page, p.k_end, p.v);
	clear(page, p.v_end, ABI_FLAGS_UNITS(flags) * ABI_UNIT - l->section);
}

/* The largest of n scales in bfloat16; false if one is negative, infinite or no number. */
static bool largest_scale(const unsigned char *at, uint32_t n, float *most)
{
	for (uint32_t i = 0; i < n; i++) {
		uint32_t bits = (at[2 * i] | (uint32_t)at[2 * i + 1] << 8) << 16;
		float scale;
		memcpy(&scale, &bits, sizeof scale);
		if (bits >= 0x7f800000)
			return false;
		*most = scale > *most ? scale : *most;
	}
	return true;
}

static bool numbers_are_finite(struct clkv__codec_section *section,
                               const struct clkv__variant *head, uint32_t flags,
                               const unsigned char *page, const struct clkv__bounded_parts *p)
{
	const clkv_cache *cache = section->cache;
	const struct clkv__codec_layout *l = &head->layout;
	uint32_t units = k_units(head), block = (uint32_t)cache->plan.general.block;
	bool k_half = ABI_FLAGS_K(flags) == ABI_TABLE_HALF,
		 v_half = ABI_FLAGS_V(flags) == ABI_TABLE_HALF;
	return largest_scale(page, units, &section->scale[0]) &&
	       largest_scale(page + l->v_params, block, &section->scale[1]) &&
	       clkv__halves_finite(page + 2 * units, units) &&
	       clkv__halves_finite(page + l->v_params + 2 * block, block) &&
	       clkv__halves_finite(page + l->payload, (p->k - l->payload) / 2) &&
	       (!k_half || clkv__halves_finite(page + p->k, (p->k_end - p->k) / 2)) &&
	       (!v_half || clkv__halves_finite(page + p->v, (p->v_end - p->v) / 2));
}

/* The cache's number of a side's table; false if the file has no such table. */
static bool translate(const struct clkv__codec_section *section, int side, uint32_t table,
                      uint32_t *number)
{
	bool packed = section->cache->plan.sealing.spec.bounded.entropy == ABI_ENTROPY_PACK;
	*number = table;
	if (table == ABI_TABLE_HALF || packed)
		return true;
	if (table > section->n[side])
		return false;
	*number = section->number[side][table];
	return true;
}

clkv_status clkv__bounded_check(struct clkv__codec_section *section,
                                const struct clkv__variant *head,
                                const struct clkv__snapshot_in *in, const unsigned char *page,
                                struct clkv__record *record, clkv_error *error)
{
	const clkv_cache *cache = section->cache;
	uint32_t flags = record->flags, exact = flags & ABI_FLAG_EXACT, k, v;
	struct clkv__bounded_parts parts;
	if (exact && (record->pos > 0 || cache->plan.sealing.layout.exact_bytes == 0))
		return clkv__snapshot_damaged(in, error, "it has exact tokens (flags %08x)", flags);
	if (!clkv__bounded_find(cache, head, flags, page, &parts))
		return clkv__snapshot_damaged(in, error, "its codes don't fit its size (flags %08x)",
		                              flags);
	if (!translate(section, 0, ABI_FLAGS_K(flags), &k) ||
	    !translate(section, 1, ABI_FLAGS_V(flags), &v))
		return clkv__snapshot_damaged(in, error, "its code table isn't there (flags %08x)", flags);
	if (!numbers_are_finite(section, head, flags, page, &parts))
		return clkv__snapshot_damaged(in, error, "a scale, minimum or value isn't finite");
	record->flags = ABI_FLAGS(k | exact, v, ABI_FLAGS_UNITS(flags));
	return CLKV_OK;
}
