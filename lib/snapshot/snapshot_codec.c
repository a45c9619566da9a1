/* SPDX-License-Identifier: MIT */
/** \file snapshot_codec.c \brief Sealed pages by codec; those of the affine codec, which have one size. */
#include "snapshot/snapshot_codec.h"

#include "snapshot/snapshot_bounded.h"

#include <string.h>

static bool is_bounded(const clkv_cache *cache)
{
	return cache->plan.sealing.codec == &clkv__codec_bounded;
}

size_t clkv__page_room(const clkv_cache *cache)
{
	return (size_t)cache->sizes.sealed_units * ABI_UNIT;
}

uint32_t clkv__page_bytes(const clkv_cache *cache, uint32_t flags)
{
	uint32_t most = cache->sizes.sealed_units, units = ABI_FLAGS_UNITS(flags);
	if (is_bounded(cache))
		return units <= most ? units * ABI_UNIT : 0;
	return flags == 0 ? most * ABI_UNIT : 0;
}

/* Only the end of the page is nobody's: everything before it is written, for absent tokens too. */
static void affine_tidy(const clkv_cache *cache, unsigned char *page)
{
	const struct clkv__variant *sealing = &cache->plan.sealing;
	uint32_t bits = (uint32_t)sealing->spec.affine.v.bits;
	uint32_t block = (uint32_t)cache->plan.general.block;
	uint32_t end = sealing->layout.v_codes + (uint32_t)cache->shape.dv * block * bits / 8;
	memset(page + end, 0, cache->sizes.sealed_units * ABI_UNIT - end);
}

void clkv__page_tidy(const clkv_cache *cache, uint32_t flags, uint32_t count, unsigned char *page)
{
	if (is_bounded(cache))
		clkv__bounded_tidy(cache, flags, count, page);
	else
		affine_tidy(cache, page);
}

/* Any code is a number; scales, minimums and values in half must be numbers too. */
static clkv_status affine_check(const clkv_cache *cache, const struct clkv__snapshot_in *in,
                                const unsigned char *page, clkv_error *error)
{
	const struct clkv__variant *sealing = &cache->plan.sealing;
	const struct clkv__codec_layout *l = &sealing->layout;
	bool k_half = sealing->spec.affine.k.bits == 16, v_half = sealing->spec.affine.v.bits == 16;
	uint32_t end = cache->sizes.sealed_units * ABI_UNIT;
	uint32_t k = k_half ? l->v_params : l->k_codes, v = v_half ? end : l->v_codes;
	if (!clkv__halves_finite(page, k / 2) ||
	    !clkv__halves_finite(page + l->v_params, (v - l->v_params) / 2))
		return clkv__snapshot_damaged(in, error, "a scale, minimum or value isn't finite");
	return CLKV_OK;
}

clkv_status clkv__page_check(struct clkv__codec_section *section,
                             const struct clkv__snapshot_in *in, const unsigned char *page,
                             struct clkv__record *record, clkv_error *error)
{
	if (is_bounded(section->cache))
		return clkv__bounded_check(section, in, page, record, error);
	return affine_check(section->cache, in, page, error);
}

uint32_t clkv__page_take(clkv_cache *cache, int layer, uint32_t flags)
{
	uint32_t units = is_bounded(cache) ? ABI_FLAGS_UNITS(flags) : cache->sizes.sealed_units;
	uint32_t address = clkv__sealed_take(&cache->pool, layer, units);
	if (address != CLKV__NO_SLOT)
		clkv__code_tables_use(&cache->code_tables, flags);
	return address;
}
