/* SPDX-License-Identifier: MIT */
/** \file snapshot_codec.c \brief Sealed pages by codec; those of the affine codec, which have one size. */
#include "snapshot/snapshot_codec.h"
#include "base/halves.h"

#include "snapshot/snapshot_bounded.h"

#include <string.h>

/* Pages have their own size, which their flags say. */
static bool is_sized(const clkv_cache *cache)
{
	return cache->sizes.sized;
}

static bool is_bounded(const clkv_cache *cache)
{
	return cache->plan.sealing.codec == &clkv__codec_bounded;
}

size_t clkv__page_room(const clkv_cache *cache)
{
	return (size_t)cache->sizes.sealed_units * ABI_UNIT;
}

static const struct clkv__variant *head_of(const clkv_cache *cache,
                                           const struct clkv__record *record)
{
	return clkv__cache_head(cache, (int)record->layer, (int)record->head);
}

uint32_t clkv__page_bytes(const clkv_cache *cache, const struct clkv__record *record)
{
	const struct clkv__codec_layout *l = &head_of(cache, record)->layout;
	uint32_t units = ABI_FLAGS_UNITS(record->flags), bytes = units * ABI_UNIT;
	if (is_sized(cache))
		return units <= l->units && bytes >= l->section ? bytes : 0;
	return record->flags == 0 ? l->units * ABI_UNIT : 0;
}

/* Where what was written of a page ends: everything before it is, for absent tokens too. */
static uint32_t affine_end(const clkv_cache *cache, const struct clkv__variant *head,
                           const unsigned char *page, uint32_t *k_values)
{
	const struct clkv__codec_layout *l = &head->layout;
	uint32_t bits = (uint32_t)head->spec.affine.v.bits, cols = (uint32_t)l->kept.v_cols;
	uint32_t block = (uint32_t)cache->plan.general.block;
	*k_values = l->v_params;
	if (!l->sized)
		return l->section + l->v_codes + cols * block * bits / 8;
	return l->section + l->k_codes +
	       clkv__prune_grouped_bytes(&head->prune, &cache->shape, (int)block, page, k_values);
}

static void affine_tidy(const clkv_cache *cache, const struct clkv__variant *head,
                        const struct clkv__record *record, unsigned char *page)
{
	uint32_t values, end = affine_end(cache, head, page, &values);
	uint32_t all = clkv__page_bytes(cache, record);
	if (end < all)
		memset(page + end, 0, all - end);
}

void clkv__page_tidy(const clkv_cache *cache, const struct clkv__record *record,
                     unsigned char *page)
{
	const struct clkv__variant *head = head_of(cache, record);
	clkv__prune_tidy(&head->prune, &cache->shape, cache->plan.general.block, page);
	if (is_bounded(cache))
		clkv__bounded_tidy(cache, head, record, page + head->layout.section);
	else
		affine_tidy(cache, head, record, page);
}

/* Any code is a number; scales, minimums and values in half must be numbers too. */
static clkv_status affine_check(const clkv_cache *cache, const struct clkv__variant *head,
                                const struct clkv__snapshot_in *in, const unsigned char *page,
                                const struct clkv__record *record, clkv_error *error)
{
	const struct clkv__codec_layout *l = &head->layout;
	bool k_half = head->spec.affine.k.bits == 16, v_half = head->spec.affine.v.bits == 16;
	uint32_t values, end = affine_end(cache, head, page, &values), all = record->bytes;
	if (end > all || (l->sized && all - end >= ABI_UNIT))
		return clkv__snapshot_damaged(in, error, "its masks don't fit its size");
	page += l->section;
	uint32_t k = k_half ? l->v_params : l->k_codes;
	uint32_t v_end = l->sized ? l->k_codes : all - l->section, v = v_half ? v_end : l->v_codes;
	bool finite = clkv__halves_finite(page, k / 2) &&
	              clkv__halves_finite(page + l->v_params, (v - l->v_params) / 2) &&
	              (!l->sized || clkv__halves_finite(page + l->k_codes, values / 2));
	if (!finite)
		return clkv__snapshot_damaged(in, error, "a scale, minimum or value isn't finite");
	return CLKV_OK;
}

clkv_status clkv__page_check(struct clkv__codec_section *section,
                             const struct clkv__snapshot_in *in, const unsigned char *page,
                             struct clkv__record *record, clkv_error *error)
{
	const clkv_cache *cache = section->cache;
	const struct clkv__variant *head = head_of(cache, record);
	const char *wrong =
		clkv__prune_check(&head->prune, &cache->shape, cache->plan.general.block, page);
	if (wrong)
		return clkv__snapshot_damaged(in, error, "%s", wrong);
	if (is_bounded(cache))
		return clkv__bounded_check(section, head, in, page + head->layout.section, record, error);
	return affine_check(cache, head, in, page, record, error);
}

uint32_t clkv__page_take(clkv_cache *cache, const struct clkv__record *record)
{
	uint32_t flags = record->flags;
	uint32_t units =
		is_sized(cache) ? ABI_FLAGS_UNITS(flags) : head_of(cache, record)->layout.units;
	uint32_t address = clkv__sealed_take(&cache->pool, (int)record->layer, units);
	if (address != CLKV__NO_SLOT)
		clkv__code_tables_use(&cache->code_tables, flags);
	return address;
}
