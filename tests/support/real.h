/* SPDX-License-Identifier: MIT */
/**
 * \file    real.h
 * \brief   Keys, values and queries of a real model, as rows of feeds, and the error of what attends to them.
 *
 * 1,024 tokens of two texts, 3 layers, 9 query heads on 3 key heads of 64 channels. The last 64 tokens have queries, and
 * the last 8 of these an exact output.
 */
#ifndef TEST_REAL_H
#define TEST_REAL_H

#include "data.h"
#include "feed.h"

#include <check.h>

#define REAL_LAYERS 3
#define REAL_HEADS 9
#define REAL_STREAMS 3
#define REAL_DIM 64
#define REAL_TOKENS 1024
#define REAL_ASKED 8
#define REAL_QUERIES 64
#define REAL_TEXTS 2

extern const char *const real_texts[REAL_TEXTS];

/** Seeds of rows: the text; tokens of it that come again, at their places; tokens behind it, which are those of its
 *  beginning with any query. */
enum real_seed { REAL_PROMPT, REAL_AGAIN, REAL_MORE, REAL_SEEDS };

struct real_row {
	uint64_t row;
	size_t token;
	enum real_seed seed;
};

/** The text that is open. k, v [layers][streams][tokens][dim], q [layers][heads][queries][dim], out
 *  [layers][heads][asked][dim], lse [layers][heads][asked]. */
struct real {
	struct npy k, v, q, out, lse;
	struct real_row rows[REAL_SEEDS * REAL_TOKENS]; /**< sorted by number */
};
extern struct real real;

void real_open(int text);
void real_close(void);

/** What a row's number stands for. */
const struct real_row *real_find(uint64_t row);
/** The value of a feed. */
double real_value(uint64_t row, int layer, enum feed_side side, size_t head, size_t d);
clkv_geometry real_geometry(void);

/** Cuts the text's last 8 tokens off and feeds them again as rows with a seed, whose queries attend causally: mean over
 *  layers, heads and queries of ||o - exact|| / ||exact||. */
double real_error(struct feed *feed, struct stream *stream, enum real_seed seed);

/** An error is, relatively, within `limit` of the one it's compared with. */
void real_expect(const char *recipe, int text, double error, double expected, double limit);

/** Runs the suite in one process; the value of main: 77, with a word, where there is no data. */
int real_run(Suite *suite);

#endif
