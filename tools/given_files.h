/* SPDX-License-Identifier: MIT */
/**
 * \file    given_files.h
 * \brief   Files that clkv-train makes of a model, for recipes that take them.
 */
#ifndef GIVEN_FILES_H
#define GIVEN_FILES_H

#include <stddef.h>
#include <stdint.h>

#include "tool_error.h"

/** Where they are; NULL: there is none. */
struct given_paths {
	const char *codebook, *rotation, *calibration, *factors;
};

/** Their options, as rows of a tool's. */
#define OPTION_GIVEN(paths)                                                                        \
	{"codebook", "FILE", "codebooks for recipes with a2ats, of clkv-train",                        \
	 .text = &(paths).codebook},                                                                   \
		{"rotation", "FILE", "matrices for recipes with rot=file, of clkv-train --for rotation",   \
	     .text = &(paths).rotation},                                                               \
		{"calibration", "FILE", "steps and tables for recipes with qtc, of clkv-train --for qtc",  \
	     .text = &(paths).calibration},                                                            \
	{                                                                                              \
		"factors", "FILE",                                                                         \
			"factors for recipes with lowrank, lorc, recalkv, clla, cskv or csr, of clkv-train",   \
			.text = &(paths).factors                                                               \
	}

struct given_file {
	char *data; /**< NULL: none */
	size_t size;
};

struct given_files {
	struct given_file codebook, rotation, calibration, factors;
};

/** Reads all that there are; given_files_close() frees them, also after a failure. */
bool given_files_read(const struct given_paths *paths, struct given_files *files,
                      struct tool_error *error);

void given_files_close(struct given_files *files);

/** Writes such a file. */
bool given_file_write(const struct given_file *file, const char *path, struct tool_error *error);

/** Gives a cache those that its recipe takes, as of this model. */
void given_files_offer(const struct given_files *files, const char *recipe, uint64_t model,
                       clkv_cache_options *options);

#endif
