/* SPDX-License-Identifier: MIT */
/** \file recipe_files.h \brief The files that a recipe asks for. */
#ifndef TEST_RECIPE_FILES_H
#define TEST_RECIPE_FILES_H

#include "memory_file.h"

struct recipe_files {
	struct memory_file rotation, calibration, factors;
};

/** Makes those that the recipe asks for and the options lack, as feed_open() says, and has the options name them; they are
 *  read until recipe_files_close(). */
void recipe_files_offer(struct recipe_files *files, const clkv_geometry *geometry,
                        const char *recipe, clkv_cache_options *options);

void recipe_files_close(struct recipe_files *files);

#endif
