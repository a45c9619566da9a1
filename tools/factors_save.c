/* SPDX-License-Identifier: MIT */
/** \file factors_save.c \brief The file names the model by its fingerprint. */
#include "factors_save.h"

#include "engine.h"
#include "output_file.h"

bool factors_save(const struct model *model, const clkv_factors *factors, const char *path,
                  const char *doing, struct tool_error *error)
{
	clkv_error cause = {0};
	clkv_geometry geometry = engine_geometry(model);
	struct output_file file;
	if (!output_file_open(&file, path, error))
		return false;
	clkv_status status = clkv_factors_write(&geometry, model_fingerprint(model), factors,
	                                        output_file_write, &file, &cause);
	return output_file_close(&file, status, doing, &cause, error);
}
