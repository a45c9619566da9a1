/* SPDX-License-Identifier: MIT */
/** \file save.c \brief clkv_seq_save: as it is stored, or in the cold form of another recipe. */
#include "cache/demand.h"
#include "snapshot/snapshot.h"

#include <string.h>

/* Through a cache of the other recipe, which lives as long as the call. */
static clkv_status save_as(clkv_seq *seq, const char *recipe, cl_command_queue queue,
                           struct clkv__snapshot_out *out, clkv_error *error)
{
	clkv_cache *cold = NULL;
	clkv_seq *copy = NULL;
	CLKV_TRY(clkv__snapshot_cache(seq->cache, CLKV__CACHE_SEALS, recipe, seq->length, 0, 1, &cold,
	                              error));
	clkv_status status = clkv_seq_create(cold, &copy, error);
	if (status == CLKV_OK)
		status = clkv__snapshot_copy(seq, 0, copy, true, queue, error);
	if (status == CLKV_OK)
		status = clkv__snapshot_write(copy, queue, out, error);
	clkv_cache_destroy(cold);
	return status;
}

clkv_status clkv__snapshot_check_recipe(const clkv_context *context, const clkv_geometry *geometry,
                                        const char *recipe, char text[CLKV__RECIPE_TEXT],
                                        clkv_error *error)
{
	struct clkv__division d;
	struct clkv__resolved r;
	CLKV_TRY(clkv__divide(geometry, recipe, &d, error));
	for (int i = 0; i < d.bands.n; i++) {
		CLKV_TRY(clkv__resolve_band(context, &d, recipe, i, &r, error));
		CLKV_TRY(clkv__snapshot_check(&r.plan, error));
	}
	return clkv__division_print(context, &d, recipe, text, error);
}

clkv_status clkv_seq_save(clkv_seq *seq, const char *recipe, cl_command_queue queue,
                          clkv_write_fn write, void *opaque, clkv_error *error)
{
	struct clkv__snapshot_out out = CLKV__SNAPSHOT_STREAM(write, opaque);
	char other[CLKV__RECIPE_TEXT];
	clkv__error_clear(error);
	if (!seq || !write)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT, "%s is NULL", seq ? "write" : "seq");
	clkv_cache *cache = seq->cache;
	clkv_geometry geometry = clkv__cache_geometry(cache);
	CLKV_TRY(clkv__snapshot_check_cache(cache, error));
	if (!recipe)
		return clkv__snapshot_write(seq, queue, &out, error);
	CLKV_TRY(clkv__snapshot_check_recipe(cache->context, &geometry, recipe, other, error));
	if (strcmp(other, clkv__cache_recipe(cache)) == 0)
		return clkv__snapshot_write(seq, queue, &out, error);
	return save_as(seq, recipe, queue, &out, error);
}
