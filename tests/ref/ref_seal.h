/* SPDX-License-Identifier: MIT */
/**
 * \file    ref_seal.h
 * \brief   Which tokens a sequence holds in encoded blocks: the rule, in whole numbers.
 *
 * Tokens [0, sinks) stay in half. At a commit the oldest `block` tokens behind them become a block as
 * long as at least `window` stay. At the first prompt's end the rest beyond `window` becomes a last,
 * shorter block.
 */
#ifndef REF_SEAL_H
#define REF_SEAL_H

#include <stdbool.h>
#include <stddef.h>

#define REF_SEAL_BLOCKS 256

enum ref_phase { REF_DECODE = 0, REF_PROMPT = 1, REF_PROMPT_END = 2 };

struct ref_seal {
	size_t window, sinks, block;
	bool at_end; /**< seal=prompt: nothing is sealed before the prompt's end */
	size_t length;
	size_t tail; /**< first token behind the sinks that isn't sealed */
	bool ended;  /**< a short block was made */
	size_t n_blocks;
	struct {
		size_t from, count;
	} blocks[REF_SEAL_BLOCKS];
};

void ref_seal_open(struct ref_seal *s, size_t window, size_t sinks, size_t block, bool at_end);
void ref_seal_commit(struct ref_seal *s, size_t n_tokens, enum ref_phase phase);
/** Cuts the sequence to n_tokens, behind the sinks: a block may be cut in two. */
void ref_seal_cut(struct ref_seal *s, size_t n_tokens);
static inline size_t ref_seal_sealed(const struct ref_seal *s)
{
	return s->tail - s->sinks;
}

#endif
