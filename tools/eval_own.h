/* SPDX-License-Identifier: MIT */
/**
 * \file    eval_own.h
 * \brief   Recipes of the command line that bring a file of their own: "RECIPE @ FILE".
 *
 * So that one run compares a codec by several calibrations, or latents by several factors.
 */
#ifndef EVAL_OWN_H
#define EVAL_OWN_H

#include "eval.h"

struct eval_own {
	struct given_files files[EVAL_MOST_RECIPES];
	char *alone[EVAL_MOST_RECIPES], *key[EVAL_MOST_RECIPES];
};

/** Reads the files that recipes name, and fills alone, key and given_of of the options; own keeps what they point to. FILE stands for
 *  whichever of the tool's files the recipe takes, in place of those of --calibration and its like. eval_own_close() frees
 *  all, also after a failure. */
bool eval_own_open(struct eval_own *own, struct eval_options *options, struct tool_error *error);

void eval_own_close(struct eval_own *own);

#endif
