/* SPDX-License-Identifier: MIT */
/**
 * \file    selection.h
 * \brief   What selecting tokens needs beside their blocks: work buffers of a cache, counts of a sequence.
 *
 * cl/select/candidates.clh draws the buffers. Nothing in them outlives a commit but the rows of an open step, and what a commit
 * could not enqueue to its end (step/seal_select.h).
 */
#ifndef CLKV__SELECTION_H
#define CLKV__SELECTION_H

#include "device/context.h"
#include "select/select.h"
#include "store/sizes.h"

/** A cache's work space of selection. */
struct clkv__selection {
	cl_mem
		rows; /**< queries of all rows of the step, or those that are expected; NULL if there are neither */
	cl_mem scores, traces, order, ranks; /**< [layers][streams][places] */
	cl_mem keep, chosen, masses;         /**< the same */
	cl_mem
		sums; /**< log-sums [layers][q_heads][observe], or logits [layers][q_heads][places]; NULL: neither */
	cl_mem weights;         /**< that attention leaves of a launch's rows; NULL: it leaves none */
	cl_mem weighed, peaked; /**< scores and traces by these, of one item of the step; as scores */
	cl_mem found;           /**< [layers][streams][cap + 2] */
	cl_mem quotas;          /**< [layers][streams], of runs [layers][streams][2] */
	cl_mem work;            /**< while tokens join merged slots or runs; NULL without */
	cl_mem spots;           /**< of merged slots; NULL without */
	struct clkv__works *
		works; /**< what an open or the last commit has made of its items: seal_select.h; or NULL */
};

/** What selection has kept of a sequence. */
struct clkv__kept_counts {
	bool selected;            /**< tokens were: something may be gone for good */
	bool shared;              /**< a prompt's slots were shared out: heads go on with their own */
	uint32_t counted;         /**< tokens of which a share is a share: clkv__select_counts() */
	struct clkv__quota quota; /**< of its last selection */
	uint32_t merged_blocks;   /**< entries with which each head's list begins */
	uint32_t entries;         /**< of the head that has most */
	uint32_t *live;           /**< [layers][streams] kept tokens; NULL if the recipe selects none */
	float *similar; /**< [layers][streams] least cosine of a run, 0: none yet; behind live */
};

clkv_status clkv__selection_init(struct clkv__selection *selection, clkv_context *context,
                                 const struct clkv__shape *shape, const struct clkv__plan *plan,
                                 const struct clkv__sizes *sizes, clkv_error *error);
void clkv__selection_free(struct clkv__selection *selection);

#endif
