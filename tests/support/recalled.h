/* SPDX-License-Identifier: MIT */
/**
 * \file    recalled.h
 * \brief   Follows sequences whose sealed tokens are recalled: which segments there are, what each row must attend to.
 *
 * The rule in whole numbers: a commit seals what lies behind sinks and before the window if it's at least `every` tokens
 * (for a sequence's first `first`), and then as many whole times `every`, or all of it at the first prompt's end. What it
 * seals is a segment, or several of `most` tokens at most, in even parts of whole blocks.
 */
#ifndef TEST_RECALLED_H
#define TEST_RECALLED_H

#include "../ref/ref_recall.h"
#include "feed.h"

#define RECALLED_SEGMENTS 24

enum recalled_kind { RECALLED_TOKENS, RECALLED_PAGES, RECALLED_CLUSTERS, RECALLED_CODES };

/** A recipe and what it means. */
struct recalled_case {
	const char *recipe;
	enum recalled_kind kind;
	size_t budget;
	bool grouped;
	size_t page; /**< tokens of one */
	size_t window, sinks, block, every, most;
	size_t first; /**< 0: every */
	bool chunk;   /**< seal=chunk: before a prompt's end, too */
	int skip;
};

/** What a recipe's text says, which names its window and sinks; other keys have their defaults. */
struct recalled_case recalled_case(const char *recipe);

struct recalled_segment {
	size_t from, tokens, kept;
	size_t
		ordinal; /**< of its first token: number of the sealed block times block, and the place in it */
};

/** Of one sequence. */
struct recalled {
	const struct recalled_case *c;
	size_t length, tail, blocks;
	bool partial;
	size_t n;
	struct recalled_segment segments[RECALLED_SEGMENTS];
};

/** Values that are whole quarters, up to 2, and for K and V a whole number is added to each channel: all products and
 *  sums of them are exact in single precision, in any order, so a choice by them is the same on every device; and many
 *  scores are equal. */
double recalled_quarters(uint64_t row, int layer, enum feed_side side, size_t head, size_t d);

void recalled_open(struct recalled *r, const struct recalled_case *c);
/** A cache of the case, of rows in quarters and with lse, a sequence, and r, which follows it. options may be NULL. */
void recalled_start(struct feed *feed, const struct recalled_case *c,
                    const clkv_cache_options *options, struct stream *stream, struct recalled *r);
void recalled_commit(struct recalled *r, size_t n, clkv_phase phase);
void recalled_truncate(struct recalled *r, size_t n);
/** A commit has sealed n tokens, whatever rule says so: they become segments. */
void recalled_seal(struct recalled *r, size_t n);
size_t recalled_sealed(const struct recalled *r);

/** What rows of steps were compared with. */
struct recalled_figures {
	size_t rows, heads; /**< rows that recalled, per layer; choices of their heads */
	size_t left;        /**< choices that left tokens out */
	size_t unsure; /**< choices that rounding may make another way: their rows weren't compared */
	size_t lists;  /**< lists of the device that were compared, token by token */
};

/** feed_step, and every row's output and lse compared with attention over exactly the tokens that it must attend to: by
 *  the bound of bounds.h. r [n_items] follows each item's sequence. figures may be NULL. */
void recalled_step(struct feed *feed, struct feed_item *items, struct recalled *const *r,
                   size_t n_items, struct recalled_figures *figures);
void recalled_one(struct feed *feed, struct stream *stream, struct recalled *r, size_t n,
                  clkv_phase phase, uint64_t seed, struct recalled_figures *figures);

/** A prompt of 311 tokens before the window, one row, drafts of which some are dropped, enough rows for another segment, and
 *  rows again: every choice must leave something out, and most be sure enough to be compared. */
void recalled_grow(struct feed *feed, struct stream *stream, struct recalled *r);
/** Of a case whose scores are exact no choice is unsure. */
void recalled_expect(const struct recalled_figures *f, const struct recalled_case *c);

/** The sealed tokens that a row's heads of one KV head recall, by the index of the device: token gets n positions. q
 *  [q_heads][dk]; k [tokens][kv_heads][dk], keys as they are judged by. False: rounding may choose others, or a
 *  page was cut, whose bounds stay. */
bool recalled_choose(const struct feed *feed, const struct stream *stream, const struct recalled *r,
                     int layer, size_t head, const double *q, const double *k, size_t *token,
                     size_t *n);

/** A segment's index as it lies on the device, of one (layer, KV head). */
struct recalled_index {
	size_t units, tokens, dk;
	double *centroids; /**< [units][dk] */
	size_t *ends;      /**< [units] */
	size_t *members;   /**< [tokens], numbers within the segment */
};

void recalled_index_open(const struct feed *feed, const struct stream *stream, size_t segment,
                         int layer, size_t head, struct recalled_index *index);
void recalled_index_close(struct recalled_index *index);

/** Units of the memory of indexes, and codebooks, that are in use. */
size_t recalled_used(const struct feed *feed);
size_t recalled_books(const struct feed *feed);

#endif
