/* SPDX-License-Identifier: MIT */
/**
 * \file    pass.h
 * \brief   The new rows of one forward pass, as launches see them: where their plan lies on the device.
 *
 * A step plans it once, and all layers are launched by it. Words are those of the cache's plan buffer.
 */
#ifndef CLKV__PASS_H
#define CLKV__PASS_H

#include <clkv.h>
#include <stdint.h>

/** A list of work records in the plan that one launch serves. */
struct clkv__work_list {
	uint32_t word; /**< where it begins in the plan */
	uint32_t n;    /**< records */
};

/** A row that recalls, of a cache whose rows come from host memory. */
struct clkv__ask {
	clkv_seq *seq;
	uint32_t row;      /**< in the caller's q */
	uint32_t position; /**< in the sequence */
	uint32_t part;     /**< its last partial record, over q_heads */
};

/** Rows that recall in one go: as many as there is room for; where they come from host memory, no two of a sequence. */
struct clkv__ask_list {
	const struct clkv__ask *asks; /**< [n], or NULL if nothing comes from host memory */
	uint32_t first, n;            /**< numbers of the rows among those that recall */
	uint32_t ask_word;            /**< where their records begin in the plan */
	uint32_t places;              /**< units of the sequence that has most */
	uint32_t blocks;              /**< sealed blocks of it */
	struct clkv__work_list works;
};

/** The item of a step whose weights attention leaves, so that its rows weigh tokens as they attend. */
struct clkv__left_item {
	size_t item;
	struct clkv__work_list works; /**< of all its tiles, in order; n 0: there is none */
	uint32_t per_tile;            /**< of these */
	uint32_t row, n_rows;         /**< of the step */
	uint32_t position;            /**< of the first */
	uint32_t slab, sinks, tail;   /**< as in the plan */
	uint32_t blocks;              /**< of the view of the head that has most */
};

struct clkv__pass {
	uint32_t n_rows;
	uint32_t
		tensor_rows; /**< that the caller's k, v, q and out have: more, if items don't follow each other */
	uint32_t new_word; /**< where row records begin */
	struct clkv__work_list decode, prefill;
	struct clkv__left_item left;   /**< not in prefill */
	struct clkv__work_list recall; /**< of rows that recall, in layers that do */
	struct clkv__ask *asks;        /**< [max_step_tokens]; NULL if nothing comes from host memory */
	struct clkv__ask_list *lists;  /**< [max_step_tokens / asks, rounded up; or max_step_tokens] */
	uint32_t n_lists;
	uint32_t attended; /**< layers that were attended with before this one */
};

#endif
