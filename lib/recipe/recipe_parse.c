/* SPDX-License-Identifier: MIT */
/** \file recipe_parse.c \brief From a string to stages and options; every error has its position. */
#include "base/error.h"
#include "recipe/recipe.h"
#include "recipe/recipe_layers.h"
#include "recipe/recipe_real.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* A word of the recipe: text[begin .. end), without blanks around it. */
struct word {
	const char *text;
	int begin, end;
};

clkv_status clkv__recipe_fail(clkv_error *error, int position, const char *format, ...)
{
	if (error && error->status == CLKV_OK) {
		va_list args;
		va_start(args, format);
		clkv__error_text(error, format, args);
		va_end(args);
		error->status = CLKV_ERROR_INVALID_RECIPE;
		error->position = position;
	}
	return CLKV_ERROR_INVALID_RECIPE;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static struct word trim(const char *text, int begin, int end)
{
	while (begin < end && is_blank(text[begin]))
		begin++;
	while (end > begin && is_blank(text[end - 1]))
		end--;
	return (struct word){text, begin, end};
}

/* The end of the part that begins at begin: the first separator, or end. */
static int part_end(const char *text, int begin, int end, char separator)
{
	int i = begin;
	while (i < end && text[i] != separator)
		i++;
	return i;
}

static bool word_is(struct word w, const char *name, size_t length)
{
	return (size_t)(w.end - w.begin) == length && memcmp(w.text + w.begin, name, length) == 0;
}

/* How much of the word an error text shows. */
static int shown(struct word w)
{
	return w.end - w.begin > 40 ? 40 : w.end - w.begin;
}

static bool parse_int(struct word w, int *value)
{
	int i = w.begin;
	long v = 0;
	if (i == w.end)
		return false;
	for (; i < w.end; i++) {
		if (w.text[i] < '0' || w.text[i] > '9')
			return false;
		v = v * 10 + (w.text[i] - '0');
		if (v > INT_MAX)
			return false;
	}
	*value = (int)v;
	return true;
}

/* The place of the word in "a|b|c", or -1. */
static int find_allowed(const char *allowed, struct word w)
{
	for (int place = 0;; place++) {
		size_t length = strcspn(allowed, "|");
		if (word_is(w, allowed, length))
			return place;
		if (!allowed[length])
			return -1;
		allowed += length + 1;
	}
}

static bool parse_real(const struct clkv__key *key, struct word w, int *value)
{
	float real;
	if (!clkv__real_parse(w.text + w.begin, (size_t)(w.end - w.begin), &real) ||
	    real < (float)key->min || real > (float)key->max)
		return false;
	*value = clkv__key_slot(key, real);
	return key->type != CLKV__KEY_PART || real <= 1 || real == floorf(real);
}

/* "0.5/0.4/...": the first becomes the value, several become the list. */
static bool parse_reals(const struct clkv__key *key, struct word w, int *value,
                        struct clkv__list *list)
{
	int n = 0;
	for (int at = w.begin; at <= w.end; n++) {
		int stop = part_end(w.text, at, w.end, '/'), slot;
		if (n == CLKV__MAX_LIST || !parse_real(key, trim(w.text, at, stop), &slot))
			return false;
		list->value[n] = clkv__slot_real(slot);
		*value = n == 0 ? slot : *value;
		at = stop + 1;
	}
	list->n = n > 1 ? n : 0;
	return true;
}

static bool parse_value(const struct clkv__key *key, struct word w, int *value,
                        struct clkv__list *list)
{
	int place;
	switch (key->type) {
	case CLKV__KEY_INT:
		return parse_int(w, value) && *value >= key->min && *value <= key->max;
	case CLKV__KEY_SET:
		return find_allowed(key->allowed, w) >= 0 && parse_int(w, value);
	case CLKV__KEY_NAME:
		place = find_allowed(key->allowed, w);
		*value = place;
		return place >= 0;
	case CLKV__KEY_REAL:
	case CLKV__KEY_PART:
		return parse_real(key, w, value);
	case CLKV__KEY_REALS:
		return parse_reals(key, w, value, list);
	}
	return false;
}

static clkv_status fail_value(const struct clkv__key *key, const char *owner, struct word w,
                              clkv_error *error)
{
	char range[CLKV__RANGE_TEXT];
	bool joined = part_end(w.text, w.begin, w.end, '=') < w.end;
	return clkv__recipe_fail(error, w.begin, "%s: key '%s' is '%.*s'; allowed: %s%s", owner,
	                         key->name, shown(w), w.text + w.begin, clkv__key_allowed(key, range),
	                         joined ? ", and ',' between keys" : "");
}

/* The value of the first key may stand without its name, if it is a name: "place:host". */
static bool is_bare(const struct clkv__key *keys, size_t n_keys, struct word first)
{
	for (size_t i = 0; i < n_keys; i++)
		if (word_is(first, keys[i].name, strlen(keys[i].name)))
			return false;
	return n_keys > 0 && keys[0].type == CLKV__KEY_NAME && first.begin < first.end;
}

/* "a|b|c" in as much room as an error text has, which says itself when it's cut. */
struct names {
	char text[sizeof((clkv_error *)0)->text];
	size_t at;
};

static void add_name(struct names *names, const char *name)
{
	size_t room = sizeof names->text - names->at;
	int n = snprintf(names->text + names->at, room, "%s%s", names->at ? "|" : "", name);
	names->at += n < (int)room ? (size_t)n : room - 1;
}

static void list_keys(const struct clkv__key *keys, size_t n_keys, struct names *names)
{
	*names = (struct names){"none", 0};
	for (size_t i = 0; i < n_keys; i++)
		add_name(names, keys[i].name);
}

static const struct clkv__key *find_key(const struct clkv__key *keys, size_t n_keys,
                                        struct word name)
{
	for (size_t i = 0; i < n_keys; i++)
		if (word_is(name, keys[i].name, strlen(keys[i].name)))
			return &keys[i];
	return NULL;
}

/* Where a key belongs that stands on the wrong side of the semicolon; "" if it's nobody's. */
static const char *right_place(const struct clkv__key *keys, struct word name)
{
	if (keys != clkv__general_keys)
		return find_key(clkv__general_keys, clkv__n_general_keys, name)
		           ? " (a general key: behind ';')"
		           : "";
	for (size_t i = 0; i < clkv__n_stages; i++)
		if (find_key(clkv__stages[i]->keys, clkv__stages[i]->n_keys, name))
			return " (a stage's: before ';', with ',' between keys)";
	return "";
}

static clkv_status fail_key(const struct clkv__key *keys, size_t n_keys, const char *owner,
                            struct word name, clkv_error *error)
{
	struct names allowed;
	list_keys(keys, n_keys, &allowed);
	return clkv__recipe_fail(error, name.begin, "%s: unknown key '%.*s'%s; allowed: %s", owner,
	                         shown(name), name.text + name.begin, right_place(keys, name),
	                         allowed.text);
}

clkv_status clkv__recipe_parse_keys(const char *text, int begin, int end, const char *owner,
                                    const struct clkv__key *keys, size_t n_keys, void *options,
                                    struct clkv__list *list, clkv_error *error)
{
	unsigned long long given = 0;
	for (int at = begin; at <= end;) {
		int stop = part_end(text, at, end, ',');
		int equals = part_end(text, at, stop, '=');
		struct word name = trim(text, at, equals);
		bool bare = at == begin && equals == stop && is_bare(keys, n_keys, name);
		const struct clkv__key *key = bare ? keys : find_key(keys, n_keys, name);
		if (!key)
			return fail_key(keys, n_keys, owner, name, error);
		size_t i = (size_t)(key - keys);
		if (given >> i & 1)
			return clkv__recipe_fail(error, name.begin, "%s: key '%s' is given twice", owner,
			                         keys[i].name);
		given |= 1ull << i;
		struct word value = bare ? name : trim(text, equals < stop ? equals + 1 : stop, stop);
		int slot = 0;
		if (!parse_value(&keys[i], value, &slot, list))
			return fail_value(&keys[i], owner, value, error);
		clkv__key_set(options, &keys[i], slot);
		at = stop + 1;
	}
	return CLKV_OK;
}

static void set_defaults(const struct clkv__key *keys, size_t n_keys, void *options)
{
	for (size_t i = 0; i < n_keys; i++)
		clkv__key_set(options, &keys[i], clkv__key_slot(&keys[i], keys[i].value));
}

static const struct clkv__stage *find_stage(struct word name)
{
	for (size_t i = 0; i < clkv__n_stages; i++)
		if (word_is(name, clkv__stages[i]->name, strlen(clkv__stages[i]->name)))
			return clkv__stages[i];
	return NULL;
}

static clkv_status fail_stage(struct word name, clkv_error *error)
{
	struct names allowed = {"", 0};
	for (size_t i = 0; i < clkv__n_stages; i++)
		add_name(&allowed, clkv__stages[i]->name);
	if (name.begin == name.end)
		return clkv__recipe_fail(error, name.begin, "a stage is missing; allowed: %s",
		                         allowed.text);
	return clkv__recipe_fail(error, name.begin, "unknown stage '%.*s'; allowed: %s", shown(name),
	                         name.text + name.begin, allowed.text);
}

static clkv_status parse_stage(const char *text, int begin, int end, struct clkv__recipe *recipe,
                               clkv_error *error)
{
	int colon = part_end(text, begin, end, ':');
	struct word name = trim(text, begin, colon);
	const struct clkv__stage *stage = find_stage(name);
	if (!stage)
		return fail_stage(name, error);
	if (recipe->n_stages == CLKV__MAX_STAGES)
		return clkv__recipe_fail(error, name.begin,
		                         "stage '%s' is one too many; allowed: %d stages", stage->name,
		                         CLKV__MAX_STAGES);
	if (recipe->n_stages > 0) {
		const struct clkv__stage *before = recipe->stages[recipe->n_stages - 1].stage;
		if (before->kind >= stage->kind)
			return clkv__recipe_fail(error, name.begin,
			                         "stage '%s' can't come behind '%s'; allowed order: select, "
			                         "merge, prune, project, encode, index, place, one of each",
			                         stage->name, before->name);
	}
	struct clkv__recipe_stage *s = &recipe->stages[recipe->n_stages++];
	s->stage = stage;
	s->position = name.begin;
	set_defaults(stage->keys, stage->n_keys, s->options);
	if (colon == end)
		return CLKV_OK;
	char owner[48];
	snprintf(owner, sizeof owner, "stage '%s'", stage->name);
	return clkv__recipe_parse_keys(text, colon + 1, end, owner, stage->keys, stage->n_keys,
	                               s->options, &recipe->keep, error);
}

clkv_status clkv__recipe_parse_part(const char *text, int begin, int end,
                                    struct clkv__recipe *recipe, clkv_error *error)
{
	struct clkv__recipe r = {0};
	int stages_end = part_end(text, begin, end, ';');
	set_defaults(clkv__general_keys, clkv__n_general_keys, &r.general);
	for (int at = begin; at <= stages_end;) {
		int stop = part_end(text, at, stages_end, '|');
		CLKV_TRY(parse_stage(text, at, stop, &r, error));
		at = stop + 1;
	}
	struct word general = trim(text, stages_end < end ? stages_end + 1 : end, end);
	int second = part_end(text, general.begin, general.end, ';');
	if (second < general.end)
		return clkv__recipe_fail(error, second,
		                         "general keys: a second ';'; allowed: one ';' "
		                         "behind all stages, and ',' between keys");
	if (general.begin < general.end)
		CLKV_TRY(clkv__recipe_parse_keys(text, general.begin, general.end, "general keys",
		                                 clkv__general_keys, clkv__n_general_keys, &r.general, NULL,
		                                 error));
	*recipe = r;
	return CLKV_OK;
}

clkv_status clkv__recipe_length(const char *text, int *length, clkv_error *error)
{
	size_t n = text ? strlen(text) : 0;
	if (!text || n > 4096)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT, "recipe is %s; allowed: 1 to 4096 characters",
		          text ? "too long" : "NULL");
	*length = (int)n;
	return CLKV_OK;
}

clkv_status clkv__recipe_parse(const char *text, struct clkv__recipe *recipe, clkv_error *error)
{
	int length = 0;
	CLKV_TRY(clkv__recipe_length(text, &length, error));
	return clkv__recipe_parse_part(text, 0, length, recipe, error);
}
