/* SPDX-License-Identifier: MIT */
/** \file given_files.c \brief Which file a recipe takes, its words say. */
#include "given_files.h"

#include <stdlib.h>
#include <string.h>

#include "output_file.h"
#include "text_file.h"

static bool read_one(const char *path, struct given_file *file, struct tool_error *error)
{
	return path == NULL || text_file_read(path, &file->data, &file->size, error);
}

bool given_files_read(const struct given_paths *paths, struct given_files *files,
                      struct tool_error *error)
{
	*files = (struct given_files){0};
	return read_one(paths->codebook, &files->codebook, error) &&
	       read_one(paths->rotation, &files->rotation, error) &&
	       read_one(paths->calibration, &files->calibration, error) &&
	       read_one(paths->factors, &files->factors, error);
}

void given_files_close(struct given_files *files)
{
	free(files->codebook.data);
	free(files->rotation.data);
	free(files->calibration.data);
	free(files->factors.data);
	*files = (struct given_files){0};
}

bool given_file_write(const struct given_file *file, const char *path, struct tool_error *error)
{
	struct output_file out;
	if (!output_file_open(&out, path, error))
		return false;
	const bool whole = output_file_write(&out, file->data, file->size) == file->size;
	return output_file_close(&out, CLKV_OK, path, NULL, error) &&
	       (whole || tool_fail(error, "'%s' can't be written to its end", path));
}

static bool asks_for_factors(const char *recipe)
{
	static const char *const stages[] = {"lowrank", "lorc", "recalkv", "cskv", "csr", "clla"};
	for (size_t i = 0; i < sizeof stages / sizeof stages[0]; i++)
		if (strstr(recipe, stages[i]) != NULL)
			return true;
	return false;
}

/* asked: recipes have use for it. */
static void offer(const struct given_file *file, bool asked, const void **data, size_t *size)
{
	const bool taken = file->data != NULL && asked;
	*data = taken ? file->data : NULL;
	*size = taken ? file->size : 0;
}

void given_files_offer(const struct given_files *files, const char *recipe, uint64_t model,
                       clkv_cache_options *options)
{
	offer(&files->codebook, strstr(recipe, "a2ats"), &options->codebook, &options->codebook_size);
	offer(&files->rotation, strstr(recipe, "rot=file"), &options->rotation,
	      &options->rotation_size);
	offer(&files->calibration, strstr(recipe, "qtc"), &options->calibration,
	      &options->calibration_size);
	offer(&files->factors, asks_for_factors(recipe), &options->factors, &options->factors_size);
	if (options->codebook || options->rotation || options->calibration || options->factors)
		options->model = model;
}
