/* SPDX-License-Identifier: MIT */
/**
 * \file    info_tuning.c
 * \brief   Asks the library for tunings, as it would choose them or as the device has taken them.
 */
#include "info_tuning.h"

#include <stdio.h>

#include "json_string.h"
#include "usual.h"

/* One recipe and shape: "lanes=... (source); refused: ...", or why there is none. */
struct answer {
	const char *recipe;
	int dim, group; /* query heads per KV head */
	char tuning[512];
};

enum { ANSWERS = USUAL_SHAPES * USUAL_RECIPES };

static struct answer ask(clkv_context *context, bool build, size_t i)
{
	clkv_error error;
	clkv_cache *cache;
	clkv_geometry g = CLKV_INIT(clkv_geometry);
	clkv_cache_options o = CLKV_INIT(clkv_cache_options);
	const size_t shape = i / USUAL_RECIPES;
	struct answer a = {.recipe = usual_recipes[i % USUAL_RECIPES]};
	g.layers = 1;
	g.q_heads = (int)usual_shapes[shape].q_heads;
	g.kv_heads = (int)usual_shapes[shape].kv_heads;
	g.head_dim_k = a.dim = (int)usual_shapes[shape].head_dim;
	a.group = g.q_heads / g.kv_heads;
	o.max_tokens = 64;
	clkv_status status;
	if (build) {
		status = clkv_cache_create(context, &g, a.recipe, &o, &cache, &error);
		if (status == CLKV_OK) {
			(void)clkv_cache_tuning(cache, a.tuning, sizeof a.tuning, NULL);
			clkv_cache_destroy(cache);
		}
	} else {
		status = clkv_tuning_get(context, &g, a.recipe, a.tuning, sizeof a.tuning, &error);
	}
	if (status != CLKV_OK)
		(void)snprintf(a.tuning, sizeof a.tuning, "none: %s", error.text);
	return a;
}

void info_tuning_print(clkv_context *context, bool build)
{
	for (size_t i = 0; i < ANSWERS; i++) {
		const struct answer a = ask(context, build, i);
		(void)printf("       %-11s D %-3d G %d  %s\n", a.recipe, a.dim, a.group, a.tuning);
	}
}

void info_tuning_print_json(clkv_context *context, bool build)
{
	for (size_t i = 0; i < ANSWERS; i++) {
		const struct answer a = ask(context, build, i);
		(void)printf("%s{\"recipe\": ", i ? ", " : "[");
		json_string_print(stdout, a.recipe);
		(void)printf(", \"head_dim\": %d, \"group\": %d, \"tuning\": ", a.dim, a.group);
		json_string_print(stdout, a.tuning);
		(void)putchar('}');
	}
	(void)putchar(']');
}
