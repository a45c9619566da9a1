/* SPDX-License-Identifier: MIT */
/**
 * \file    bounded_page.c
 * \brief   Pages of the error-bounded codec, found to be what they say before a kernel walks them.
 *
 * A kernel trusts the lengths of lanes: their sum must end within the page. A stream that is longer or
 * shorter than its length says gives wrong numbers, no wrong addresses: codes have lmax bits at most.
 */
#include "codec/bounded_page.h"

#include "base/halves.h"

#include <string.h>

/* One side: a matrix rows x cols, in streams of lane_cols columns. */
struct side {
	uint32_t rows, cols, lane_cols, lmax, index;
	bool absolute; /* it may be in half */
};

static struct side side_of(const struct clkv__codec_page *p, int i)
{
	const struct clkv__codec_layout *l = p->layout;
	const struct clkv__bounded_spec *spec = &p->spec->bounded;
	uint32_t block = (uint32_t)p->block;
	return (struct side){
		.rows = i ? block : (uint32_t)l->kept.k_rows,
		.cols = i ? (uint32_t)p->shape->dv : block,
		.lane_cols = (uint32_t)(i ? l->v_lane_cols : l->k_lane_cols),
		.lmax = (uint32_t)l->alphabet[i].lmax,
		.index = i ? l->v_index : l->k_index,
		.absolute = i ? spec->v.absolute : spec->k.absolute,
	};
}

/* Whether codes are planes, not streams. */
static bool is_packed(const struct clkv__codec_page *p)
{
	return p->layout->alphabet[0].symbols == 0;
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
static bool payload_bytes(const struct side *s, bool packed, uint32_t table,
                          const unsigned char *page, uint64_t *bytes)
{
	uint32_t values = s->rows * s->cols;
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

/* Where the payloads of K and V begin, and where V's ends: bytes from the codec's block. */
struct parts {
	uint32_t lanes_end, k, k_end, v, v_end;
};

/* False if the page isn't what an entry with its flags holds: its lanes are longer than the page, or no side is stored like
 * that. */
static bool find(const struct clkv__codec_page *p, const unsigned char *page, struct parts *parts)
{
	const struct clkv__codec_layout *l = p->layout;
	const struct side k = side_of(p, 0), v = side_of(p, 1);
	bool packed = is_packed(p);
	uint32_t flags = p->flags;
	uint64_t all = (uint64_t)ABI_FLAGS_UNITS(flags) * ABI_UNIT, k_bytes, v_bytes, at;
	at = l->payload + (flags & ABI_FLAG_EXACT ? l->exact_bytes : 0);
	if (l->section + at > all || !payload_bytes(&k, packed, ABI_FLAGS_K(flags), page, &k_bytes) ||
	    !payload_bytes(&v, packed, ABI_FLAGS_V(flags), page, &v_bytes))
		return false;
	uint64_t k_end = at + k_bytes;
	uint64_t v_at = ABI_FLAGS_V(flags) == ABI_TABLE_HALF ? (k_end + 15) / 16 * 16 : k_end;
	uint64_t end = v_at + v_bytes;
	if ((l->section + end + ABI_UNIT - 1) / ABI_UNIT * ABI_UNIT != all)
		return false;
	*parts = (struct parts){
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

static uint32_t k_units(const struct clkv__codec_page *p)
{
	bool one = p->spec->bounded.unit_k == ABI_RANGE_BLOCK;
	return one ? 1 : (uint32_t)p->layout->kept.k_channels;
}

/* Exact tokens that the block lacks are whatever lay there. */
static void tidy_exact(const struct clkv__codec_page *p, unsigned char *first)
{
	uint32_t n = (uint32_t)p->spec->bounded.exact, count = p->count;
	uint32_t dk = 2 * (uint32_t)p->shape->dk, dv = 2 * (uint32_t)p->shape->dv;
	if (count >= n)
		return;
	clear(first, count * dk, n * dk);
	clear(first, n * dk + count * dv, n * (dk + dv));
}

void clkv__bounded_tidy(const struct clkv__codec_page *p, unsigned char *bytes)
{
	const struct clkv__codec_layout *l = p->layout;
	const struct side k = side_of(p, 0), v = side_of(p, 1);
	unsigned char *page = bytes + l->section;
	struct parts parts;
	if (!find(p, page, &parts))
		return; /* no block of this library's: as it is */
	clear(page, 4 * k_units(p), l->v_params);
	if (ABI_FLAGS_K(p->flags) == ABI_TABLE_HALF)
		clear(page, k.index, v.index);
	if (ABI_FLAGS_V(p->flags) == ABI_TABLE_HALF)
		clear(page, v.index, parts.lanes_end);
	clear(page, parts.lanes_end, l->payload);
	if (p->flags & ABI_FLAG_EXACT)
		tidy_exact(p, page + l->payload);
	clear(page, parts.k_end, parts.v);
	clear(page, parts.v_end, ABI_FLAGS_UNITS(p->flags) * ABI_UNIT - l->section);
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

static bool numbers_are_finite(const struct clkv__codec_page *p, const unsigned char *page,
                               const struct parts *parts, float scale[2])
{
	const struct clkv__codec_layout *l = p->layout;
	uint32_t units = k_units(p), block = (uint32_t)p->block;
	bool k_half = ABI_FLAGS_K(p->flags) == ABI_TABLE_HALF,
		 v_half = ABI_FLAGS_V(p->flags) == ABI_TABLE_HALF;
	return largest_scale(page, units, &scale[0]) &&
	       largest_scale(page + l->v_params, block, &scale[1]) &&
	       clkv__halves_finite(page + 2 * units, units) &&
	       clkv__halves_finite(page + l->v_params + 2 * block, block) &&
	       clkv__halves_finite(page + l->payload, (parts->k - l->payload) / 2) &&
	       (!k_half || clkv__halves_finite(page + parts->k, (parts->k_end - parts->k) / 2)) &&
	       (!v_half || clkv__halves_finite(page + parts->v, (parts->v_end - parts->v) / 2));
}

const char *clkv__bounded_check(const struct clkv__codec_page *p, const unsigned char *bytes,
                                float scale[2])
{
	const unsigned char *page = bytes + p->layout->section;
	struct parts parts;
	if (p->flags & ABI_FLAG_EXACT && (p->pos > 0 || p->layout->exact_bytes == 0))
		return "it has exact tokens";
	if (!find(p, page, &parts))
		return "its codes don't fit its size";
	if (!numbers_are_finite(p, page, &parts, scale))
		return "a scale, minimum or value isn't finite";
	return NULL;
}
