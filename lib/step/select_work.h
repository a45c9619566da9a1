/* SPDX-License-Identifier: MIT */
/** \file select_work.h \brief One item's selection, from what leaves its window to its new tables. */
#ifndef CLKV__SELECT_WORK_H
#define CLKV__SELECT_WORK_H

#include "attend/launch_select.h"
#include "step/step.h"
#include "store/cache.h"

/** What the tables of one (layer, KV head) will be. */
struct clkv__head_change {
	uint32_t kept;  /**< tokens, all */
	uint32_t stays; /**< entries in front of this one stay, but for those without a kept slot */
	uint32_t first; /**< number of the kept tokens behind them */
	uint32_t blocks;
};

/** One item's selection. */
struct clkv__work {
	clkv_cache *cache;
	struct clkv__chain *chain; /**< of the call that works on it */
	clkv_seq *seq;             /**< until it is entered */
	struct clkv__leaving leaving;
	struct clkv__scoring by;
	struct clkv__quota quota;
	bool unread;          /**< tokens that nobody has judged are among them: all stay */
	bool weighs;          /**< rows of this step weigh tokens, for good */
	bool left;            /**< its rows have done so as they attended */
	bool scores, selects; /**< tokens have scores; some leave the window */
	bool done;            /**< all marks are enqueued; else how many launches of them are */
	uint32_t marked;
	uint32_t n_heads, merged_blocks, most_blocks, counted;
	bool first, ends; /**< nothing was kept before; a prompt ends */
	bool shares;      /**< its slots are shared out */
	uint32_t *found, *quotas, *bounds, *spots, *addresses; /**< [heads][..] */
	struct clkv__head_change *changes;
};

/** Words of one head in `found`: candidates.clh. */
static inline uint32_t clkv__found_words(const clkv_cache *cache)
{
	return cache->sizes.cap + 2;
}

/** Writes how many tokens each head keeps; where a prompt ends, by a rule that looks at more than one head, these are found
 *  first, from the scores. Errors: OPENCL, NO_HOST_MEMORY. */
clkv_status clkv__select_set_quotas(struct clkv__work *w, clkv_error *error);

/** Writes those that were found before. */
clkv_status clkv__select_write_quotas(const struct clkv__work *w, clkv_error *error);

/** Plans each head's tables from what was found. Errors: INTERNAL (more entries than a table holds). */
clkv_status clkv__select_plan(struct clkv__work *w, clkv_error *error);

/** Makes the planned blocks beside those that are there. Errors: POOL_FULL, OPENCL, NO_HOST_MEMORY; blocks that were taken
 *  until then are the caller's to release. */
clkv_status clkv__select_gather(struct clkv__work *w, clkv_error *error);

/** Frees blocks that a selection has taken for nothing. */
void clkv__select_release(struct clkv__work *w);

/** Changes the tables, counts and tail of the item's sequence. Can't fail. */
void clkv__select_enter_item(struct clkv__work *w);

#endif
