/* SPDX-License-Identifier: MIT */
/**
 * \file    convert_cache.c
 * \brief   The cache that a conversion goes through.
 */
#include <stdlib.h>
#include <string.h>

#include "convert.h"
#include "engine.h"

clkv_dtype convert_dtype(enum llama_type type)
{
	return type == LLAMA_F16 ? CLKV_F16 : type == LLAMA_BF16 ? CLKV_BF16 : CLKV_F32;
}

bool convert_cache_model(const struct convert *convert, struct convert_cache *c,
                         struct tool_error *error)
{
	if (convert->model == NULL)
		return true;
	if (!model_open(convert->model, &c->model, error))
		return false;
	c->geometry = engine_geometry(c->model);
	c->geometry.rope.by_library = 0; /* files have rotated keys */
	return true;
}

static bool open_device(const struct convert *convert, struct convert_cache *c,
                        struct tool_error *error)
{
	clkv_error cause = {0};
	cl_int code;
	if (clkv_context_open(convert->device, NULL, &c->context, &cause) != CLKV_OK)
		return tool_fail_clkv(error, "opening a device (clkv-info lists them)", &cause);
	c->queue = clCreateCommandQueue(clkv_context_cl(c->context), clkv_context_device(c->context), 0,
	                                &code);
	return code == CL_SUCCESS || tool_fail_cl(error, "clCreateCommandQueue", code);
}

/* Files for recipes that take them, which name the model that they belong to. */
static bool read_given(const struct convert *convert, struct convert_cache *c, const char *recipe,
                       clkv_cache_options *options, struct tool_error *error)
{
	const struct given_paths *paths = &convert->given;
	if (!paths->codebook && !paths->rotation && !paths->calibration && !paths->factors)
		return true;
	if (c->model == NULL)
		return tool_fail(
			error,
			"--codebook, --rotation, --calibration and --factors need --model, whose they must be");
	if (!given_files_read(paths, &c->given, error))
		return false;
	given_files_offer(&c->given, recipe, model_fingerprint(c->model), options);
	return true;
}

static bool make_cache(struct convert_cache *c, const char *recipe,
                       const clkv_cache_options *options, struct tool_error *error)
{
	clkv_error cause = {0};
	if (clkv_cache_create(c->context, &c->geometry, recipe, options, &c->cache, &cause) == CLKV_OK)
		return true;
	if (cause.status == CLKV_ERROR_INVALID_RECIPE && cause.position >= 0 &&
	    (size_t)cause.position < strlen(recipe))
		return tool_fail(error, "recipe '%s', at '%s': %s", recipe, recipe + cause.position,
		                 cause.text);
	return tool_fail_clkv(error, recipe, &cause);
}

/* State files can't say which tokens of a sequence are left. */
static bool keeps_all(struct convert_cache *c, const char *recipe, struct tool_error *error)
{
	clkv_error cause = {0};
	clkv_stats stats = CLKV_INIT(clkv_stats);
	if (clkv_cache_stats(c->cache, &stats, &cause) != CLKV_OK)
		return tool_fail_clkv(error, "asking the cache", &cause);
	return stats.allocated.per_slot <= 0 ||
	       tool_fail(error,
	                 "recipe '%s' keeps some tokens only, and the engine's files hold sequences "
	                 "with all of them; allowed are " CONVERT_RECIPES,
	                 recipe);
}

bool convert_cache_open(const struct convert *convert, struct convert_cache *c, const char *recipe,
                        size_t n_tokens, struct tool_error *error)
{
	clkv_cache_options options = CLKV_INIT(clkv_cache_options);
	options.max_tokens = n_tokens > 0 ? n_tokens : 1;
	return open_device(convert, c, error) && read_given(convert, c, recipe, &options, error) &&
	       make_cache(c, recipe, &options, error) && keeps_all(c, recipe, error);
}

void convert_cache_close(struct convert_cache *c)
{
	clkv_seq_destroy(c->seq);
	clkv_cache_destroy(c->cache);
	if (c->queue != NULL)
		(void)clReleaseCommandQueue(c->queue);
	clkv_context_destroy(c->context);
	model_close(c->model);
	given_files_close(&c->given);
	memset(c, 0, sizeof *c);
}
