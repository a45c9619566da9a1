/* SPDX-License-Identifier: MIT */
/** \file output_file.c \brief Opened, written and closed, with the path in every error. */
#include "output_file.h"

bool output_file_open(struct output_file *out, const char *path, struct tool_error *error)
{
	*out = (struct output_file){path, fopen(path, "wb")};
	return out->file != NULL || tool_fail(error, "'%s' can't be written", path);
}

size_t output_file_write(void *opaque, const void *data, size_t size)
{
	const struct output_file *out = opaque;
	return fwrite(data, 1, size, out->file);
}

bool output_file_close(struct output_file *out, clkv_status status, const char *doing,
                       const clkv_error *cause, struct tool_error *error)
{
	if (fclose(out->file) != 0 && status == CLKV_OK)
		return tool_fail(error, "'%s' can't be written to its end", out->path);
	return status == CLKV_OK || tool_fail_clkv(error, doing, cause);
}
