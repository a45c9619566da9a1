/* SPDX-License-Identifier: MIT */
/** \file snapshot_codec.c \brief Pages of the affine codec: one size, no section, parameters in half. */
#include "snapshot/snapshot_codec.h"

#include <string.h>

size_t clkv__page_room(const clkv_cache *cache)
{
	return (size_t)cache->sizes.sealed_units * ABI_UNIT;
}

uint32_t clkv__page_bytes(const clkv_cache *cache, uint32_t flags)
{
	return flags == 0 ? cache->sizes.sealed_units * ABI_UNIT : 0;
}

/* Only the end of the page is nobody's: everything before it is written, for absent tokens too. */
void clkv__page_tidy(const clkv_cache *cache, uint32_t flags, unsigned char *page)
{
	const struct clkv__variant *sealing = &cache->plan.sealing;
	uint32_t bits = (uint32_t)sealing->spec.affine.v.bits,
			 block = (uint32_t)cache->plan.general.block;
	uint32_t end = sealing->layout.v_codes + (uint32_t)cache->shape.dv * block * bits / 8;
	memset(page + end, 0, clkv__page_bytes(cache, flags) - end);
}

clkv_status clkv__section_put(const clkv_seq *seq, struct clkv__snapshot_out *out,
                              clkv_error *error)
{
	(void)seq, (void)out, (void)error;
	return CLKV_OK;
}

clkv_status clkv__section_begin(struct clkv__codec_section *section, clkv_cache *cache,
                                struct clkv__snapshot_in *in, clkv_error *error)
{
	(void)in, (void)error;
	*section = (struct clkv__codec_section){.cache = cache};
	return CLKV_OK;
}

void clkv__section_end(struct clkv__codec_section *section)
{
	*section = (struct clkv__codec_section){0};
}

/* Any code is a number; scales, minimums and values in half must be numbers too. */
clkv_status clkv__page_check(const struct clkv__codec_section *section,
                             const struct clkv__snapshot_in *in, const unsigned char *page,
                             uint32_t *flags, clkv_error *error)
{
	const struct clkv__variant *sealing = &section->cache->plan.sealing;
	const struct clkv__codec_layout *l = &sealing->layout;
	bool k_half = sealing->spec.affine.k.bits == 16, v_half = sealing->spec.affine.v.bits == 16;
	uint32_t end = clkv__page_bytes(section->cache, *flags);
	uint32_t k = k_half ? l->v_params : l->k_codes, v = v_half ? end : l->v_codes;
	if (!clkv__halves_finite(page, k / 2) ||
	    !clkv__halves_finite(page + l->v_params, (v - l->v_params) / 2))
		return clkv__snapshot_damaged(in, error, "a scale, minimum or value isn't finite");
	return CLKV_OK;
}

uint32_t clkv__page_take(const struct clkv__codec_section *section, clkv_cache *cache, int layer,
                         uint32_t flags)
{
	(void)section, (void)flags;
	return clkv__slots_take(&cache->pool.layers[layer].sealed);
}
