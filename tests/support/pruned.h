/* SPDX-License-Identifier: MIT */
/**
 * \file    pruned.h
 * \brief   Recipes that prune channels of K, and watches, which know what a cache must hold of a stream.
 */
#ifndef TEST_PRUNED_H
#define TEST_PRUNED_H

#include "../ref/ref_prune.h"
#include "../ref/ref_seal.h"
#include "feed.h"

/* Attention over values that both sides know exactly: only sums in single precision differ. A logit of dk
 * products is off by some sqrt(dk) roundings of A, the largest sum of |q k| (bounds.h): for dk of 128 and A of 10
 * that is 11 * 6e-8 * 10 = 7e-6 at the very most. The strict bound of bounds.h holds beside it. */
#define PRUNED_ATTEND 1e-5
#define PRUNED_ATTEND_CODES 1e-4 /* scales fold: more roundings */
#define MOST_TOKENS 512
#define MOST_WINDOW 256

enum pruned_kind { PRUNED_THINK, PRUNED_SPARK };
enum pruned_codec {
	PRUNED_NONE,
	PRUNED_TOKEN_CODES,
	PRUNED_CHANNEL_CODES,
	PRUNED_CHANNEL_RANGE,
	PRUNED_BLOCK_RANGE
};

struct pruned_shape {
	int q_heads, kv_heads, dk, dv;
};
/** That of feed_usual. */
#define PRUNED_USUAL                                                                               \
	{                                                                                              \
		6, 2, 64, 64                                                                               \
	}

/** Of a table: a recipe, and how many channels of K it leaves a token. */
struct pruned_row {
	const char *recipe;
	size_t kept;
	struct pruned_shape shape;
};

/** A row and what its recipe means. */
struct pruned_case {
	const char *recipe;
	size_t kept;
	struct pruned_shape shape;
	enum pruned_kind kind;
	size_t obs, block;
	enum ref_qagg qagg;
	enum ref_recover recover; /**< of SparK; zeros also for draws, which have no reference */
	bool squared;
	double fill;
	int refine;
	size_t refresh; /**< of ThinK */
	enum pruned_codec codec;
	double step; /**< of codes: 1 / (2^bits - 1), or rel_k */
	size_t group;
	size_t exact; /**< first tokens, which kvcomp keeps whole */
};

/** What a recipe's text says; keys that it doesn't name have their defaults. */
struct pruned_case pruned_case(const struct pruned_row *row);

/** Follows a stream and says what each of its sealed tokens must read as. */
struct watch {
	const struct pruned_case *c;
	const struct feed *feed;
	struct ref_seal seal;
	size_t blocks; /* sealed so far */
	struct {
		size_t tag; /* position + 1 */
		uint64_t row;
	} seen[MOST_WINDOW]; /* the newest queries */
	bool mask[FEED_LAYERS][4][256], mask_sure[FEED_LAYERS][4];
	struct ref_pruned *want[FEED_LAYERS]; /* [token][head][dim] */
	bool sure[FEED_LAYERS][4][MOST_TOKENS];
};

/** Zeros; fails the test if there is no memory. */
void *new_array(size_t n, size_t size);

/** Follows an empty stream of a feed whose cache has the case's recipe. */
void watch_open(struct watch *w, const struct pruned_case *c, const struct feed *feed);
void watch_close(struct watch *w);

/** The stream was forked: `to` follows the fork. */
void watch_fork(const struct watch *from, struct watch *to);

/** Strengths for a group of heads of a sequence that now has `end` tokens. */
void watch_strengths(const struct watch *w, int layer, size_t head, size_t end, double *strength);

/** K of one head as it is stored, [count][dk]; the caller frees it. */
double *watch_stored_k(const struct watch *w, const struct stream *s, int layer, size_t head,
                       size_t from, size_t count);

/** The stream was cut to n tokens. */
void watch_cut(struct watch *w, size_t n);

/** The stream took a step of n rows, which are its newest. */
void watch_step(struct watch *w, const struct stream *s, size_t n, clkv_phase phase);

/** Feeds n rows; the watch follows. */
void watch_feed(struct watch *w, struct feed *feed, struct stream *s, size_t n, clkv_phase phase,
                uint64_t seed);

/** The same, and compares what attention returns with attention over what is read. */
void watch_attend(struct watch *w, struct feed *feed, struct stream *s, size_t n, clkv_phase phase,
                  uint64_t seed);

/** Reads all rows: each must be what the reference says, or in its range. */
void watch_check(const struct watch *w, const struct stream *s);

/** Bytes before the values of a block of so many tokens, whose K of dk channels keeps `kept` for each token: masks, so many
 *  amplitudes for each token, a factor for each channel, a sign for each value that is lacking. */
double pruned_section(double dk, double block, double kept, double amplitudes, bool factors,
                      bool signs);
/** Bytes of a full block's page of one KV head, whose tokens have `values` values of K and V together. */
double pruned_page(double section, double block, double values);

/** Bytes of each `block` tokens: of the pages of all KV heads that seal, and of how many; of those that keep all. */
struct pruned_bytes {
	double block, pages, heads, dense, dense_heads;
};

/** That is the estimate; with `taken` it's also what a cache allocates, and what 256 tokens take in it. */
void pruned_expect_bytes(const clkv_geometry *g, const char *recipe,
                         const struct pruned_bytes *want, bool taken);

/** Two layers of the case's shape. */
struct feed pruned_feed(const struct pruned_case *c);

#endif
