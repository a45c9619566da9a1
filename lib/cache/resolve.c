/* SPDX-License-Identifier: MIT */
/** \file resolve.c \brief From the caller's words to shape, plan, tuning and cut. */
#include "cache/resolve.h"

#include "attend/cut.h"
#include "base/error.h"
#include "cache/settle.h"
#include "plan/tune_key.h"
#include "recipe/recipe.h"

/* Whether a part never seals. What is wrong with it is found when it's resolved. */
static bool is_plain(const char *recipe, const struct clkv__recipe_part *part,
                     const struct clkv__shape *shape)
{
	struct clkv__recipe parsed;
	struct clkv__plan plan;
	return clkv__recipe_parse_part(recipe, part->begin, part->end, &parsed, NULL) == CLKV_OK &&
	       clkv__recipe_plan(&parsed, shape, &plan, NULL) == CLKV_OK && plan.sealing.dense;
}

/* A band whose layers all see only so many tokens, and which never seals, keeps no more of them. */
static void slide(const struct clkv__shape *shape, struct clkv__plan *plan)
{
	int most = 0;
	if (!shape->bands || !shape->window || !plan->sealing.dense)
		return;
	for (int i = 0; i < shape->layers; i++) {
		if (shape->window[i] == 0)
			return;
		most = shape->window[i] > most ? shape->window[i] : most;
	}
	plan->slides = (uint32_t)most;
	plan->general.sinks = 0;
}

clkv_status clkv__divide(const clkv_geometry *geometry, const char *recipe,
                         struct clkv__division *out, clkv_error *error)
{
	CLKV_TRY(clkv__shape_read(geometry, &out->whole, error));
	bool plain[CLKV__MAX_BANDS] = {false};
	CLKV_TRY(clkv__recipe_split(recipe, &out->parts, error));
	for (int i = 0; out->parts.layered && out->whole.window && i < out->parts.n; i++)
		plain[i] = is_plain(recipe, &out->parts.part[i], &out->whole);
	return clkv__recipe_bands(&out->parts, &out->whole, plain, &out->bands, error);
}

/* The shape of a band's layers. */
static void band_shape(const struct clkv__division *d, int band, struct clkv__resolved *out)
{
	out->shape = d->whole;
	if (!d->parts.layered)
		return;
	out->shape.bands = &d->bands;
	out->shape.band = band;
	out->shape.layers = clkv__band_before(&d->bands, band, d->bands.layers);
	for (int i = 0; d->whole.window && i < d->whole.layers; i++)
		if (d->bands.of[i] == band)
			out->window[d->bands.number_in[i]] = d->whole.window[i];
	if (d->whole.window)
		out->shape.window = out->window;
}

/* A recipe's skip is of the model's layers: how many of the band's are among them is what the plan needs. */
static clkv_status localize_skip(const struct clkv__division *d, int band,
                                 struct clkv__recipe *recipe, int *skip, clkv_error *error)
{
	struct clkv__general filled = recipe->general;
	clkv__general_fill(recipe, &filled);
	*skip = filled.skip;
	if (!d->parts.layered)
		return CLKV_OK;
	if (recipe->general.skip > d->whole.layers)
		return clkv__recipe_fail(
			error, recipe->stages[0].position,
			"general keys: key 'skip' is %d; allowed: 0 to the model's %d layers",
			recipe->general.skip, d->whole.layers);
	recipe->general.skip = clkv__band_before(&d->bands, band, *skip);
	return CLKV_OK;
}

/* What the stages chose becomes part of the recipe; where blocks lie changes nothing of what they are. */
static void settle_recipe(struct clkv__recipe *r, const struct clkv__plan *plan)
{
	if (r->n_stages > 1 && r->stages[r->n_stages - 1].stage->kind == CLKV__PLACE)
		r->n_stages--;
	for (size_t i = 0; i < r->n_stages; i++)
		if (r->stages[i].stage->settle)
			r->stages[i].stage->settle(r->stages[i].options);
	r->general.window = plan->general.window;
	r->general.sinks = plan->general.sinks;
	r->general.skip = plan->general.skip;
	r->general.seal = plan->general.seal;
}

clkv_status clkv__resolve_band(const clkv_context *context, const struct clkv__division *division,
                               const char *recipe, int band, struct clkv__resolved *out,
                               clkv_error *error)
{
	const struct clkv__recipe_part *part = &division->parts.part[division->bands.part[band]];
	struct clkv__recipe *r = &out->parsed;
	int skip = 0;
	if (!context)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT, "context is NULL");
	band_shape(division, band, out);
	CLKV_TRY(clkv__recipe_parse_part(recipe, part->begin, part->end, r, error));
	CLKV_TRY(localize_skip(division, band, r, &skip, error));
	CLKV_TRY(clkv__recipe_plan(r, &out->shape, &out->plan, error));
	slide(&out->shape, &out->plan);
	CLKV_TRY(clkv__place_settle(context, &out->shape, &out->plan, error));
	settle_recipe(r, &out->plan);
	if (!clkv__recipe_format(r, out->recipe, sizeof out->recipe))
		CLKV_FAIL(error, CLKV_ERROR_INVALID_RECIPE, "the recipe in full is too long; allowed: %zu",
		          sizeof out->recipe - 1);
	if (division->parts.layered)
		r->general.skip = skip < division->whole.layers ? skip : division->whole.layers;
	clkv__tune_key(&out->shape, &out->plan, out->key);
	out->tuning = clkv__tune_for(&context->tune, out->key);
	clkv__cut_narrow(&out->plan, &out->tuning);
	return clkv__cut_choose(context, &out->shape, &out->plan, &out->tuning, &out->cut, error);
}

clkv_status clkv__resolve(const clkv_context *context, const clkv_geometry *geometry,
                          const char *recipe, struct clkv__resolved *out, clkv_error *error)
{
	struct clkv__division d;
	if (!context)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT, "context is NULL");
	CLKV_TRY(clkv__divide(geometry, recipe, &d, error));
	if (d.parts.layered)
		CLKV_FAIL(error, CLKV_ERROR_UNSUPPORTED,
		          "tunings are kept for one recipe, and layers= has several; allowed: each of them "
		          "by itself");
	return clkv__resolve_band(context, &d, recipe, 0, out, error);
}
