/* SPDX-License-Identifier: MIT */
/** \file recipe_plan.c \brief Applies the stages of a recipe, in order, to a geometry. */
#include "recipe/recipe.h"

#include "base/error.h"
#include "plan/budget_bytes.h"
#include "plan/plan_select.h"
#include "plan/plan_variants.h"

static clkv_status resolve_general(const struct clkv__recipe *recipe,
                                   const struct clkv__shape *shape, struct clkv__general *general,
                                   clkv_error *error)
{
	*general = recipe->general;
	clkv__general_fill(recipe, general);
	if (general->budget_bytes == CLKV__UNSET)
		general->budget_bytes = 0;
	if (recipe->general.skip == CLKV__UNSET && general->skip > shape->layers)
		general->skip = shape->layers;
	if (general->skip > shape->layers)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_RECIPE,
		          "general keys: key 'skip' is %d; allowed: 0 to the model's %d layers",
		          general->skip, shape->layers);
	return CLKV_OK;
}

clkv_status clkv__recipe_plan(const struct clkv__recipe *recipe, const struct clkv__shape *shape,
                              struct clkv__plan *plan, clkv_error *error)
{
	struct clkv__plan p = {.dense = {.dense = true}};
	clkv_status status = CLKV_OK;
	int position = 0;
	CLKV_TRY(resolve_general(recipe, shape, &p.general, error));
	for (size_t i = 0; i < recipe->n_stages && status == CLKV_OK; i++) {
		const struct clkv__recipe_stage *s = &recipe->stages[i];
		position = s->position;
		status = s->stage->plan(s->options, shape, &p, &p.sealing, error);
	}
	if (status == CLKV_OK)
		status = clkv__plan_variants(&recipe->keep, shape, &p, error);
	if (status == CLKV_OK) {
		position = recipe->stages[0].position; /* what selects comes first */
		status = clkv__budget_bytes_apply(&p, shape, error);
		if (status == CLKV_OK)
			status = clkv__plan_select(&p, error);
	}
	if (status != CLKV_OK) {
		if (error && error->position < 0)
			error->position = position;
		return status;
	}
	/* One ring of queries serves all: that of the stage that prunes, where there is one. */
	if (p.recall.observe > 0 && p.sealing.prune.kind != ABI_PRUNE_NONE)
		p.recall.observe = p.sealing.prune.observe;
	/* A chain that never encodes, or skips all layers, keeps its tokens in half. */
	p.sealing.dense = p.sealing.codec == NULL || p.general.skip == shape->layers;
	if (p.sealing.dense) {
		p.general.window = 0;
		p.select = (struct clkv__select){.kind = ABI_SELECT_NONE};
	}
	*plan = p;
	return CLKV_OK;
}
