/* SPDX-License-Identifier: MIT */
/** \file operations.h \brief What can happen to a cache, once each, at random; each leaves world and model alike. */
#ifndef RANDOM_OPERATIONS_H
#define RANDOM_OPERATIONS_H

#include "world.h"

void operate_create(struct world *w);
void operate_destroy(struct world *w);
void operate_fork(struct world *w);
void operate_truncate(struct world *w);
/** A step of one to three sequences: begun, appended, attended with; committed, some rows rejected; or aborted. */
void operate_step(struct world *w);
/** Ends the prompt of a sequence, whatever its rows were. */
void operate_end_prompt(struct world *w);
/** Gives sequences each other's contents. */
void operate_reorder(struct world *w);
/** Takes tokens out of the middle of a sequence. */
void operate_remove(struct world *w);
/** Saves a sequence, by its own recipe or another, and loads it beside it. */
void operate_save(struct world *w);
/** Calls that must be refused. */
void operate_refuse(struct world *w);
/** Looks at a sequence that nothing was done to. */
void operate_look(struct world *w);
/** Destroys all sequences. */
void operate_empty(struct world *w);

/** Draws one of them and does it. */
void operate(struct world *w);

#endif
