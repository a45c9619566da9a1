/* SPDX-License-Identifier: MIT */
/**
 * \file    step_plan.c
 * \brief   Cuts a step into work-groups: once per step, used by all layers.
 *
 * Each query tile of an item walks all blocks of its sequence in as many splits as it takes to fill the
 * device: a split is `blocks_per_split` blocks, the same number for all items, so that work is even
 * whatever the lengths are.
 */
#include "store/cache.h"

static uint32_t ceil_div(uint32_t a, uint32_t b)
{
	return (a + b - 1) / b;
}

/* Rows of an item in one tile: 1 in decode, so that a single row wastes no registers. */
static uint32_t tile_rows(const clkv_cache *cache, const struct clkv__step_item *item)
{
	uint32_t tile = (uint32_t)cache->cut.tile_rows;
	return item->n_new >= tile ? tile : 1;
}

/* Blocks that the last row of an item sees; all its tiles get the same splits. */
static uint32_t blocks_of_item(const clkv_cache *cache, const struct clkv__step_item *item)
{
	return clkv__blocks_of(cache, item->seq->length + item->n_new);
}

static uint32_t n_tiles(const clkv_cache *cache, const struct clkv__step_item *item)
{
	return ceil_div(item->n_new, tile_rows(cache, item));
}

/* The smallest split that doesn't make more groups than the device wants beyond one per tile. */
static uint32_t blocks_per_split(const struct clkv_step *step)
{
	const clkv_cache *cache = step->cache;
	uint64_t work = 0;
	for (size_t i = 0; i < step->n_items; i++)
		work += (uint64_t)n_tiles(cache, &step->items[i]) * blocks_of_item(cache, &step->items[i]);
	uint32_t groups = cache->cut.target_groups / (uint32_t)cache->shape.streams;
	uint64_t blocks = (work + groups) / (groups + 1);
	return blocks > cache->cut.min_blocks ? (uint32_t)blocks : cache->cut.min_blocks;
}

/* One tile's splits as work records. */
static uint32_t *put_tile(uint32_t *w, uint32_t item, uint32_t row, uint32_t rows, uint32_t splits)
{
	for (uint32_t s = 0; s < splits; s++, w += ABI_WORK_WORDS) {
		w[ABI_WORK_ITEM] = item;
		w[ABI_WORK_ROW] = row;
		w[ABI_WORK_ROWS] = rows;
		w[ABI_WORK_SPLIT] = s | splits << 16;
	}
	return w;
}

/* The work records of the items that have (or have not) single-row tiles. */
static uint32_t *put_works(const struct clkv_step *step, uint32_t *w, bool single, uint32_t per)
{
	for (size_t i = 0; i < step->n_items; i++) {
		const struct clkv__step_item *item = &step->items[i];
		uint32_t tile = tile_rows(step->cache, item);
		if ((tile == 1) != single)
			continue;
		uint32_t splits = blocks_of_item(step->cache, item) / per;
		for (uint32_t row = 0; row < item->n_new; row += tile) {
			uint32_t rest = item->n_new - row;
			w = put_tile(w, (uint32_t)i, row, rest < tile ? rest : tile, splits ? splits : 1);
		}
	}
	return w;
}

static void put_items(const struct clkv_step *step, uint32_t *items, uint32_t *rows, uint32_t per)
{
	const clkv_cache *cache = step->cache;
	uint32_t part = 0;
	for (size_t i = 0; i < step->n_items; i++, items += ABI_ITEM_WORDS) {
		const struct clkv__step_item *item = &step->items[i];
		const clkv_seq *seq = item->seq;
		uint32_t sinks = clkv__sinks(cache, seq->length + item->n_new);
		items[ABI_ITEM_SLAB] = seq->slab;
		items[ABI_ITEM_CAP] = cache->sizes.cap;
		items[ABI_ITEM_LEN] = seq->length;
		items[ABI_ITEM_NEW] = item->n_new;
		items[ABI_ITEM_ROW] = item->row;
		items[ABI_ITEM_TAIL] = seq->tail > sinks ? seq->tail : sinks;
		items[ABI_ITEM_SINKS] = sinks;
		items[ABI_ITEM_SEEN] = seq->seen;
		uint32_t splits = blocks_of_item(cache, item) / per;
		splits = splits ? splits : 1;
		for (uint32_t r = 0; r < item->n_new; r++, rows += ABI_NEW_WORDS) {
			rows[ABI_NEW_ITEM] = (uint32_t)i;
			rows[ABI_NEW_PART] = part;
			rows[ABI_NEW_SPLITS] = splits;
			rows[3] = 0;
			part += splits;
		}
	}
}

uint32_t clkv__step_plan(struct clkv_step *step, uint32_t *words)
{
	uint32_t per = blocks_per_split(step);
	step->new_word = (uint32_t)step->n_items * ABI_ITEM_WORDS;
	uint32_t work = step->new_word + step->n_rows * ABI_NEW_WORDS;
	put_items(step, words, words + step->new_word, per);
	uint32_t *w = words + work;
	uint32_t *middle = put_works(step, w, true, per);
	uint32_t *end = put_works(step, middle, false, per);
	step->decode = (struct clkv__work_list){work, (uint32_t)(middle - w) / ABI_WORK_WORDS};
	step->prefill = (struct clkv__work_list){(uint32_t)(middle - words),
	                                         (uint32_t)(end - middle) / ABI_WORK_WORDS};
	return (uint32_t)(end - words);
}
