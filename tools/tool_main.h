/* SPDX-License-Identifier: MIT */
/**
 * \file    tool_main.h
 * \brief   A tool as a table: what its options are called, take and fill. Help and errors come from it.
 */
#ifndef TOOL_MAIN_H
#define TOOL_MAIN_H

#include <stddef.h>

#include "engine.h"
#include "tool_error.h"

/** One option. Exactly one of text, flag, size.at, number.at, products and set says where its value goes. */
struct tool_option {
	const char *name;  /**< behind "--"; one letter stands behind "-" */
	const char *value; /**< what the help calls the value; NULL: none is taken */
	const char *help;  /**< for people; its lines end in \n but the last */
	const char **text;
	bool *flag;
	struct {
		size_t *at, least, most;
	} size;
	struct {
		float *at, least, most;
	} number;
	enum engine_products *products;
	/** For all else, and for options that may come again; text is NULL where none is taken. */
	bool (*set)(const char *text, struct tool_error *error);
};

struct tool {
	const char *name;
	const char *usage; /**< what the help says before the options, from "usage: " on */
	const char *after; /**< and behind them; NULL: nothing */
	const struct tool_option *options; /**< besides --help and --version */
	size_t n_options;                  /**< at most TOOL_MOST_OPTIONS */
	const char **operand; /**< the one word that may come without an option; NULL: none may */
	/** What ranges of single options don't say, and defaults that hang on others; may be NULL. */
	bool (*check)(struct tool_error *error);
	bool (*run)(struct tool_error *error);
};

enum { TOOL_MOST_OPTIONS = 40 };

/** Reads the command line, checks it, runs the tool and says what went wrong. Returns the status to exit with:
 *  0 done, 1 failed, 2 the command line is wrong. */
int tool_main(const struct tool *tool, int argc, char **argv);

#endif
