/* SPDX-License-Identifier: MIT */
/**
 * \file    life.h
 * \brief   Every way to a sealed block and on from one, that suites of the same kind of cache lead their sequences.
 *
 * A prompt in two parts with a short last block; rows behind it; a fork, queries of which a block sees some that both
 * have asked, some of its own; blocks that two sequences seal in one step; a cut inside a block and growth behind it; a
 * file, read by another cache; a prompt shorter than a block.
 */
#ifndef TEST_LIFE_H
#define TEST_LIFE_H

#include "../ref/ref_seal.h"
#include "feed.h"

enum life_stream { LIFE_A, LIFE_B, LIFE_LOADED, LIFE_SMALL, LIFE_STREAMS };

/** Most tokens of a stream. */
#define LIFE_TOKENS 506

struct life {
	struct feed feed,
		other; /**< geometry and values of feed are set before; other's cache reads the file */
	size_t window,
		block; /**< of the recipe, which has no sinks and seals at a prompt's end; 0: nothing is sealed */
	double
		limit; /**< of attention's relative error against that over what is read; 0: isn't compared */
	/* What the suite does when a stream took a step of n rows, began as a copy, was cut, is to be compared. Each may be
	 * NULL. */
	void (*stepped)(struct life *l, enum life_stream s, size_t n, clkv_phase phase);
	void (*copied)(struct life *l, enum life_stream from, enum life_stream to);
	void (*cut)(struct life *l, enum life_stream s, size_t n);
	void (*check)(struct life *l, enum life_stream s);
	struct stream streams[LIFE_STREAMS];
	struct ref_seal seal[LIFE_STREAMS];
};

/** The feed whose cache holds a stream. */
struct feed *life_feed(struct life *l, enum life_stream s);

/** Creates two caches and leads the streams through all of it. Checks besides what the hooks do: attention, when blocks
 *  are sealed, that a file brings back the same bits, that no value is broken if the recipe verifies them. */
void life_lead(struct life *l, clkv_context *context, cl_command_queue queue, const char *recipe);
void life_close(struct life *l);

#endif
