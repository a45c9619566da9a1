/* SPDX-License-Identifier: MIT */
/**
 * \file    info_tuning.c
 * \brief   Asks the library for tunings, as it would choose them or as the device has taken them.
 */
#include "info_tuning.h"

#include <stdio.h>

#include "json_string.h"

static const char *const recipes[] = {"f16", "kivi:bits=4", "kivi:bits=2"};
static const struct {
	int dim, q_heads, kv_heads;
} shapes[] = {{64, 9, 3}, {128, 32, 8}, {128, 8, 8}};

enum { RECIPES = sizeof recipes / sizeof recipes[0], SHAPES = sizeof shapes / sizeof shapes[0] };

/* "lanes=... (source); refused: ...", or why there is none. */
static void ask(clkv_context *context, bool build, const char *recipe, size_t shape, char *text,
                size_t n)
{
	clkv_error error;
	clkv_cache *cache;
	clkv_geometry g = CLKV_INIT(clkv_geometry);
	clkv_cache_options o = CLKV_INIT(clkv_cache_options);
	g.layers = 1;
	g.q_heads = shapes[shape].q_heads;
	g.kv_heads = shapes[shape].kv_heads;
	g.head_dim_k = shapes[shape].dim;
	o.max_tokens = 64;
	clkv_status status;
	if (build) {
		status = clkv_cache_create(context, &g, recipe, &o, &cache, &error);
		if (status == CLKV_OK) {
			(void)clkv_cache_tuning(cache, text, n);
			clkv_cache_destroy(cache);
		}
	} else {
		status = clkv_tune_get(context, &g, recipe, text, n, &error);
	}
	if (status != CLKV_OK)
		(void)snprintf(text, n, "none: %s", error.text);
}

void info_tuning_print(clkv_context *context, bool build)
{
	char text[512];
	for (size_t i = 0; i < SHAPES * RECIPES; i++) {
		const char *recipe = recipes[i % RECIPES];
		const size_t s = i / RECIPES;
		ask(context, build, recipe, s, text, sizeof text);
		(void)printf("       %-11s D %-3d G %d  %s\n", recipe, shapes[s].dim,
		             shapes[s].q_heads / shapes[s].kv_heads, text);
	}
}

void info_tuning_print_json(clkv_context *context, bool build)
{
	char text[512];
	for (size_t i = 0; i < SHAPES * RECIPES; i++) {
		const char *recipe = recipes[i % RECIPES];
		const size_t s = i / RECIPES;
		ask(context, build, recipe, s, text, sizeof text);
		(void)printf("%s{\"recipe\": ", i ? ", " : "[");
		json_string_print(recipe);
		(void)printf(", \"head_dim\": %d, \"group\": %d, \"tuning\": ", shapes[s].dim,
		             shapes[s].q_heads / shapes[s].kv_heads);
		json_string_print(text);
		(void)putchar('}');
	}
	(void)putchar(']');
}
