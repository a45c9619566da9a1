/* SPDX-License-Identifier: MIT */
/** \file recipe_print.c \brief The canonical form of a recipe, and the list of what is allowed. */
#include "base/error.h"
#include "recipe/recipe.h"
#include "recipe/recipe_layers.h"
#include "recipe/recipe_real.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct text_out {
	char *text;
	size_t n, at; /* at >= n: it didn't fit */
};

#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
static void
put(struct text_out *out, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	size_t room = out->at < out->n ? out->n - out->at : 0;
	int length = vsnprintf(room ? out->text + out->at : NULL, room, format, args);
	va_end(args);
	out->at += length > 0 ? (size_t)length : 0;
}

static void put_value(struct text_out *out, const struct clkv__key *key, int value)
{
	if (clkv__key_is_real(key)) {
		char real[CLKV__REAL_TEXT];
		clkv__real_format(clkv__slot_real(value), real);
		put(out, "%s", real);
		return;
	}
	if (key->type != CLKV__KEY_NAME) {
		put(out, "%d", value);
		return;
	}
	const char *name = key->allowed;
	for (; value > 0; value--)
		name += strcspn(name, "|") + 1;
	put(out, "%.*s", (int)strcspn(name, "|"), name);
}

static void put_keys(struct text_out *out, const char *before, const struct clkv__key *keys,
                     size_t n_keys, const void *options, const struct clkv__list *list)
{
	for (size_t i = 0; i < n_keys; i++) {
		int value = clkv__key_get(options, &keys[i]);
		if (value == clkv__key_slot(&keys[i], CLKV__UNSET))
			continue;
		put(out, "%s%s=", before, keys[i].name);
		put_value(out, &keys[i], value);
		for (int j = 1; keys[i].type == CLKV__KEY_REALS && j < list->n; j++) {
			put(out, "/");
			put_value(out, &keys[i], clkv__key_slot(&keys[i], (double)list->value[j]));
		}
		before = ",";
	}
}

bool clkv__recipe_format(const struct clkv__recipe *recipe, char *text, size_t n)
{
	struct text_out out = {text, n, 0};
	for (size_t i = 0; i < recipe->n_stages; i++) {
		const struct clkv__recipe_stage *s = &recipe->stages[i];
		put(&out, "%s%s", i ? " | " : "", s->stage->name);
		put_keys(&out, ":", s->stage->keys, s->stage->n_keys, s->options, &recipe->keep);
	}
	put_keys(&out, " ; ", clkv__general_keys, clkv__n_general_keys, &recipe->general, NULL);
	return out.at < n;
}

/* Which layers a part is for, as it was said: of the model nothing is known. */
static bool put_layers(const struct clkv__recipe_parts *p, int part, char *text, size_t n)
{
	if (part != p->sliding && part != p->full)
		return clkv__recipe_format_layers(p->of, p->from >= 0 ? CLKV__MAX_LAYERS : p->known, part,
		                                  p->from >= 0, part == 0, text, n);
	struct text_out out = {text, n, strlen(text)};
	put(&out, "%s%s: ", part == 0 ? "layers=" : " ; ", part == p->sliding ? "sliding" : "full");
	return out.at < n;
}

static clkv_status print_part(const char *recipe, const struct clkv__recipe_parts *p, int part,
                              char *text, size_t n, clkv_error *error)
{
	struct clkv__recipe parsed;
	CLKV_TRY(
		clkv__recipe_parse_part(recipe, p->part[part].begin, p->part[part].end, &parsed, error));
	clkv__general_fill(&parsed, &parsed.general);
	bool fits = !p->layered || put_layers(p, part, text, n);
	size_t at = strlen(text);
	if (!fits || !clkv__recipe_format(&parsed, text + at, n - at))
		CLKV_FAIL(error, CLKV_ERROR_INVALID_RECIPE, "the recipe in full is too long; allowed: %zu",
		          n - 1);
	return CLKV_OK;
}

clkv_status clkv_recipe_print(const char *recipe, char *text, size_t n, clkv_error *error)
{
	clkv__error_clear(error);
	struct clkv__recipe_parts parts;
	char full[CLKV__RECIPE_TEXT] = "";
	CLKV_TRY(clkv__recipe_split(recipe, &parts, error));
	for (int i = 0; i < parts.n; i++)
		CLKV_TRY(print_part(recipe, &parts, i, full, sizeof full, error));
	if (!text || strlen(full) >= n)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT, "text: the recipe needs %zu characters%s",
		          strlen(full) + 1, text ? "" : ", but text is NULL");
	memcpy(text, full, strlen(full) + 1);
	return CLKV_OK;
}

static void put_key_line(struct text_out *out, const struct clkv__key *key)
{
	char range[CLKV__RANGE_TEXT];
	put(out, "%s=", key->name);
	if (key->value != CLKV__UNSET)
		put_value(out, key, clkv__key_slot(key, key->value));
	put(out, ": %s; %s\n", clkv__key_allowed(key, range), key->meaning);
}

static void list_one(clkv_recipe_list_fn fn, void *opaque, const char *name, const char *brief,
                     const char *source, const struct clkv__key *keys, size_t n_keys)
{
	char lines[4096] = "";
	struct text_out out = {lines, sizeof lines, 0};
	for (size_t i = 0; i < n_keys; i++)
		put_key_line(&out, &keys[i]);
	fn(opaque, name, brief, source, lines);
}

void clkv_recipe_list(clkv_recipe_list_fn fn, void *opaque)
{
	for (size_t i = 0; i < clkv__n_stages; i++) {
		const struct clkv__stage *s = clkv__stages[i];
		list_one(fn, opaque, s->name, s->brief, s->source, s->keys, s->n_keys);
	}
	list_one(fn, opaque, ";", "general keys, behind all stages", "-", clkv__general_keys,
	         clkv__n_general_keys);
	list_one(
		fn, opaque, "layers=",
		"in front of several recipes, each for some layers: 'layers=0-1: f16 ; 2-: kivi'. Numbers "
		"and ranges, or by name: 'sliding' of layers with a sliding window, 'full'",
		"-", NULL, 0);
}
