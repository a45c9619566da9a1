/* SPDX-License-Identifier: MIT */
/** \file launch_select.h \brief The launches of a commit that selects tokens. */
#ifndef CLKV__LAUNCH_SELECT_H
#define CLKV__LAUNCH_SELECT_H

#include "attend/kernels.h"
#include "store/cache.h"

/** What leaves the window of a sequence, seen as it was before the commit. */
struct clkv__leaving {
	clkv_seq *seq;        /**< no launch looks at it */
	uint32_t slab, open;  /**< its tables; entries of merged slots */
	uint32_t sinks, tail; /**< as in the step's plan */
	uint32_t from, n;     /**< tokens that leave the window; n may be 0 */
	uint32_t end;         /**< tokens of the sequence behind this commit */
	uint32_t blocks;      /**< of the view of the head that has most */
};

/** Rows of queries by which tokens are scored. */
struct clkv__scoring {
	cl_mem queries;
	uint32_t many;       /**< rows that lie there */
	uint32_t first, n;   /**< which of them, modulo many */
	uint32_t position;   /**< of the first of them */
	uint32_t byte_units; /**< where they begin in queries */
};

/** Jobs whose tokens are gathered, and seen as these. */
struct clkv__gathering {
	const struct clkv__leaving *leaving;
	uint32_t n_jobs;
};

/** Scores of all tokens by these rows, in `scores`. */
clkv_status clkv__launch_score_rows(clkv_cache *cache, struct clkv__chain *chain,
                                    const struct clkv__leaving *leaving,
                                    const struct clkv__scoring *scoring, clkv_error *error);

/** Candidates with their scores, pooled and averaged as the recipe wants. */
clkv_status clkv__launch_candidates(clkv_cache *cache, struct clkv__chain *chain,
                                    const struct clkv__leaving *leaving, clkv_error *error);

/** Dropped tokens join merged slots, in new blocks whose addresses are in `spots`. */
clkv_status clkv__launch_merge(clkv_cache *cache, struct clkv__chain *chain,
                               const struct clkv__leaving *leaving, uint32_t merged,
                               uint32_t merged_blocks, clkv_error *error);

/** Kept tokens of the jobs in jobs_mem, in layers that share a buffer, become half blocks; those that stand for a run the
 *  mean of it. */
clkv_status clkv__launch_gather(clkv_cache *cache, struct clkv__chain *chain,
                                const struct clkv__leaving *leaving, uint32_t n_jobs,
                                clkv_error *error);

/** State of the jobs' new blocks. */
clkv_status clkv__launch_states(clkv_cache *cache, struct clkv__chain *chain,
                                const struct clkv__leaving *leaving, uint32_t n_jobs,
                                clkv_error *error);

/** State of a whole sequence, in place: dropped slots, new scores. *done counts the launches that are enqueued: called
 *  again after a failure, it goes on with those that aren't. */
clkv_status clkv__launch_mark(clkv_cache *cache, struct clkv__chain *chain,
                              const struct clkv__leaving *leaving, uint32_t *done,
                              clkv_error *error);

#endif
