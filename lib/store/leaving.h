/* SPDX-License-Identifier: MIT */
/**
 * \file    leaving.h
 * \brief   Which tokens a commit seals, from the lengths of a sequence alone: for commits, for estimates, and for those who
 *          ask why nothing is sealed yet.
 */
#ifndef CLKV__LEAVING_H
#define CLKV__LEAVING_H

#include "store/sizes.h"

/** How far a sequence is filled. */
struct clkv__filling {
	uint32_t length;           /**< tokens */
	uint32_t tail;             /**< those from here on are in half, but for the sinks */
	bool partial;              /**< a sealed block isn't full */
	bool selected;             /**< some tokens were chosen from */
	uint32_t counted;          /**< of how many tokens a budget's share was, if some were */
	uint32_t segments, places; /**< of its index, with units that fill tiles */
};

/** The first token behind the sinks that is in half, of a sequence that gets `end` tokens. */
uint32_t clkv__leaving_first(const struct clkv__plan *plan, const struct clkv__filling *f,
                             uint32_t end);

/** Whether a sequence's list of segments and the scores of its units have room for n tokens more: what was cut from the
 *  middle of a segment goes on taking some. */
bool clkv__leaving_fits(const struct clkv__plan *plan, const struct clkv__sizes *sizes,
                        const struct clkv__filling *f, uint32_t n);

/** Tokens that are sealed when n_new rows are kept, of recipes that select none: these from clkv__leaving_first on. */
uint32_t clkv__leaving_count(const struct clkv__plan *plan, const struct clkv__sizes *sizes,
                             const struct clkv__filling *f, clkv_phase phase, uint32_t n_new);

/** Says of how many tokens a share is a share when the sequence gets `end` tokens. */
uint32_t clkv__leaving_counts(const struct clkv__filling *f, clkv_phase phase, uint32_t end);

/** Tokens that leave the window when n_new rows are kept, and the slots of the budget, of recipes that select. */
uint32_t clkv__leaving_window(const struct clkv__plan *plan, const struct clkv__filling *f,
                              clkv_phase phase, uint32_t n_new, struct clkv__quota *quota);

/** Appends n_new rows to a filling and moves what the commit seals; returns how many that is. Not for recipes that
 *  select. */
uint32_t clkv__leaving_commit(const struct clkv__plan *plan, const struct clkv__sizes *sizes,
                              struct clkv__filling *f, clkv_phase phase, uint32_t n_new);

/** Tells how a sequence that exists is filled. */
struct clkv__filling clkv__filling_of(const clkv_seq *seq);

/** What the tokens in half that are neither sinks nor in the window are waiting for, and the length at which a row of
 *  generation ends the wait; 0: none does. */
clkv_waits clkv__leaving_waits(const struct clkv__plan *plan, const struct clkv__sizes *sizes,
                               const struct clkv__filling *f, uint32_t *seals_at);

#endif
