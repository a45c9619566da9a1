/* SPDX-License-Identifier: MIT */
/** \file step_probe.h \brief Steps whose rows attend and add nothing. */
#ifndef CLKV__STEP_PROBE_H
#define CLKV__STEP_PROBE_H

#include "step/step.h"

/** Whether the items of a step are probes: all, or none. Errors: INVALID_ARGUMENT (some are, or a sequence is empty). */
clkv_status clkv__probe_check(const clkv_step_item *items, size_t n_items, bool *probes,
                              clkv_error *error);

/** Makes an item of each row: one that stands where the last token of its sequence does. first_rows as in
 *  clkv_step_begin_rows. */
void clkv__probe_take(struct clkv_step *step, const clkv_step_item *items, const size_t *first_rows,
                      size_t n_items);

/** Ends the step: nothing has changed. Errors: INVALID_ARGUMENT (n_kept is given). */
clkv_status clkv__probe_commit(struct clkv_step *step, const size_t *n_kept, clkv_error *error);

#endif
