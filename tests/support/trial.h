/* SPDX-License-Identifier: MIT */
/**
 * \file    trial.h
 * \brief   A step of one sequence in which one call of one operation fails; it is done again, or the whole step is.
 */
#ifndef TEST_TRIAL_H
#define TEST_TRIAL_H

#include "faults.h"
#include "feed.h"

#define TRIAL_ROWS 70

/** Appends and attentions are those of layer 1; TRIAL_NOTHING fails nowhere. */
enum trial_operation {
	TRIAL_BEGIN,
	TRIAL_APPEND,
	TRIAL_ATTEND,
	TRIAL_COMMIT,
	TRIAL_OPERATIONS,
	TRIAL_NOTHING = TRIAL_OPERATIONS
};

struct trial {
	struct feed *feed; /**< of feed_usual(2) */
	struct stream *stream;
	clkv_phase phase; /**< of its rows */
	enum fault fault;
	enum trial_operation operation;
	int n; /**< the number of the call that fails */
	bool happened;
	struct tensor k, v, q, out;
};

/** Makes the rows of its steps, TRIAL_ROWS at most. */
void trial_open(struct trial *t, struct feed *feed, size_t rows);
void trial_close(struct trial *t);

/** Takes a step with the failure: a failed begin has changed nothing, a failed append or attention is repeated, and a
 *  failed commit is too, or, every other n, the step is aborted and taken again. out [rows][6][64] is that of layer 1. */
void trial_run(struct trial *t, double *out);

#endif
