/* SPDX-License-Identifier: MIT */
/** \file sizes_select.h \brief The arithmetic of what selection keeps and works with. */
#ifndef CLKV__SIZES_SELECT_H
#define CLKV__SIZES_SELECT_H

#include "store/sizes.h"

/** Seal jobs whose tokens are gathered at a time. */
enum { CLKV__STAGED_JOBS = 8 };

/** Blocks that hold so many kept tokens of one head, at most: the least, and some that dropped tokens leave half empty
 *  before it pays to gather the others anew. */
static inline uint32_t clkv__kept_blocks(uint32_t tokens, uint32_t block)
{
	uint32_t least = (tokens + block - 1) / block;
	return least + (least / 4 > 2 ? least / 4 : 2);
}

/** Slots of the longest sequence that the options allow. */
struct clkv__quota clkv__sizes_quota(const struct clkv__plan *plan, const struct clkv__sizes *s);

/** Entries of a head's kept tokens, at most: of a number of slots these and what a choice leaves half empty, however long the
 *  text; else as many as a table has. Once tables are sized. */
uint32_t clkv__sizes_entries(const struct clkv__shape *shape, const struct clkv__plan *plan,
                             const struct clkv__sizes *s);

/** Sets sealed_slots of a cache that selects; before tables are sized. */
void clkv__sizes_kept(const struct clkv__shape *shape, const struct clkv__plan *plan,
                      struct clkv__sizes *s);

/** Places, staged blocks, work space; once tables are sized. */
void clkv__sizes_selection(const struct clkv__shape *shape, const struct clkv__plan *plan,
                           const struct clkv__cut *cut, struct clkv__sizes *s);

/** Device bytes of all work buffers. */
uint64_t clkv__sizes_select_scratch(const struct clkv__shape *shape, const struct clkv__sizes *s);

#endif
