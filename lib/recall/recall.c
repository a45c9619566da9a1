/* SPDX-License-Identifier: MIT */
/** \file recall.c \brief The arithmetic of indexes: units, bytes, macros. */
#include "recall/recall.h"

/* Keys of which an entry of a codebook is made, at least: with fewer it is the keys themselves (A2ATS's note). */
enum { KEYS_OF_CODE = 4 };

static uint64_t align_up(uint64_t n, uint64_t to)
{
	return (n + to - 1) / to * to;
}

static uint32_t to_units(uint64_t bytes)
{
	return (uint32_t)(align_up(bytes, ABI_UNIT) / ABI_UNIT);
}

static bool has_members(const struct clkv__recall *r)
{
	return clkv__index_kind_of(r)->members;
}

static bool has_book(const struct clkv__recall *r)
{
	return clkv__index_kind_of(r)->book;
}

/* Bytes of what stands for a unit in its segment. */
static uint64_t rep_bytes(const struct clkv__recall *r, const struct clkv__shape *shape)
{
	return 2 * (uint64_t)clkv__index_kind_of(r)->vectors * (uint64_t)shape->dk;
}

uint32_t clkv__recall_first(const struct clkv__recall *r)
{
	int trained = has_book(r) && !r->given ? KEYS_OF_CODE * r->codes : 0;
	return (uint32_t)(trained > r->every ? trained : r->every);
}

uint32_t clkv__recall_parts(const struct clkv__recall *r, uint32_t n)
{
	uint32_t most = (uint32_t)r->most;
	return n == 0 ? 0 : (n + most - 1) / most;
}

uint32_t clkv__recall_part(uint32_t n, uint32_t block, uint32_t parts, uint32_t i)
{
	uint32_t blocks = (n + block - 1) / block;
	uint32_t from = (uint32_t)((uint64_t)blocks * i / parts) * block;
	uint32_t to = (uint32_t)((uint64_t)blocks * (i + 1) / parts) * block;
	return (to < n ? to : n) - from;
}

uint32_t clkv__recall_units(const struct clkv__recall *r, uint32_t n)
{
	return clkv__index_kind_of(r)->units(r, n);
}

uint32_t clkv__recall_places(const struct clkv__recall *r, uint32_t n)
{
	return (uint32_t)align_up(clkv__recall_units(r, n), ABI_TILE);
}

uint64_t clkv__recall_places_most(const struct clkv__recall *r, uint64_t n, uint64_t segments)
{
	if (has_book(r))
		return segments * clkv__recall_places(r, 1);
	return n / (uint64_t)r->per + segments * ABI_TILE;
}

uint32_t clkv__recall_index(const struct clkv__recall *r, const struct clkv__shape *shape,
                            uint32_t n)
{
	uint64_t places = clkv__recall_places(r, n);
	uint64_t lists = has_members(r) ? 2 * (places + n) : 0;
	return to_units(places * rep_bytes(r, shape) + lists);
}

uint64_t clkv__recall_index_most(const struct clkv__recall *r, const struct clkv__shape *shape,
                                 uint64_t n, uint64_t segments)
{
	/* of a token; of a segment, whose last tile may hold one unit and whose end is rounded up */
	uint64_t unit = rep_bytes(r, shape) + (has_members(r) ? 2 : 0);
	uint64_t units = has_book(r) ? 0 : n / (uint64_t)(r->per > 0 ? r->per : 1);
	uint64_t more = has_book(r) ? align_up((uint64_t)r->codes, ABI_TILE) : ABI_TILE;
	uint64_t bytes =
		units * unit + (has_members(r) ? 2 * n : 0) + segments * (more * unit + ABI_UNIT);
	return unit == 0 ? 0 : bytes / ABI_UNIT + 1;
}

uint32_t clkv__recall_book(const struct clkv__recall *r, const struct clkv__shape *shape)
{
	if (!has_book(r))
		return 0;
	return to_units(align_up((uint64_t)r->codes, ABI_TILE) * 2 * (uint64_t)shape->dk);
}

uint64_t clkv__recall_build(const struct clkv__recall *r, const struct clkv__shape *shape)
{
	uint64_t n = align_up((uint64_t)r->most, ABI_POINTS);
	uint64_t c = has_members(r) ? align_up(clkv__recall_units(r, (uint32_t)r->most), ABI_NEAR) : 0;
	if (!clkv__index_kind_of(r)->build.file)
		return 0;
	return align_up(ABI_BUILD_BYTES(n, c, (uint64_t)shape->dk), ABI_UNIT);
}

uint64_t clkv__recall_probes(const struct clkv__recall *r, const struct clkv__shape *shape,
                             uint64_t rows)
{
	return r->probe ? rows * (uint64_t)shape->q_heads * (uint64_t)(shape->dk + 1) * 4 : 0;
}

uint64_t clkv__recall_budgets(const struct clkv__recall *r, uint64_t rows)
{
	return r->entropy ? rows * 3 * 4 : 0;
}

uint32_t clkv__recall_listed(const struct clkv__recall *r, const struct clkv__shape *shape)
{
	return (uint32_t)r->budget * (uint32_t)(r->entropy ? 2 : 1) *
	       (uint32_t)(r->grouped ? 1 : shape->g);
}

void clkv__recall_macros(const struct clkv__recall *r, const struct clkv__shape *shape,
                         clkv__macros *m)
{
	clkv__macros_int(m, "INDEX", r->kind);
	clkv__macros_int(m, "GROUPED_CHOICE", r->grouped);
	clkv__macros_int(m, "PROBED", r->probe);
	clkv__macros_int(m, "LAYER_BUDGETS", r->entropy);
	if (clkv__index_kind_of(r)->macros)
		clkv__index_kind_of(r)->macros(r, m);
	if (has_book(r))
		clkv__macros_int(m, "BOOK_HALVES", (int)(clkv__recall_book(r, shape) * ABI_UNIT / 2));
	if (r->distance > 0)
		clkv__macros_int(m, "DISTANCE", r->distance);
	if (r->observe > 0)
		clkv__macros_int(m, "OBSERVE", r->observe);
}
