/* SPDX-License-Identifier: MIT */
/** \file demand.c \brief Recipes asked about: whether they run, what they take; before anything is made. */
#include "cache/demand.h"

#include "base/error.h"
#include "base/struct_io.h"
#include "plan/calibration.h"
#include "plan/calibration_image.h"
#include "store/options.h"

#include <string.h>

clkv_status clkv_recipe_check(clkv_context *context, const clkv_geometry *geometry,
                              const char *recipe, clkv_error *error)
{
	struct clkv__division d;
	struct clkv__resolved r;
	clkv__error_clear(error);
	if (!context)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT, "context is NULL");
	CLKV_TRY(clkv__divide(geometry, recipe, &d, error));
	for (int i = 0; i < d.bands.n; i++)
		CLKV_TRY(clkv__resolve_band(context, &d, recipe, i, &r, error));
	return CLKV_OK;
}

const void *clkv__options_file(const clkv_cache_options *o, enum clkv__given given, size_t *size)
{
	switch (given) {
	case CLKV__GIVEN_ROTATION:
		*size = o->rotation_size;
		return o->rotation;
	case CLKV__GIVEN_CALIBRATION:
		*size = o->calibration_size;
		return o->calibration;
	case CLKV__GIVEN_FACTORS:
		*size = o->factors_size;
		return o->factors;
	default:
		*size = 0;
		return NULL;
	}
}

/* One of the recipes must have use for what is given. */
static clkv_status check_asked(const struct clkv__demands *d, clkv_error *error)
{
	size_t size;
	for (enum clkv__given i = CLKV__GIVEN_NOTHING; i < CLKV__GIVENS; i++)
		if (!d->asks[i] && clkv__options_file(&d->options, i, &size))
			CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT,
			          "cache options: %s is given, but the recipe has none; allowed: NULL, or a "
			          "recipe with %s",
			          clkv__given_name(i), clkv__given_asked(i));
	return CLKV_OK;
}

/* A codebook is for all layers of a cache: of several bands none is. */
static clkv_status check_codebook(const struct clkv__division *division,
                                  const clkv_cache_options *options, clkv_error *error)
{
	if (division->bands.n > 1 && options && options->codebook)
		CLKV_FAIL(
			error, CLKV_ERROR_UNSUPPORTED,
			"cache options: codebook is given, but layers= has several recipes; allowed: NULL, "
			"or one recipe for all layers");
	return CLKV_OK;
}

/* How large blocks are expected to be, which a calibration tells, distrusted. */
static clkv_status read_room(const struct clkv__shape *whole, struct clkv__resolved *r,
                             const clkv_cache_options *o, clkv_error *error)
{
	struct clkv__variant *v = &r->plan.sealing;
	CLKV_TRY(clkv__calibration_check(whole, o->calibration, o->calibration_size, o->model, error));
	v->spec.qtc.turned = clkv__calibration_turned(o->calibration);
	if (v->spec.qtc.turned > 0) {
		v->spec.qtc.rope = whole->rope.kind;
		v->spec.qtc.rope_dims = whole->rope.dims;
	}
	clkv__calibration_units(&r->shape, o->calibration, r->plan.general.block, &v->layout,
	                        &v->spec.qtc, r->plan.layer_units);
	return CLKV_OK;
}

clkv_status clkv__demand_band(clkv_context *context, const struct clkv__division *division,
                              const char *recipe, const clkv_cache_options *options, int band,
                              enum clkv__cache_use use, struct clkv__demand *out, clkv_error *error)
{
	struct clkv__resolved *r = &out->resolved;
	clkv_cache_options *o = &out->options;
	CLKV_TRY(clkv__resolve_band(context, division, recipe, band, r, error));
	if (use != CLKV__CACHE_ATTENDS)
		r->plan.recall = (struct clkv__recall){.kind = ABI_INDEX_NONE};
	CLKV_TRY(clkv__options_read(&r->plan, options, o, error));
	CLKV_TRY(check_codebook(division, o, error));
	if (o->calibration && clkv__projection_given(&r->plan) == CLKV__GIVEN_CALIBRATION)
		CLKV_TRY(read_room(&division->whole, r, o, error));
	return clkv__sizes_compute(&r->shape, &r->plan, options, &r->cut, &out->sizes, error);
}

void clkv__bytes_add(clkv_bytes *sum, const clkv_bytes *band)
{
	sum->device += band->device;
	sum->sealed += band->sealed;
	sum->open += band->open;
	sum->tables += band->tables;
	sum->scratch += band->scratch;
	sum->host += band->host;
	sum->per_token += band->per_token;
	sum->per_token_f16 += band->per_token_f16;
	sum->code_tables += band->code_tables;
	sum->index += band->index;
	sum->recalled += band->recalled;
	sum->per_slot += band->per_slot;
	sum->host_sealed += band->host_sealed;
	sum->rotation += band->rotation;
}

static clkv_status check_limits(const clkv_context *context, const struct clkv__demands *d,
                                clkv_error *error)
{
	const clkv_cache_options *o = &d->options;
	const clkv_bytes *b = &d->bytes;
	if (o->max_bytes && b->device > o->max_bytes)
		CLKV_FAIL(error, CLKV_ERROR_NO_DEVICE_MEMORY,
		          "the cache needs %llu device bytes; allowed: max_bytes (%zu)",
		          (unsigned long long)b->device, o->max_bytes);
	if (o->max_host_bytes && b->host > o->max_host_bytes)
		CLKV_FAIL(error, CLKV_ERROR_NO_HOST_MEMORY,
		          "the cache needs %llu host bytes; allowed: max_host_bytes (%zu)",
		          (unsigned long long)b->host, o->max_host_bytes);
	if (b->device > context->info.global_bytes)
		CLKV_FAIL(error, CLKV_ERROR_NO_DEVICE_MEMORY,
		          "the cache needs %llu bytes, device '%s' has %llu: fewer max_tokens, or a recipe "
		          "with fewer bytes per token",
		          (unsigned long long)b->device, context->info.name,
		          (unsigned long long)context->info.global_bytes);
	return CLKV_OK;
}

static clkv_status sum_bands(clkv_context *context, const struct clkv__division *division,
                             const char *recipe, const clkv_cache_options *options,
                             enum clkv__cache_use use, struct clkv__demands *out, clkv_error *error)
{
	struct clkv__demands all = {.bytes = {.struct_size = sizeof all.bytes}};
	for (int i = 0; i < division->bands.n; i++) {
		struct clkv__demand d;
		CLKV_TRY(clkv__demand_band(context, division, recipe, options, i, use, &d, error));
		clkv__bytes_add(&all.bytes, &d.sizes.bytes);
		all.asks[clkv__projection_given(&d.resolved.plan)] = true;
		clkv__factors_use_add(&all.factors, &d.resolved.plan.sealing);
		all.options = d.options;
	}
	*out = all;
	return check_asked(out, error);
}

clkv_status clkv__demand_all(clkv_context *context, const struct clkv__division *division,
                             const char *recipe, const clkv_cache_options *options,
                             enum clkv__cache_use use, struct clkv__demands *out, clkv_error *error)
{
	CLKV_TRY(sum_bands(context, division, recipe, options, use, out, error));
	return check_limits(context, out, error);
}

clkv_status clkv_bytes_required(clkv_context *context, const clkv_geometry *geometry,
                                const char *recipe, const clkv_cache_options *options,
                                clkv_bytes *bytes, clkv_error *error)
{
	struct clkv__division d;
	struct clkv__demands all;
	clkv__error_clear(error);
	if (!context)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT, "context is NULL");
	CLKV_TRY(clkv__divide(geometry, recipe, &d, error));
	CLKV_TRY(sum_bands(context, &d, recipe, options, CLKV__CACHE_ATTENDS, &all, error));
	return clkv__struct_write(bytes, &all.bytes, sizeof all.bytes, "clkv_bytes", error);
}

clkv_status clkv__division_print(const clkv_context *context, const struct clkv__division *division,
                                 const char *recipe, char text[CLKV__RECIPE_TEXT],
                                 clkv_error *error)
{
	const struct clkv__banding *b = &division->bands;
	struct clkv__resolved r;
	text[0] = '\0';
	for (int i = 0; i < b->n; i++) {
		CLKV_TRY(clkv__resolve_band(context, division, recipe, i, &r, error));
		bool fits =
			!division->parts.layered ||
			clkv__recipe_format_layers(b->of, b->layers, i, false, i == 0, text, CLKV__RECIPE_TEXT);
		size_t at = strlen(text);
		if (!fits || !clkv__recipe_format(&r.parsed, text + at, CLKV__RECIPE_TEXT - at))
			CLKV_FAIL(error, CLKV_ERROR_INVALID_RECIPE,
			          "the recipe in full is too long; allowed: %d", CLKV__RECIPE_TEXT - 1);
	}
	return CLKV_OK;
}
