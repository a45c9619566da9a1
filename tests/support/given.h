/* SPDX-License-Identifier: MIT */
/**
 * \file    given.h
 * \brief   Remembers what a stream was given, whatever the values, and checks error-bounded codes of it.
 *
 * feed.h makes rows again from their numbers; these tests change the distribution from step to step,
 * so they keep the rows themselves.
 */
#ifndef TEST_GIVEN_H
#define TEST_GIVEN_H

#include "../ref/ref_bounded.h"
#include "../ref/ref_seal.h"
#include "feed.h"

/** Values of [0, 1): uniform; nearly all next to 0; the mirror image of that, next to 1. */
double given_uniform(uint64_t row, int layer, enum feed_side side, size_t head, size_t d);
double given_low(uint64_t row, int layer, enum feed_side side, size_t head, size_t d);
double given_high(uint64_t row, int layer, enum feed_side side, size_t head, size_t d);

/** What a recipe asks for; sinks are 0, a prompt is sealed as it comes. */
struct given_codec {
	struct ref_bounded k, v;
	size_t
		exact; /**< first tokens of a sequence that its first block keeps in half: they enter no range */
	size_t window, block;
};

/** 11 and 16 symbols on each side, and what that means. */
#define GIVEN_11 "kvcomp:rel_k=0.1,rel_v=0.1,exact=0"
#define GIVEN_16 "kvcomp:rel_k=0.0667,rel_v=0.0667,exact=0"
extern const struct given_codec given_11, given_16;

struct given {
	struct given_codec codec;
	struct ref_seal seal;
	double *rows[FEED_LAYERS][2]; /**< [tokens][heads][dim] as stored, of K and V */
};

/** Figures of all sealed blocks of a stream. */
struct given_sealed {
	uint64_t tokens;
	uint64_t values;    /**< of both sides, layers and heads */
	uint64_t in_half;   /**< of these, exact tokens' values and those whose side stays in half */
	double step[2];     /**< largest s of K and of V */
	double step_low[2]; /**< the same where single precision may cut s a step lower */
};

/** What Huffman's words of the sealed blocks take, with one table per layer and side from all of them. */
struct given_sizes {
	double bits[2]; /**< mean word of K and of V, with the table of the own layer */
	double least,
		most; /**< bytes of all pages, each side of a block with its cheapest table: K's words
	                         padded to nothing, or to 16 bytes; pages to 64 bytes */
};

void given_open(struct given *g, const struct given_codec *codec);
void given_close(struct given *g);

/** Remembers the step's rows of all layers, as feed makes them now: between feed_begin and feed_kept. */
void given_rows(struct given *g, const struct feed *feed, const struct stream *stream, size_t n);
/** Applies the sealing rule after the commit and compares the stream's figures with it. */
void given_kept(struct given *g, const struct stream *stream, size_t n, clkv_phase phase);

/** feed_one with value as the distribution, and both of the above. */
void given_feed(struct given *g, struct feed *feed, struct stream *stream, feed_value value,
                size_t n, clkv_phase phase, uint64_t seed);

/** Checks every value of the stream: the promise, and that it's the decoded code of the reference. */
struct given_sealed given_check(const struct given *g, const struct feed *feed,
                                const struct stream *stream);

/** The reference's sizes; no word is longer than longest bits. Whole blocks without
 *  exact tokens only. */
struct given_sizes given_sizes(const struct given *g, const struct feed *feed, int longest,
                               size_t lane_codes);

#endif
