/* SPDX-License-Identifier: MIT */
/** \file step.h \brief One forward pass: what begin reserved and what commit will make of it. */
#ifndef CLKV__STEP_H
#define CLKV__STEP_H

#include "device/queue.h"
#include "store/sizes.h"

#include <clkv.h>
#include <stdbool.h>

struct clkv__step_item {
	clkv_seq *seq;
	uint32_t length; /**< tokens before its rows */
	uint32_t n_new, row;
	clkv_phase phase;
};

/** A list of work records in the plan that one launch serves. */
struct clkv__work_list {
	uint32_t word; /**< where it begins in the plan */
	uint32_t n;    /**< records */
};

/** Rows that recall in one go: as many as there is room for. */
struct clkv__ask_list {
	uint32_t first, n; /**< numbers of the rows among those that recall */
	uint32_t ask_word; /**< where their records begin in the plan */
	uint32_t places;   /**< units of the sequence that has most */
	uint32_t blocks;   /**< sealed blocks of it */
	struct clkv__work_list works;
};

/** A row that recalls, of a cache whose rows come from host memory. */
struct clkv__ask {
	clkv_seq *seq;
	uint32_t row;      /**< in k, v, q and out */
	uint32_t position; /**< in the sequence */
	uint32_t part;     /**< its last partial record, over q_heads */
};

/** A host buffer that a write reads from; done is NULL or the write's event. */
struct clkv__staging {
	uint32_t *words;
	cl_event done;
};

enum clkv__layer_state { CLKV__LAYER_NEW, CLKV__LAYER_APPENDED };

struct clkv__leaving;

struct clkv_step {
	clkv_cache *cache;
	bool open;
	struct clkv__chain chain;
	bool
		probes; /**< its rows attend and add nothing: each is an item, behind all but the last token */
	struct clkv__step_item *items; /**< [max_step_tokens] */
	size_t n_items;
	uint32_t n_rows;
	unsigned char *layers;               /**< [layers] enum clkv__layer_state */
	unsigned char *attended;             /**< [layers] whether clkv_attend was called */
	const struct clkv__leaving *leaving; /**< while a selection seals: whose tokens */
	struct clkv__change *journal;        /**< table words changed by begin */
	size_t n_changes;
	/* the plan on the device */
	uint32_t new_word; /**< where row records begin */
	struct clkv__work_list decode, prefill;
	struct clkv__work_list recall; /**< of rows that recall, in layers that do */
	struct clkv__ask_list *asks;   /**< [max_step_tokens / asks, rounded up; or max_step_tokens] */
	uint32_t n_asks;
	struct clkv__ask *asking; /**< [max_step_tokens]; NULL if nothing comes from host memory */
	/* staging in turn */
	struct clkv__staging staging[CLKV__STAGING];
	unsigned turn;
};

clkv_status clkv__step_init(struct clkv_step *step, clkv_cache *cache, clkv_error *error);
void clkv__step_free(struct clkv_step *step);

/** The next staging buffer, once the write that last used it is done. */
clkv_status clkv__staging_next(struct clkv_step *step, struct clkv__staging **out,
                               clkv_error *error);

/** Writes the first n_words of a staging buffer to mem. */
clkv_status clkv__staging_write(struct clkv_step *step, struct clkv__staging *staging, cl_mem mem,
                                size_t n_words, clkv_error *error);

/** Fills words with the plan of the step's items; sets the work lists. Returns the words used. */
uint32_t clkv__step_plan(struct clkv_step *step, uint32_t *words);

/** Sends the tables' noted words to the device, behind what the last commit owes to the old ones. */
clkv_status clkv__step_send_tables(struct clkv_step *step, clkv_error *error);

/** Gives back what begin took and restores the tables. The caller holds the mutex. */
void clkv__step_undo(struct clkv_step *step);

/** Frees what begin replaced by copies, once nothing can fail any more and before entries change: they say which code
 *  tables go with a block. The caller holds the mutex. */
void clkv__step_keep(struct clkv_step *step);

/** Ends the open step: nothing of it is left but its chain's end. */
void clkv__step_close(struct clkv_step *step);

#endif
