/* SPDX-License-Identifier: MIT */
/** \file snapshot_codec.c \brief Sealed pages: their bytes, and what their codec says of them. */
#include "snapshot/snapshot_codec.h"
#include "snapshot/snapshot_state.h"

/* Pages have their own size, which their flags say. */
static bool is_sized(const clkv_cache *cache)
{
	return cache->sizes.sized;
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
		return units <= l->units && bytes >= l->section + clkv__plan_state(&cache->plan) ? bytes
		                                                                                 : 0;
	return record->flags == 0 ? l->units * ABI_UNIT : 0;
}

/* What the codec asks of the page of a record, which it knows without the state of its slots. */
static struct clkv__codec_page page_of(const clkv_cache *cache, const struct clkv__record *record,
                                       uint32_t bytes)
{
	const struct clkv__variant *head = head_of(cache, record);
	uint32_t state = clkv__plan_state(&cache->plan), units = ABI_FLAGS_UNITS(record->flags);
	uint32_t less = units > 0 ? state / ABI_UNIT : 0;
	return (struct clkv__codec_page){
		.spec = &head->spec,
		.layout = &head->layout,
		.prune = &head->prune,
		.shape = &cache->shape,
		.block = cache->plan.general.block,
		.pos = record->pos,
		.count = record->count,
		.flags = record->flags - (less << 16),
		.bytes = bytes - state,
	};
}

void clkv__page_tidy(const clkv_cache *cache, const struct clkv__record *record,
                     unsigned char *page)
{
	const struct clkv__variant *head = head_of(cache, record);
	const struct clkv__codec_page p = page_of(cache, record, clkv__page_bytes(cache, record));
	if (clkv__plan_state(&cache->plan) > 0)
		clkv__slots_tidy(&cache->plan, record->count, page);
	page += clkv__plan_state(&cache->plan);
	clkv__prune_tidy(&head->prune, &cache->shape, cache->plan.general.block, page);
	head->codec->tidy(&p, page);
}

clkv_status clkv__page_check(struct clkv__codec_section *section,
                             const struct clkv__snapshot_in *in, const unsigned char *page,
                             struct clkv__record *record, clkv_error *error)
{
	const clkv_cache *cache = section->cache;
	const struct clkv__variant *head = head_of(cache, record);
	const struct clkv__codec_page p = page_of(cache, record, record->bytes);
	page += clkv__plan_state(&cache->plan);
	const char *wrong =
		clkv__prune_check(&head->prune, &cache->shape, cache->plan.general.block, page);
	if (!wrong)
		wrong = head->codec->check(&p, page, section->scale);
	if (wrong)
		return clkv__snapshot_damaged(in, error, is_sized(cache) ? "%s (flags %08x)" : "%s", wrong,
		                              record->flags);
	if (!clkv__section_translate(section, &record->flags))
		return clkv__snapshot_damaged(in, error, "its code table isn't there (flags %08x)",
		                              record->flags);
	return CLKV_OK;
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
