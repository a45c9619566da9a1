/* SPDX-License-Identifier: MIT */
/** \file seal_index.h \brief The indexes of what a commit seals: made, then entered with its blocks. */
#ifndef CLKV__SEAL_INDEX_H
#define CLKV__SEAL_INDEX_H

#include "store/cache.h"

/** What a sequence gets of a commit. */
struct clkv__indexed {
	uint32_t end; /**< its tokens behind the commit */
	uint32_t n_parts;
	struct clkv__segment *parts;
	uint32_t book; /**< its codebook, new or not */
};

/** Makes the indexes of the n tokens that the sequence seals, while they still lie in half blocks; it has `end` tokens
 *  behind the commit. On failure nothing is held. Errors: POOL_FULL, NO_HOST_MEMORY, OPENCL. */
clkv_status clkv__index_make(clkv_seq *seq, struct clkv__chain *chain, uint32_t from, uint32_t n,
                             uint32_t end, struct clkv__indexed *out, clkv_error *error);

/** Enters them, before the blocks: what they hold belongs to the sequence. notes were reserved. */
void clkv__index_enter(clkv_seq *seq, struct clkv__indexed *indexed);

/** Gives back what was not entered. */
void clkv__index_release(clkv_seq *seq, struct clkv__indexed *indexed);

#endif
