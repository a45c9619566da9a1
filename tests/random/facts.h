/* SPDX-License-Identifier: MIT */
/**
 * \file    facts.h
 * \brief   What a recipe means for a model of a cache, read from its full text.
 *
 * clkv_recipe_print writes every key, so nothing is looked up inside the library.
 */
#ifndef RANDOM_FACTS_H
#define RANDOM_FACTS_H

#include "../ref/ref_affine.h"
#include "../ref/ref_bounded.h"
#include "../ref/ref_outliers.h"
#include "../ref/ref_qaq.h"
#include "../support/recalled.h"
#include "../support/selected.h"

#include <clkv.h>

enum code_kind { CODE_HALF, CODE_AFFINE, CODE_KITTY, CODE_OUTLIERS, CODE_BOUNDED, CODE_QAQ };

/** How one side of a sealed block is stored. */
struct side_facts {
	enum code_kind kind;
	struct ref_affine affine;
	double boost; /**< share of channels that have two bits more */
	struct ref_outliers outliers;
	struct ref_bounded bounded;
	struct ref_qaq qaq;
	size_t pairs; /**< of the sealed channels so many, the largest, are kept as they are; 0: all */
	bool pruned;  /**< some channels of a token are left out or recovered */
	bool masked;  /**< ... the same of all tokens of a block, and they read as 0 */
	double
		rank; /**< channels that are sealed, the first ones, or their part up to 1; 0: all. Worlds give such factors */
};

struct facts {
	size_t window, sinks, block, skip;
	bool at_end;               /**< seal=prompt */
	bool dense;                /**< nothing is sealed: f16, or all layers are skipped */
	struct side_facts side[2]; /**< K, V */
	bool
		turned; /**< both sides are rotated by a Hadamard matrix before they are encoded: worlds give such a file to rot=file */
	bool prunes;
	size_t exact;   /**< first tokens of a sequence that enter no range */
	bool selects;   /**< tokens are dropped or merged */
	bool conserves; /**< what isn't kept is merged: slots stand for all tokens */
	bool single;    /**< a slot of one token is that token's row */
	double alpha;   /**< of the correction for merged slots */
	size_t budget;  /**< slots, if a number; else 0 */
	bool even;      /**< every head has that budget, and keeps all that there is room for */
	bool ruled;     /**< the reference knows which tokens are kept, by */
	struct selected_case rule;
	bool
		rereads; /**< a prompt's tokens are judged by rows that read it again, without which it has no end */
	bool recalls;
	struct recalled_case recall;
	bool
		judged; /**< which tokens are recalled can be said; else only between which ends answers lie */
	bool moves;      /**< place:host, where prompts can't follow */
	unsigned layers; /**< bits of the model's layers that have this recipe */
};

#define FACTS_BANDS 4 /**< recipes of a cache, and layers */

/** What the recipe of a model of so many layers says, or those of its bands: facts [FACTS_BANDS] and how many there are. 0 if
 *  it's wrong: error says why. */
size_t facts_read(const char *recipe, int layers, struct facts *facts, clkv_error *error);

static inline bool facts_have(const struct facts *f, int layer)
{
	return f->layers >> layer & 1;
}

/** Whether a layer of this recipe keeps all in half. */
static inline bool facts_layer_dense(const struct facts *f, int layer)
{
	return f->dense || (size_t)layer < f->skip;
}

#endif
