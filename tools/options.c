/* SPDX-License-Identifier: MIT */
/**
 * \file    options.c
 * \brief   Numbers from the command line.
 */
#include "options.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

bool option_size(const char *name, const char *text, size_t least, size_t most, size_t *out,
                 struct tool_error *error)
{
	char *end;
	errno = 0;
	unsigned long long value = strtoull(text, &end, 10);
	if (end == text || *end != '\0' || strchr(text, '-') != NULL || errno != 0 || value < least ||
	    value > most)
		return tool_fail(error, "%s takes a whole number from %zu to %zu, not '%s'", name, least,
		                 most, text);
	*out = (size_t)value;
	return true;
}

bool option_float(const char *name, const char *text, float least, float most, float *out,
                  struct tool_error *error)
{
	char *end;
	float value = strtof(text, &end);
	if (end == text || *end != '\0' || !isfinite(value) || value < least || value > most)
		return tool_fail(error, "%s takes a number from %g to %g, not '%s'", name, (double)least,
		                 (double)most, text);
	*out = value;
	return true;
}

bool option_products(const char *text, enum engine_products *out, struct tool_error *error)
{
	static const char *const names[] = {"auto", "blocked", "blas"};
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		if (strcmp(text, names[i]) == 0) {
			*out = (enum engine_products)i;
			return true;
		}
	}
	return tool_fail(error, "--products takes auto, blocked or blas, not '%s'", text);
}

bool option_check_heads(size_t head_dim, size_t q_heads, size_t kv_heads, struct tool_error *error)
{
	if (head_dim % 16 != 0)
		return tool_fail(error, "--head-dim takes a multiple of 16, not %zu", head_dim);
	if (q_heads % kv_heads != 0 || q_heads / kv_heads > 64)
		return tool_fail(error,
		                 "--q-heads takes a multiple of --kv-heads, at most 64 times it, not %zu "
		                 "with %zu",
		                 q_heads, kv_heads);
	return true;
}
