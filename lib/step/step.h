/* SPDX-License-Identifier: MIT */
/** \file step.h \brief One forward pass: what begin reserved and what commit will make of it. */
#ifndef CLKV__STEP_H
#define CLKV__STEP_H

#include "codec/code_tables.h"
#include "device/queue.h"
#include "store/pass.h"
#include "store/sizes.h"
#include "store/staging.h"

#include <clkv.h>
#include <stdbool.h>

struct clkv__step_item {
	clkv_seq *seq;
	uint32_t length; /**< tokens before its rows */
	uint32_t n_new, row;
	uint32_t gap; /**< its row r lies at row + gap + r of the caller's tensors, modulo 2^32 */
	clkv_phase phase;
};

enum clkv__layer_state { CLKV__LAYER_NEW, CLKV__LAYER_APPENDED };

/** What a commit has sealed, until it's entered or given back. */
struct clkv__sealing {
	uint32_t n_jobs;
	struct clkv__staging *staging; /**< the jobs with their blocks */
	struct clkv__staging own;      /**< of jobs that go to the device in batches */
	struct clkv__indexed *indexed; /**< of each item; NULL: the recipe has no index */
};

/** Figures that sealing counts, so that a commit that fails counts nothing. */
struct clkv__step_figures {
	struct clkv__code_progress codes;
	uint64_t checked, to_host;
};

struct clkv_step {
	clkv_cache *cache;
	clkv_step *next_band; /**< the same rows in the cache of the next band */
	bool open;
	struct clkv__chain chain;
	bool
		probes; /**< its rows attend and add nothing: each is an item, behind all but the last token */
	struct clkv__step_item *items; /**< [max_step_tokens] */
	size_t n_items;
	struct clkv__pass pass;  /**< what launches are told of it */
	unsigned char *layers;   /**< [layers] enum clkv__layer_state */
	unsigned char *attended; /**< [layers] whether clkv_step_attend was called */
	unsigned char *weighed;  /**< [layers] whether pass.left has weighed its tokens then */
	struct clkv__sealing sealing;
	struct clkv__step_figures before; /**< the commit */
};

/** Rows of an item that commit adds to its sequence, at most. */
static inline uint32_t clkv__item_adds(const struct clkv__step_item *item)
{
	return item->phase == CLKV_REREAD ? 0 : item->n_new;
}

/** Makes the step of a cache: there is one, open or not. Errors: NO_HOST_MEMORY; then it may be there in part. */
clkv_status clkv__step_init(clkv_cache *cache, clkv_error *error);
void clkv__step_free(clkv_cache *cache);

/** Begins the cache's step with an end of a prompt that brings no rows. Errors: as clkv_step_begin. */
clkv_status clkv__step_begin_end(clkv_seq *seq, cl_command_queue queue, clkv_error *error);

/** Fills words with the plan of the step's items, and the pass with where it lies. Returns the words used. */
uint32_t clkv__step_plan(struct clkv_step *step, uint32_t *words);

/** Sends the tables' noted words to the device, behind what the last commit owes to the old ones. No step needs to be
 *  open. */
clkv_status clkv__step_send_tables(clkv_cache *cache, struct clkv__chain *chain, clkv_error *error);

/** Gives back what begin took and restores the tables. The caller holds the mutex. */
void clkv__step_undo(struct clkv_step *step);

/** Frees what begin replaced by copies, once nothing can fail any more and before entries change: they say which code
 *  tables go with a block. The caller holds the mutex. */
void clkv__step_keep(struct clkv_step *step);

/** Ends the open step of one band as if it had never begun. The caller holds the mutex. */
void clkv__step_drop(struct clkv_step *step);

/** Ends the open step: nothing of it is left but its chain's end. */
void clkv__step_close(struct clkv_step *step);

#endif
