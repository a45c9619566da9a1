/* SPDX-License-Identifier: MIT */
/** \file cache_tuning.c \brief Tunings for the caller: of a cache, for one to come, to be kept. */
#include "base/error.h"
#include "cache/resolve.h"
#include "cache/tune_file.h"
#include "store/cache.h"

#include <stdio.h>
#include <string.h>

/* False if it doesn't fit. */
static bool describe(const struct clkv__tuning *t, const char *refused, char *text, size_t n)
{
	char numbers[CLKV__TUNING_TEXT];
	clkv__tuning_print(t, numbers);
	int length = snprintf(text, n, "%s (%s)%s%s", numbers, t->source,
	                      refused[0] ? "; refused: " : "", refused);
	return length >= 0 && (size_t)length < n;
}

clkv_status clkv_cache_tuning(const clkv_cache *cache, char *text, size_t n, clkv_error *error)
{
	clkv__error_clear(error);
	if (!cache)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT, "cache is NULL");
	bool fits = text != NULL;
	for (const clkv_cache *c = cache; c && fits; c = c->next_band) {
		size_t at = c == cache ? 0 : strlen(text);
		const char *between = c == cache ? "" : " | ";
		fits = at + strlen(between) < n;
		if (fits)
			memcpy(text + at, between, strlen(between) + 1);
		at += strlen(between);
		fits = fits && describe(&c->tuning, c->refused, text + at, n - at);
	}
	if (!fits)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT, "text is NULL or too small, n is %zu", n);
	return CLKV_OK;
}

clkv_status clkv_tuning_get(const clkv_context *context, const clkv_geometry *geometry,
                            const char *recipe, char *text, size_t n, clkv_error *error)
{
	struct clkv__resolved r;
	clkv__error_clear(error);
	CLKV_TRY(clkv__resolve(context, geometry, recipe, &r, error));
	if (!text || !describe(&r.tuning, "", text, n))
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT, "text is NULL or too small, n is %zu", n);
	return CLKV_OK;
}

clkv_status clkv_tuning_store(const clkv_context *context, const clkv_geometry *geometry,
                              const char *recipe, const char *tuning, char *path, size_t n,
                              clkv_error *error)
{
	struct clkv__resolved r;
	struct clkv__tune_entry entry = {.key = ""};
	clkv__error_clear(error);
	CLKV_TRY(clkv__resolve(context, geometry, recipe, &r, error));
	entry.tuning = r.tuning;
	CLKV_TRY(clkv__tune_read(&context->info, "tuning", tuning, true, &entry.tuning, error));
	snprintf(entry.key, sizeof entry.key, "%s", r.key);
	return clkv__tune_file_store(context, &entry, path, n, error);
}
