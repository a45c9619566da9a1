/* SPDX-License-Identifier: MIT */
/**
 * \file    kept.h
 * \brief   What KV heads have kept, of recipes that select: what must be true of it whatever the choice is.
 *
 * Which tokens a rule chooses is the business of tests/support/selected.h; here any rule must keep what its budget and
 * its promises say, change nothing between choices, and bring nothing back.
 */
#ifndef RANDOM_KEPT_H
#define RANDOM_KEPT_H

#include "world.h"

void kept_open(const struct world *w, struct model *m);
void kept_close(const struct world *w, struct model *m);
void kept_copy(const struct world *w, const struct model *from, struct model *to);
/** The sequence was cut to n tokens: to nothing, or in its tail. */
void kept_cut(const struct world *w, struct model *m, size_t n);

/** Reads all heads of a recipe's layers, compares them with what they kept before, and takes them over. committed: a choice
 *  may lie between, and the band's tail follows. */
void kept_check(struct world *w, struct model *m, size_t band, bool committed);

struct head_kept *kept_head(const struct world *w, const struct model *m, int layer, size_t head);

#endif
