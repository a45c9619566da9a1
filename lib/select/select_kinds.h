/* SPDX-License-Identifier: MIT */
/**
 * \file    select_kinds.h
 * \brief   Kinds of choices, of rules and of scores, a row each: what sizes, plans and commits ask of them.
 *
 * A row is data. What launches a choice is its row in step/choose.c, what shares slots out by a rule its row in
 * step/select_share.c.
 */
#ifndef CLKV__SELECT_KINDS_H
#define CLKV__SELECT_KINDS_H

#include "base/macros.h"

#include <stdbool.h>
#include <stdint.h>

struct clkv__select;

/** What the kernels of a choice are for, in the order in which they are planned. */
enum clkv__choice_role {
	CLKV__CHOICE_COMPARES, /**< looks at keys of blocks, before scores are looked at */
	CLKV__CHOICE_SPARES,   /**< sets candidates apart that the choice leaves alone */
	CLKV__CHOICE_JOINS,    /**< works on gathered half blocks: arguments of merge_runs.cl */
	CLKV__CHOICE_CHOOSES,  /**< says what is kept */
	CLKV__CHOICE_ROLES
};

/** A row by ABI_SELECT_*. */
struct clkv__choice {
	struct clkv__kernel_file kernels[CLKV__CHOICE_ROLES]; /**< no file: the choice has none */
	bool bounded; /**< a head keeps no more slots than its quota; else keys decide how many */
	bool adds;    /**< chooses among the tokens that leave alone; what was kept before stays */
	bool rings;   /**< slots behind the sinks are `cascades` even rings, the window the first */
	/** Whether by its parameters the choice finds out how many tokens a head keeps; NULL: never. */
	bool (*open)(const struct clkv__select *s);
	/** Bytes of work space of so many heads with so many places; NULL: what merged slots take. */
	uint64_t (*work_bytes)(uint64_t heads, uint64_t places);
};

/** A row by enum clkv__budget. */
struct clkv__rule {
	bool bounded;  /**< the budget says how many slots a layer's heads have together, at most */
	bool pooled;   /**< any head may get all slots of its layer's heads */
	bool compares; /**< looks at a prompt's end at the scores of more than one head */
	bool
		open; /**< finds out how many tokens a head keeps, of whose slots the budget says nothing */
	bool unlimited; /**< later tokens of a head are all kept, whatever its quota */
	bool above;     /**< kernels keep what has a score above 0 */
};

/** A row by ABI_SCORE_*. */
struct clkv__score {
	bool attention; /**< rows of queries judge: layers must have been attended with */
	bool each; /**< every row does, so every commit weighs; else the newest, when tokens leave */
	bool
		reread; /**< of rows those of CLKV_REREAD alone; what none has weighed stays beside the budget's slots */
	bool lse;                       /**< by weights, for which rows' log-sum-exps are wanted */
	struct clkv__kernel_file turns; /**< takes them to positions to come; no file: they stay */
	struct clkv__kernel_file
		shares; /**< makes scores of what each query head's logits are together; no file: `rows` does */
	struct clkv__kernel_file rows; /**< holds tiles of the queries against a block; no file: none */
};

const struct clkv__choice *clkv__choice_of(const struct clkv__select *s);
const struct clkv__rule *clkv__rule_of(const struct clkv__select *s);
const struct clkv__score *clkv__score_of(const struct clkv__select *s);

#endif
