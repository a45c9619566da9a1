/* SPDX-License-Identifier: MIT */
/** \file recipe_keys.c \brief The general keys of a recipe; what a key may be. */
#include "recipe/recipe.h"

#include "recipe/recipe_real.h"

#include <stdio.h>

#define AT(field) offsetof(struct clkv__general, field)

const struct clkv__key clkv__general_keys[] = {
	{"window", CLKV__KEY_INT, AT(window), 0, 1 << 20, NULL, CLKV__UNSET,
     "newest tokens that stay in half; the default is the stage's"},
	{"sinks", CLKV__KEY_INT, AT(sinks), 0, 1 << 20, NULL, CLKV__UNSET,
     "first tokens that stay in half; the default is the stage's"},
	{"block", CLKV__KEY_SET, AT(block), 0, 0, "32|64|128", 64, "tokens of a block"},
	{"skip", CLKV__KEY_INT, AT(skip), 0, 1024, NULL, CLKV__UNSET,
     "first layers that stay in half; the default is the stage's"},
	{"seal", CLKV__KEY_NAME, AT(seal), 0, 0, "chunk|prompt", CLKV__UNSET,
     "when a prompt is sealed: with each chunk, or at its end; the default is the stage's"},
	{"budget_bytes", CLKV__KEY_INT, AT(budget_bytes), 1, 1 << 30, NULL, CLKV__UNSET,
     "bytes that K and V of a KV head's slots may take in a layer: of a stage that selects, in "
     "place "
     "of its budget"},
};
const size_t clkv__n_general_keys = sizeof clkv__general_keys / sizeof clkv__general_keys[0];

static int most(int a, int b)
{
	return a > b ? a : b;
}

void clkv__general_fill(const struct clkv__recipe *recipe, struct clkv__general *general)
{
	struct clkv__general usual = {.window = 0};
	for (size_t i = 0; i < recipe->n_stages; i++) {
		const struct clkv__stage *stage = recipe->stages[i].stage;
		usual.seal |= stage->prompt;
		usual.window = most(usual.window, stage->window);
		usual.sinks = most(usual.sinks, stage->sinks);
		usual.skip = most(usual.skip, stage->skip);
	}
	if (general->seal == CLKV__UNSET)
		general->seal = usual.seal;
	if (general->window == CLKV__UNSET)
		general->window = usual.window;
	if (general->sinks == CLKV__UNSET)
		general->sinks = usual.sinks;
	if (general->skip == CLKV__UNSET)
		general->skip = usual.skip;
}

const char *clkv__key_allowed(const struct clkv__key *key, char text[CLKV__RANGE_TEXT])
{
	if (key->type == CLKV__KEY_INT) {
		snprintf(text, CLKV__RANGE_TEXT, "%d to %d", (int)key->min, (int)key->max);
	} else if (clkv__key_is_real(key)) {
		char min[CLKV__REAL_TEXT], max[CLKV__REAL_TEXT];
		clkv__real_format((float)key->min, min);
		clkv__real_format((float)key->max, max);
		if (key->type == CLKV__KEY_PART)
			snprintf(text, CLKV__RANGE_TEXT, "%s to 1, a share, or 2 to %s, a whole number", min,
			         max);
		else
			snprintf(text, CLKV__RANGE_TEXT, "%s to %s%s", min, max,
			         key->type == CLKV__KEY_REALS ? ", or a list: a/b/c" : "");
	} else {
		return key->allowed;
	}
	return text;
}
