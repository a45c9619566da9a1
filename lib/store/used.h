/* SPDX-License-Identifier: MIT */
/** \file used.h \brief What a sequence takes of a cache's memory at a length, from the lengths alone. */
#ifndef CLKV__USED_H
#define CLKV__USED_H

#include "store/leaving.h"

/** What one sequence has in use. */
struct clkv__used {
	struct clkv__filling filling; /**< its lengths at last */
	bool exact;                   /**< else blocks and index are the most that they may be */
	uint32_t half;                /**< half blocks of a (layer, KV head) that seals */
	uint32_t entries;             /**< sealed blocks of one */
	uint32_t merged;              /**< half blocks of merged slots of one */
	uint64_t index_units;         /**< of all (layer, KV head) */
};

/** Works out what a sequence has in use whose prompt of n tokens has ended, in steps of max_step_tokens rows; or, not sealed,
 *  one whose tokens all lie in half blocks still. */
struct clkv__used clkv__used_at(const struct clkv__shape *shape, const struct clkv__plan *plan,
                                const struct clkv__sizes *sizes, uint32_t n, bool sealed);

/** The same as bytes, of m sequences that share nothing. */
void clkv__used_bytes(const struct clkv__shape *shape, const struct clkv__plan *plan,
                      const struct clkv__sizes *sizes, const struct clkv__used *one, uint32_t m,
                      clkv_bytes_used *bytes);

#endif
