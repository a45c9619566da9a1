/* SPDX-License-Identifier: MIT */
/**
 * \file    step_plan.c
 * \brief   Cuts a step into work-groups: once per step, used by all layers.
 *
 * Each query tile of an item walks all blocks of its sequence in as many splits as it takes to fill the
 * device: a split is `blocks_per_split` blocks, the same number for all items, so that work is even
 * whatever the lengths are.
 */
#include "base/checked.h"
#include "step/step.h"
#include "store/cache.h"

/* Whether the rows of an item recall: those of generation, once there is something to recall. */
static bool recalls(const struct clkv__step_item *item)
{
	return item->phase == CLKV_DECODE && clkv__segments(item->seq) > 0;
}

/* Rows of an item in one tile: 1 in decode, so that a single row wastes no registers, and where each row has a list of
 * its own. */
static uint32_t tile_rows(const clkv_cache *cache, const struct clkv__step_item *item)
{
	uint32_t tile = (uint32_t)cache->cut.tile_rows;
	return item->n_new >= tile && !recalls(item) ? tile : 1;
}

/* Blocks that the last row of an item sees; all its tiles get the same splits. */
static uint32_t blocks_of_item(const clkv_cache *cache, const struct clkv__step_item *item)
{
	const clkv_seq *seq = item->seq;
	uint32_t end = item->length + item->n_new;
	if (seq->kept.selected && cache->plan.general.skip == 0)
		return clkv__selected_blocks(seq, end);
	uint32_t gone = cache->plan.slides > 0 ? seq->tail / (uint32_t)cache->plan.general.block : 0;
	return clkv__blocks_of(cache, end) - gone;
}

static uint32_t n_tiles(const clkv_cache *cache, const struct clkv__step_item *item)
{
	return (uint32_t)clkv__ceil_div(item->n_new, tile_rows(cache, item));
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

/* Partial records of a row of an item; of rows whose recalled tokens the host attends to, one more. */
static uint32_t splits_of(const clkv_cache *cache, const struct clkv__step_item *item, uint32_t per)
{
	uint32_t splits = blocks_of_item(cache, item) / per;
	return (splits ? splits : 1) + (recalls(item) && clkv__host_attends(&cache->plan.place));
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

enum work { SINGLE, TILED, LEFT, RECALLED };

static enum work work_of(const struct clkv_step *step, size_t i)
{
	const struct clkv__step_item *item = &step->items[i];
	return recalls(item)                                             ? RECALLED
	       : tile_rows(step->cache, item) == 1                       ? SINGLE
	       : step->pass.left.n_rows > 0 && i == step->pass.left.item ? LEFT
	                                                                 : TILED;
}

/* Of the items whose rows weigh tokens, and come in tiles, the one that has most leaves its weights. */
static void choose_left(struct clkv_step *step, uint32_t per)
{
	const clkv_cache *cache = step->cache;
	const struct clkv__step_item *best = NULL;
	for (size_t i = 0; i < step->n_items && cache->sizes.left_rows > 0 && !step->probes; i++) {
		const struct clkv__step_item *item = &step->items[i];
		if (clkv__select_by(&cache->plan.select, item->phase) && tile_rows(cache, item) > 1 &&
		    (!best || item->n_new > best->n_new))
			best = item;
	}
	step->pass.left = (struct clkv__left_item){0};
	if (!best)
		return;
	const uint32_t end = best->length + best->n_new, sinks = clkv__sinks(cache, end);
	step->pass.left = (struct clkv__left_item){
		.item = (size_t)(best - step->items),
		.per_tile = splits_of(cache, best, per),
		.row = best->row,
		.n_rows = best->n_new,
		.position = best->length,
		.slab = best->seq->slab,
		.sinks = sinks,
		.tail = best->seq->tail > sinks ? best->seq->tail : sinks,
		.blocks = clkv__selected_blocks(best->seq, end),
	};
}

/* The work records of the items of one kind. */
static uint32_t *put_works(const struct clkv_step *step, uint32_t *w, enum work work, uint32_t per)
{
	for (size_t i = 0; i < step->n_items; i++) {
		const struct clkv__step_item *item = &step->items[i];
		uint32_t tile = tile_rows(step->cache, item);
		if (work_of(step, i) != work)
			continue;
		uint32_t splits = splits_of(step->cache, item, per);
		for (uint32_t row = 0; row < item->n_new; row += tile) {
			uint32_t rest = item->n_new - row;
			w = put_tile(w, (uint32_t)i, row, rest < tile ? rest : tile, splits);
		}
	}
	return w;
}

static void put_items(const struct clkv_step *step, uint32_t *items, uint32_t *rows, uint32_t per)
{
	const clkv_cache *cache = step->cache;
	uint32_t part = 0, ask = 0;
	for (size_t i = 0; i < step->n_items; i++, items += ABI_ITEM_WORDS) {
		const struct clkv__step_item *item = &step->items[i];
		const clkv_seq *seq = item->seq;
		uint32_t sinks = clkv__sinks(cache, item->length + item->n_new);
		items[ABI_ITEM_SLAB] = seq->slab;
		items[ABI_ITEM_CAP] = cache->sizes.cap;
		items[ABI_ITEM_LEN] = item->length;
		items[ABI_ITEM_NEW] = item->n_new;
		items[ABI_ITEM_ROW] = item->row;
		items[ABI_ITEM_TAIL] = seq->tail > sinks ? seq->tail : sinks;
		items[ABI_ITEM_SINKS] = sinks;
		bool passes = step->probes || item->phase == CLKV_REREAD; /* and leaves no query */
		items[ABI_ITEM_SEEN] = passes ? CLKV__NO_SLOT : seq->seen;
		items[ABI_ITEM_BOOK] = seq->book;
		items[ABI_ITEM_GAP] = item->gap;
		items[ABI_ITEM_GAP + 1] = items[ABI_ITEM_GAP + 2] = 0;
		uint32_t splits = splits_of(cache, item, per);
		for (uint32_t r = 0; r < item->n_new; r++, rows += ABI_NEW_WORDS) {
			rows[ABI_NEW_ITEM] = (uint32_t)i;
			rows[ABI_NEW_PART] = part;
			rows[ABI_NEW_SPLITS] = splits;
			rows[ABI_NEW_ASK] = recalls(item) ? ask : 0;
			part += splits;
			if (recalls(item) && step->pass.asks)
				step->pass.asks[ask] = (struct clkv__ask){item->seq, item->row + item->gap + r,
				                                          seq->length + r, part - 1};
			ask += recalls(item);
		}
	}
}

/* Another row of an item recalls, whose splits are so many work records. Again: it can't go with the row before, as both
 * want slots of one sequence. */
static void add_ask(struct clkv_step *step, const clkv_seq *seq, uint32_t ask, uint32_t ask_word,
                    uint32_t work_word, uint32_t splits, bool again)
{
	const clkv_cache *cache = step->cache;
	uint32_t row = clkv__seq_row(seq, cache->shape.layers - 1, 0);
	uint32_t places = clkv__segments_places(seq);
	uint32_t blocks = clkv__tables_get(&cache->tables, row + ABI_ROW_SEALED);
	struct clkv__pass *pass = &step->pass;
	if (pass->n_lists == 0 || again || pass->lists[pass->n_lists - 1].n == cache->sizes.asks)
		pass->lists[pass->n_lists++] = (struct clkv__ask_list){
			.asks = pass->asks ? pass->asks + ask : NULL,
			.first = ask,
			.ask_word = ask_word,
			.works = {work_word, 0},
		};
	struct clkv__ask_list *list = &pass->lists[pass->n_lists - 1];
	list->n++;
	list->places = places > list->places ? places : list->places;
	list->blocks = blocks > list->blocks ? blocks : list->blocks;
	list->works.n += splits;
}

/* The records of rows that recall, and the lists of those that do so in one go. */
static uint32_t *put_asks(struct clkv_step *step, uint32_t *w, const uint32_t *words, uint32_t per)
{
	uint32_t ask = 0, work = step->pass.recall.word;
	step->pass.n_lists = 0;
	for (size_t i = 0; i < step->n_items; i++) {
		const struct clkv__step_item *item = &step->items[i];
		uint32_t splits = splits_of(step->cache, item, per);
		for (uint32_t r = 0; recalls(item) && r < item->n_new; r++, w += ABI_ASK_WORDS) {
			w[ABI_ASK_ITEM] = (uint32_t)i;
			w[ABI_ASK_ROW] = item->row + r;
			add_ask(step, item->seq, ask++, (uint32_t)(w - words), work, splits,
			        r > 0 && step->pass.asks);
			work += splits * ABI_WORK_WORDS;
		}
	}
	return w;
}

static struct clkv__work_list works_between(const uint32_t *words, const uint32_t *from,
                                            const uint32_t *to)
{
	return (struct clkv__work_list){(uint32_t)(from - words),
	                                (uint32_t)(to - from) / ABI_WORK_WORDS};
}

uint32_t clkv__step_plan(struct clkv_step *step, uint32_t *words)
{
	struct clkv__pass *pass = &step->pass;
	uint32_t per = blocks_per_split(step);
	pass->new_word = (uint32_t)step->n_items * ABI_ITEM_WORDS;
	put_items(step, words, words + pass->new_word, per);
	choose_left(step, per);
	uint32_t *single = words + pass->new_word + pass->n_rows * ABI_NEW_WORDS;
	uint32_t *tiled = put_works(step, single, SINGLE, per);
	uint32_t *left = put_works(step, tiled, TILED, per);
	uint32_t *recalled = put_works(step, left, LEFT, per);
	uint32_t *end = put_works(step, recalled, RECALLED, per);
	pass->decode = works_between(words, single, tiled);
	pass->prefill = works_between(words, tiled, left);
	pass->left.works = works_between(words, left, recalled);
	pass->recall = works_between(words, recalled, end);
	return (uint32_t)(put_asks(step, end, words, per) - words);
}
