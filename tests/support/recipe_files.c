/* SPDX-License-Identifier: MIT */
/** \file recipe_files.c \brief The files that a recipe asks for. */
#include "recipe_files.h"

#include "calibration.h"
#include "factors.h"
#include "rotation.h"

#include <string.h>

static void offer(const struct memory_file *file, const void **data, size_t *size)
{
	*data = file->bytes;
	*size = file->n;
}

void recipe_files_offer(struct recipe_files *files, const clkv_geometry *geometry,
                        const char *recipe, clkv_cache_options *options)
{
	/* where RoPE is known, some pairs are coded in front of it */
	const struct calibration_kind usual = {.step = 0.5,
	                                       .turned = geometry->rope.kind == CLKV_ROPE_NONE ? 0 : 5};
	*files = (struct recipe_files){0};
	if (strstr(recipe, "rot=file") && !options->rotation) {
		files->rotation = rotation_file(geometry, ROTATION_RANDOM, 1);
		offer(&files->rotation, &options->rotation, &options->rotation_size);
	}
	if (strstr(recipe, "qtc") && !options->calibration) {
		files->calibration = calibration_file(geometry, &usual);
		offer(&files->calibration, &options->calibration, &options->calibration_size);
	}
	if (factors_are_asked(recipe) && !options->factors) {
		files->factors = factors_file(geometry, recipe, 1);
		offer(&files->factors, &options->factors, &options->factors_size);
	}
}

void recipe_files_close(struct recipe_files *files)
{
	memory_close(&files->rotation);
	memory_close(&files->calibration);
	memory_close(&files->factors);
}
