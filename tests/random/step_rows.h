/* SPDX-License-Identifier: MIT */
/** \file step_rows.h \brief A step under way: its items, its rows, and what they must attend to. */
#ifndef RANDOM_STEP_ROWS_H
#define RANDOM_STEP_ROWS_H

#include "world.h"

#define STEP_ITEMS 3

struct step_item {
	clkv_seq *seq;
	size_t n, first; /**< rows, and the number of the first in the tensors */
	clkv_phase phase;
	size_t kept;
};

struct step_rows {
	struct world *w;
	clkv_step *step;
	cl_command_queue queue;
	size_t n_items, n; /**< items, and rows of the tensors */
	size_t tokens;     /**< of these, rows of items */
	bool apart;        /**< there may be others between them */
	struct step_item item[STEP_ITEMS];
	double *rows[WORLD_LAYERS][2]; /**< [n][kv_heads][dim], as stored once they are appended */
};

/** The model of an item's sequence. */
struct model *step_model(const struct step_rows *s, size_t item);

/** Appends a layer's rows, of random values, types and strides. False: a failure struck. */
bool step_append(struct step_rows *s, int layer);

/** Attends with a layer's rows and compares the answers with the reference, a sample of them if they are many. False: a
 *  failure struck. */
bool step_attend(struct step_rows *s, int layer);

#endif
