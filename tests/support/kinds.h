/* SPDX-License-Identifier: MIT */
/**
 * \file    kinds.h
 * \brief   A recipe of each kind that sequences treat in a way of their own, and caches that must hold the same bits.
 */
#ifndef TEST_KINDS_H
#define TEST_KINDS_H

#include "feed.h"

struct kind {
	const char *recipe;
	int layers;   /**< of feed_usual */
	size_t rows;  /**< with so many new ones a sequence seals */
	bool selects; /**< tokens: what is kept can be asked for */
	bool moves;   /**< sealed blocks leave the device: no prompt on top of them */
	bool
		weighs; /**< tokens, by the attention of all rows: of rejected ones too, but for what sums round */
	bool looks; /**< at the newest queries of a sequence, which rows that are gone have displaced */
	bool indexes; /**< what it seals, in segments: files hold no index */
};

extern const struct kind kinds[];
extern const int n_kinds;

/** A kind's cache: 6 sequences of 2,000 tokens at most, steps of 700. */
void kind_open(struct feed *feed, const struct kind *kind, clkv_context *context,
               cl_command_queue queue);

/** Outputs of two steps are equal, bit for bit. */
void kind_same_outputs(const struct feed *feed, const struct feed_result *a,
                       const struct feed_result *b, const char *when);

/** So are the tokens of two streams, of the same cache or not: lengths, what is sealed, what each head has kept; where all is
 *  kept, every row. */
void kind_same_streams(const struct kind *kind, const struct feed *feed_a, const struct stream *a,
                       const struct feed *feed_b, const struct stream *b, const char *when);

#endif
