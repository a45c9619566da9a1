/* SPDX-License-Identifier: MIT */
/**
 * \file    eval_board.h
 * \brief   Scores of all windows under all recipes, run once and kept in a file of --resume.
 */
#ifndef EVAL_BOARD_H
#define EVAL_BOARD_H

#include "eval.h"

/** Slot 0 is f16's, slot 1 + i that of recipe i; an "f16" among the recipes shares slot 0. */
size_t eval_slot(const struct eval_options *options, size_t recipe);

/** What a board asks of what it keeps the scores of. A window is what is run at once: a prompt and what stands behind it. */
struct eval_work {
	size_t n_windows, n_each; /**< n_each: scores of a window */
	/** Prepares a window and returns a hash of all its tokens. */
	uint64_t (*begin)(void *opaque, size_t window);
	/** Whether the recipes are run on a window where f16 has these scores; NULL: always. */
	bool (*counts)(const struct eval_scores *f16);
	/** Fills scores[0] and scores[1 + i] of each recipe that is wanted, if the window counts. */
	bool (*run)(void *opaque, size_t window, const bool *wanted, struct eval_scores *scores,
	            struct tool_error *error);
	void *opaque;
};

struct eval_board {
	const struct eval *eval;
	struct eval_work work;
	size_t slots;
	struct eval_scores *scores;
	struct records *records; /* NULL without --resume */
};

/** Makes room, and reads what the file of --resume has. Close it on failure, too. */
bool eval_board_open(struct eval_board *board, const struct eval *eval,
                     const struct eval_work *work, struct tool_error *error);
void eval_board_close(struct eval_board *board);

/** Runs what the file doesn't have. */
bool eval_board_run(struct eval_board *board, struct tool_error *error);

struct eval_scores *eval_board_scores(const struct eval_board *board, size_t window, size_t slot);

#endif
