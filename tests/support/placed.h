/* SPDX-License-Identifier: MIT */
/**
 * \file    placed.h
 * \brief   A cache that keeps its sealed blocks in host memory, fed beside one without the stage.
 *
 * Mapped or copied, attention reads the same rows in the same order: the same bits. Where the host attends, only the order
 * of sums differs.
 */
#ifndef TEST_PLACED_H
#define TEST_PLACED_H

#include "feed.h"

/* 3 query heads share a KV head, each recalls 64 tokens: a list has at most 192. */
#define PLACED_CLUSTERS "clusterkv:recall=64,per=8,every=128"
#define PLACED_GENERAL " ; window=32,sinks=5"
/** Tokens of a list; KV heads of feed_usual; bytes of a block of one of them. */
enum { PLACED_LISTED = 192, PLACED_STREAMS = 2, PLACED_BLOCK = 64 * (64 + 64) * 2 };

enum { PLACED_CASES = 12 };
struct placed_case {
	const char *recall, *place, *general;
	bool sums; /**< attention isn't the same to the bit */
};
extern const struct placed_case placed_cases[PLACED_CASES];

enum { HERE, THERE, BOTH, MOST_STREAMS = 4 };

/** The same streams in a cache without the stage and in one with it. */
struct placed {
	struct feed feed[BOTH]; /**< softcap and rope of their geometries, and values, are set before */
	struct stream stream[MOST_STREAMS][BOTH];
	double limit; /**< of the relative difference; 0: the same bits */
};

/** Both caches of a case, of so many layers of feed_usual. */
void placed_open(struct placed *p, clkv_context *context, cl_command_queue queue, int layers,
                 int which, const clkv_cache_options *options);
void placed_close(struct placed *p);
void placed_stream(struct placed *p, int s);
void placed_fork(struct placed *p, int from, int to);
void placed_truncate(struct placed *p, int s, size_t n);

/** Steps of both, whose results are compared. items[i].stream is p->stream[..][HERE]; the other cache's is behind it. */
void placed_step(struct placed *p, struct feed_item *items, size_t n);
void placed_one(struct placed *p, int s, size_t n, clkv_phase phase, uint64_t seed);
/** In steps of 300 tokens at most; one by one. */
void placed_prompt(struct placed *p, int s, size_t n, uint64_t seed);
void placed_decode(struct placed *p, int s, size_t n, uint64_t seed);

/** Both hold the same rows, bit by bit. */
void placed_same_rows(const struct placed *p, int s);

#endif
