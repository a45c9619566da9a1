/* SPDX-License-Identifier: MIT */
/** \file snapshot_index.h \brief Indexes of a sequence in a file: what a list of segments says, and what it can't. */
#ifndef CLKV__SNAPSHOT_INDEX_H
#define CLKV__SNAPSHOT_INDEX_H

#include "snapshot/snapshot_state.h"

/** Whose codebook: of no sequence yet or of a kind that has none, the sequence's own, one of the cache's options. */
enum { CLKV__BOOK_NONE, CLKV__BOOK_OWN, CLKV__BOOK_GIVEN };

struct clkv__index_segment {
	uint32_t stride, tokens, kept, pos;
};

struct clkv__index_list {
	uint32_t book, n;
	uint64_t number;
	struct clkv__index_segment *segment; /**< [n] */
};

/** Where a segment's ends and members stand in a head's index: behind what stands for its units. */
struct clkv__index_lists {
	uint32_t units, places;
	size_t ends, members, end; /**< bytes; the rest of the last unit is never written */
};

struct clkv__index_lists clkv__index_lists(const struct clkv__state_io *io,
                                           const struct clkv__index_segment *s);

/** Bytes of what an index or a codebook of one head takes. */
static inline size_t clkv__index_head_bytes(uint32_t units)
{
	return (size_t)units * ABI_UNIT;
}

/** The entries of the sealed pages that there are, the same in all rows. */
static inline const uint32_t *clkv__index_entries(const clkv_seq *seq, uint32_t *n)
{
	const clkv_cache *cache = seq->cache;
	const uint32_t *row = &cache->tables.mirror[clkv__seq_row(seq, cache->shape.layers - 1, 0)];
	*n = row[ABI_ROW_SEALED];
	return row + ABI_ROW_ENTRY(0);
}

/** Says what is wrong with a list from outside, or NULL; notes where each segment begins. */
const char *clkv__index_list_doubt(const struct clkv__state_io *io, struct clkv__index_list *list);

/** Says what is wrong with a segment's index in a layer, or NULL. Kernels find tokens by members and ends: these must name each
 *  token of their segment once. bytes [kv_heads][stride * ABI_UNIT]; seen [tokens] is work space. */
const char *clkv__index_layer_doubt(const struct clkv__state_io *io,
                                    const struct clkv__index_segment *s, const unsigned char *bytes,
                                    unsigned char *seen);

#endif
