/* SPDX-License-Identifier: MIT */
/**
 * \file    stage.h
 * \brief   A stage is one row of a table: its keys and what it makes of a layer's plan.
 *
 * To add a method: write stage_<name>.c with its keys and its plan function, add one line to
 * stage_list.h, and tests. The parser, printer and lister read the keys. What a plan can't say with the parameters that
 * there are needs a codec, a score or a kernel of its own, too.
 */
#ifndef CLKV__STAGE_H
#define CLKV__STAGE_H

#include "plan/plan.h"
#include "stage/stage_list.h"

#include <stddef.h>

/** Stages of a chain come in this order; at most one of each kind. */
enum clkv__stage_kind {
	CLKV__SELECT,
	CLKV__MERGE,
	CLKV__PRUNE,
	CLKV__PROJECT,
	CLKV__ENCODE,
	CLKV__INDEX,
	CLKV__PLACE
};

/** The value of a key that was not given and has no default of its own. */
#define CLKV__UNSET (-1)

enum clkv__key_type {
	CLKV__KEY_INT,  /**< a whole number from min to max */
	CLKV__KEY_SET,  /**< one of the whole numbers in allowed, "2|3|4" */
	CLKV__KEY_NAME, /**< one of the names in allowed, "channel|token"; the value is its place */
	CLKV__KEY_REAL, /**< a decimal number from min to max, both >= 0, rounded to a float */
	CLKV__KEY_PART, /**< a share up to 1, or a whole number above, from min to max; a float */
	CLKV__KEY_REALS /**< one, or several with / between them: its value is the first, the list is the recipe's */
};

/** One key of a stage, or of the recipe as a whole. Its value is at offset of the options: a float for
 *  CLKV__KEY_REAL, PART and REALS, else an int. Unset, either compares equal to CLKV__UNSET. */
struct clkv__key {
	const char *name;
	enum clkv__key_type type;
	size_t offset;
	double min, max; /* whole numbers but for CLKV__KEY_REAL, PART and REALS */
	const char *allowed;
	double value; /**< default; CLKV__UNSET: not printed, the stage decides */
	const char *meaning;
};

struct clkv__stage {
	const char *name;
	const char *brief;
	const char *source; /**< paper and section */
	enum clkv__stage_kind kind;
	const struct clkv__key *keys;
	size_t n_keys;
	int window;  /**< default of the general key */
	int sinks;   /**< the same */
	int skip;    /**< the same */
	bool prompt; /**< it judges by the end of a prompt: default seal=prompt */
	/** Changes the variant that the stages before left. Refuses options that don't go together. */
	clkv_status (*plan)(const void *options, const struct clkv__shape *shape,
	                    struct clkv__plan *plan, struct clkv__variant *variant, clkv_error *error);
	/** Sets keys that weren't given and on which sealed bytes depend, so that the recipe in full means the
	 *  same whatever later versions choose; NULL: there are none. */
	void (*settle)(void *options);
};

extern const struct clkv__stage *const clkv__stages[];
extern const size_t clkv__n_stages;

#define CLKV__STAGE_DECLARE(name) extern const struct clkv__stage clkv__stage_##name;
CLKV__STAGES(CLKV__STAGE_DECLARE)

#endif
