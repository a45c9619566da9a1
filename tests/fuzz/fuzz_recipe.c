/* SPDX-License-Identifier: MIT */
/**
 * \file    fuzz_recipe.c
 * \brief   Any bytes as a recipe: an answer, a position inside the text, a fixed point if accepted.
 */
#include <clkv.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int holds, const char *what, const char *recipe)
{
	if (holds)
		return;
	fprintf(stderr, "%s: '%s'\n", what, recipe);
	abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *recipe = malloc(size + 1);
	char text[1024], again[1024];
	clkv_error error;
	if (!recipe)
		return 0;
	if (size)
		memcpy(recipe, data, size);
	recipe[size] = '\0';
	clkv_status status = clkv_recipe_print(recipe, text, sizeof text, &error);
	if (status == CLKV_OK) {
		require(clkv_recipe_print(text, again, sizeof again, &error) == CLKV_OK,
		        "what was printed isn't accepted", text);
		require(strcmp(text, again) == 0, "printing isn't a fixed point", text);
	} else {
		require(error.status == status, "error and status differ", recipe);
		require(memchr(error.text, '\0', sizeof error.text) != NULL, "text has no end", recipe);
		require(error.position >= -1 && error.position <= (int)strlen(recipe),
		        "position lies outside", recipe);
	}
	free(recipe);
	return 0;
}
