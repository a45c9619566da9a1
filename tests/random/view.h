/* SPDX-License-Identifier: MIT */
/**
 * \file    view.h
 * \brief   Attention over what a cache says it stores, in double precision: rows, and slots that stand for several tokens.
 */
#ifndef RANDOM_VIEW_H
#define RANDOM_VIEW_H

#include "world.h"

/** All that a KV head has, of one layer; rows belong to others. */
struct view {
	const struct world *w;
	int layer;
	size_t head;
	size_t n, room;
	struct view_slot {
		const double *k, *v;
		double logit; /**< added to its own */
		size_t position;
		bool sealed;
	} * slot;
	double *rows; /**< of kept slots */
};

/** One query head's answer, and what its rounding grows with (tests/support/bounds.h). */
struct answer {
	double lse, logit_abs;
	double value_abs; /**< L2 norm of the sum of p |v| */
	double most;      /**< largest |v| of any slot */
	size_t n;         /**< slots that it saw */
};

/** What the sequence of m holds. */
void view_open(const struct world *w, const struct model *m, int layer, size_t head,
               struct view *v);
/** Adds n tokens behind: rows [n][kv_heads][dim] as stored. */
void view_add(struct view *v, size_t from, size_t n, double *const rows[2]);
void view_close(struct view *v);

/** Attention of the row at a position, q [dk], out [dv]. sink may be NULL. chosen, by position: which sealed tokens it sees;
 *  NULL: all. */
struct answer view_attend(const struct view *v, size_t position, const double *q,
                          const double *sink, const bool *chosen, double *out);

#endif
