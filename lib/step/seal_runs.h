/* SPDX-License-Identifier: MIT */
/** \file seal_runs.h \brief How alike neighbours must be to become one slot. */
#ifndef CLKV__SEAL_RUNS_H
#define CLKV__SEAL_RUNS_H

#include "step/select_work.h"

/** Finds the runs of each head, whose candidates are listed, and what is chosen. Bounds [layers][streams][2] of the work get
 *  what cl/select/runs.clh draws; again: they have it, and the same choice is made by them. */
clkv_status clkv__seal_runs(struct clkv__work *w, bool again, clkv_error *error);

/** Notes, after a commit has succeeded, what a prompt's end has found: it is the sequence's from now on. */
void clkv__seal_runs_note(const struct clkv__work *w);

#endif
