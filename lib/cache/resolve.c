/* SPDX-License-Identifier: MIT */
/** \file resolve.c \brief From the caller's words to shape, plan, tuning and cut. */
#include "cache/resolve.h"

#include "attend/cut.h"
#include "base/error.h"
#include "cache/settle.h"
#include "plan/tune_key.h"
#include "recipe/recipe.h"

clkv_status clkv__resolve(const clkv_context *context, const clkv_geometry *geometry,
                          const char *recipe, struct clkv__resolved *out, clkv_error *error)
{
	struct clkv__recipe parsed;
	if (!context)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT, "context is NULL");
	CLKV_TRY(clkv__shape_read(geometry, &out->shape, error));
	CLKV_TRY(clkv__recipe_parse(recipe, &parsed, error));
	CLKV_TRY(clkv__recipe_plan(&parsed, &out->shape, &out->plan, error));
	CLKV_TRY(clkv__place_settle(context, &out->shape, &out->plan, error));
	/* Where blocks lie changes nothing of what they are. */
	if (parsed.n_stages > 1 && parsed.stages[parsed.n_stages - 1].stage->kind == CLKV__PLACE)
		parsed.n_stages--;
	for (size_t i = 0; i < parsed.n_stages; i++)
		if (parsed.stages[i].stage->settle)
			parsed.stages[i].stage->settle(parsed.stages[i].options);
	parsed.general.window = out->plan.general.window;
	parsed.general.sinks = out->plan.general.sinks;
	parsed.general.skip = out->plan.general.skip;
	parsed.general.seal = out->plan.general.seal;
	if (!clkv__recipe_format(&parsed, out->recipe, sizeof out->recipe))
		CLKV_FAIL(error, CLKV_ERROR_INVALID_RECIPE, "the recipe in full is too long; allowed: %zu",
		          sizeof out->recipe - 1);
	clkv__tune_key(&out->shape, &out->plan, out->key);
	out->tuning = clkv__tune_for(&context->tune, out->key);
	clkv__cut_narrow(&out->plan, &out->tuning);
	return clkv__cut_choose(context, &out->shape, &out->plan, &out->tuning, &out->cut, error);
}
