/* SPDX-License-Identifier: MIT */
/**
 * \file    every.h
 * \brief   Recipes that together launch every kernel, in shapes as small as they get, and a life that a sequence leads.
 *
 * For tests of all kernels at once: orders of work-groups, checkers of races.
 */
#ifndef TEST_EVERY_H
#define TEST_EVERY_H

#include "feed.h"

struct every_case {
	const char *recipe; /**< of blocks of any size */
	int dk, dv;
	size_t prompt; /**< rows */
	int rope;      /**< by the library, CLKV_ROPE_*, of 24 channels */
	bool more;     /**< launches no kernel that those before don't: a form of one */
};

extern const struct every_case every_cases[];
extern const int every_count;

/** The case's recipe with blocks of so many tokens. */
enum { EVERY_RECIPE = 160 };
void every_recipe(const struct every_case *c, int block, char *text, size_t n);

/** All that a life has given: outputs, log-sum-exps, what is stored at its end. The caller frees data. */
struct every_record {
	unsigned char *data;
	size_t n, room;
};

/** A prompt's end and a few rows of generation: each kernel of the case once. */
void every_short_life(const struct every_case *c, clkv_context *context, cl_command_queue queue,
                      struct every_record *record);

/** A prompt in chunks, generation, batches of mixed phases, drafts rejected, a fork, a cut, a second prompt. */
void every_long_life(const struct every_case *c, clkv_context *context, cl_command_queue queue,
                     struct every_record *record);

/** Parts of attention made one, which no step does. Lives of the first case do it too. */
void every_merge(clkv_context *context, cl_command_queue queue, struct every_record *record);

/** The first file of cl/ whose kernel this process has not launched, or NULL. */
const char *every_missing(void);

#endif
