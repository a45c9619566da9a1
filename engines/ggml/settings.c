/* SPDX-License-Identifier: MIT */
#include "settings.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clkv_ggml.h"

static const char *const names[] = {"recipe",          "device", "max_tokens",
                                    "max_open_tokens", "report", "shift"};
enum { N_NAMES = sizeof(names) / sizeof(*names) };
static const char *const variables[N_NAMES] = {"CLKV_GGML_RECIPE",     "CLKV_GGML_DEVICE",
                                               "CLKV_GGML_MAX_TOKENS", "CLKV_GGML_MAX_OPEN_TOKENS",
                                               "CLKV_GGML_REPORT",     "CLKV_GGML_SHIFT"};

static char given[N_NAMES][512];
static int is_given[N_NAMES];

int clkv_ggml_set(const char *name, const char *value)
{
	for (int i = 0; i < N_NAMES; i++) {
		if (strcmp(name, names[i]) != 0)
			continue;
		if (value && strlen(value) >= sizeof(given[i]))
			return 0;
		snprintf(given[i], sizeof(given[i]), "%s", value ? value : "");
		is_given[i] = value != NULL;
		return 1;
	}
	return 0;
}

static const char *value_of(int i)
{
	const char *value = is_given[i] ? given[i] : getenv(variables[i]);
	return value ? value : "";
}

/** Copies a text of at most n - 1 characters. Returns 1 if it fits. */
static int read_text(int i, const char *fallback, char *text, size_t n)
{
	const char *value = *value_of(i) ? value_of(i) : fallback;
	return (size_t)snprintf(text, n, "%s", value) < n;
}

/** Reads a number of digits alone, up to 2^31 - 1. Returns 1 if it is one. */
static int read_number(int i, size_t *number)
{
	const char *value = value_of(i);
	*number = 0;
	if (!*value)
		return 1;
	char *end;
	errno = 0;
	const unsigned long n = strtoul(value, &end, 10);
	if (*value < '0' || *value > '9' || *end || errno || n > INT_MAX)
		return 0;
	*number = n;
	return 1;
}

const struct settings *settings(const char **bad)
{
	static struct settings s;
	size_t report, shift;
	const int good[N_NAMES] = {read_text(0, "f16", s.recipe, sizeof(s.recipe)),
	                           read_text(1, "", s.device, sizeof(s.device)),
	                           read_number(2, &s.max_tokens),
	                           read_number(3, &s.max_open),
	                           read_number(4, &report),
	                           read_number(5, &shift)};
	s.report = report != 0;
	s.shift = shift != 0;
	*bad = NULL;
	for (int i = 0; i < N_NAMES && !*bad; i++) {
		if (!good[i])
			*bad = variables[i];
	}
	return &s;
}
