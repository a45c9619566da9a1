/* SPDX-License-Identifier: MIT */
/**
 * \file    index.h
 * \brief   The indexes by which tokens are recalled: memory of all segments, and each sequence's list of them.
 *
 * A segment is immutable; forks share it. Its index has one address for all layers and KV heads. Cutting a sequence
 * leaves the index as it is and says how many of its tokens are still there. cl/base/abi.clh draws the list's words, which lie
 * behind the rows of the sequence's slab.
 */
#ifndef CLKV__INDEX_H
#define CLKV__INDEX_H

#include "device/queue.h"
#include "store/block_table.h"
#include "store/pages.h"
#include "store/slots.h"

struct clkv__index {
	cl_mem mem, books;           /**< NULL: there are none */
	cl_mem build;                /**< work space while an index is made */
	cl_mem scores, takes, lists; /**< of the rows that recall in one go */
	cl_mem
		probes; /**< of all rows of a step: one query for each query head, then its rows' weights; NULL: there are none */
	cl_mem
		budgets; /**< of these rows: tokens in this layer, then those that are left, and entropies; NULL: there are none */
	struct clkv__pages pages;
	struct clkv__slots book_slots;
	uint32_t given;  /**< the codebook of all sequences, or CLKV__NO_SLOT */
	uint64_t number; /**< what tells it from others: of the file that it came from */
};

/** Device bytes of all indexes and codebooks in use. */
uint64_t clkv__index_used(const struct clkv__index *index);

/** A segment that a commit has made but not entered. */
struct clkv__segment {
	uint32_t address, stride; /**< units of the index; of one (layer, stream) */
	uint32_t tokens;
};

/** Words of a sequence's list that entering n segments changes. */
static inline size_t clkv__segment_notes(size_t n)
{
	return 1 + n * ABI_SEG_WORDS;
}

uint32_t clkv__segments(const clkv_seq *seq);

/** Tokens that may be recalled, and units with those that fill tiles. */
uint32_t clkv__segments_tokens(const clkv_seq *seq);
uint32_t clkv__segments_places(const clkv_seq *seq);

/** Bytes of a sequence's segments and codebooks. */
uint64_t clkv__segments_bytes(const clkv_seq *seq);

/** Room for the index of a segment of so many tokens. Errors: POOL_FULL. */
clkv_status clkv__segment_take(clkv_cache *cache, uint32_t tokens, struct clkv__segment *out,
                               clkv_error *error);
void clkv__segment_release(clkv_cache *cache, const struct clkv__segment *segment);

/** Enters a segment whose first token has this ordinal; notes were reserved. */
void clkv__segment_enter(clkv_seq *seq, const struct clkv__segment *segment, uint32_t first);

/** Takes room for a segment that a file holds, behind those that there are, and enters it: `kept` of its tokens are still there, and
 *  a cut may have left its index larger than its tokens want. address: of the room. Errors: POOL_FULL, NO_HOST_MEMORY. */
clkv_status clkv__segment_restore(clkv_seq *seq, uint32_t stride, uint32_t tokens, uint32_t kept,
                                  uint32_t *address, clkv_error *error);

/** The segments and codebook of from become to's as well; notes were reserved. */
void clkv__segments_share(clkv_seq *to, const clkv_seq *from);

/** Words of a sequence's list that cutting changes, at most. */
#define CLKV__CUT_NOTES 4

/** Tokens at and behind position n go, before their blocks do; notes were reserved. */
void clkv__segments_cut(clkv_seq *seq, uint32_t n);

/** Drops a sequence's hold on all of them. */
void clkv__segments_drop(clkv_seq *seq);

#endif
