/* SPDX-License-Identifier: MIT */
/** \file recipe_layers.c \brief From "layers=0-1: f16 ; 2-: kivi" to a recipe for each layer. */
#include "recipe/recipe_layers.h"

#include "base/error.h"

#include <stdio.h>
#include <string.h>

#define ALLOWED "numbers and ranges such as 0-1,4,6- below 1024, or one of: sliding, full"

/* What is left of a part of the text. */
struct scan {
	const char *text;
	int at, end;
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static void skip_blanks(struct scan *s)
{
	while (s->at < s->end && strchr(" \t\n\r", s->text[s->at]))
		s->at++;
}

static bool take(struct scan *s, const char *word)
{
	size_t n = strlen(word);
	skip_blanks(s);
	if ((size_t)(s->end - s->at) < n || memcmp(s->text + s->at, word, n) != 0)
		return false;
	s->at += (int)n;
	return true;
}

/* A number below CLKV__MAX_LAYERS, or -1. */
static int take_number(struct scan *s)
{
	int n = -1;
	skip_blanks(s);
	for (; s->at < s->end && is_digit(s->text[s->at]); s->at++) {
		n = (n < 0 ? 0 : n * 10) + (s->text[s->at] - '0');
		if (n >= CLKV__MAX_LAYERS)
			return -1;
	}
	return n;
}

static int find(const char *text, int begin, int end, char c)
{
	while (begin < end && text[begin] != c)
		begin++;
	return begin;
}

static clkv_status fail_layers(const struct scan *s, int colon, clkv_error *error)
{
	int begin = s->at < colon ? s->at : colon, n = colon - begin;
	return clkv__recipe_fail(error, begin,
	                         "layers: '%.*s' stands where layers are named; allowed: " ALLOWED,
	                         n > 40 ? 40 : n, s->text + begin);
}

/* Layers from .. to become the newest part's. */
static clkv_status give(struct clkv__recipe_parts *p, int from, int to, int position,
                        clkv_error *error)
{
	for (int i = from; i <= to; i++) {
		if (p->of[i] != CLKV__NO_BAND)
			return clkv__recipe_fail(
				error, position, "layers: layer %d is named twice; allowed: one recipe for each",
				i);
		p->of[i] = (unsigned char)(p->n - 1);
	}
	return CLKV_OK;
}

static clkv_status take_range(struct scan *s, struct clkv__recipe_parts *p, clkv_error *error)
{
	skip_blanks(s);
	int position = s->at, from = take_number(s), to = from;
	struct scan wrong = {s->text, position, s->end};
	if (from < 0)
		return fail_layers(&wrong, s->end, error);
	if (take(s, "-")) {
		skip_blanks(s);
		to = s->at < s->end && is_digit(s->text[s->at]) ? take_number(s) : CLKV__MAX_LAYERS;
		if (to < from)
			return fail_layers(&wrong, s->end, error);
	}
	bool open = to == CLKV__MAX_LAYERS;
	p->from = open ? from : p->from;
	p->known = !open && to >= p->known ? to + 1 : p->known;
	return give(p, from, open ? to - 1 : to, position, error);
}

/* "sliding" or "full", which is all that the part names. */
static bool take_name(struct scan *s, struct clkv__recipe_parts *p, int **which)
{
	*which = take(s, "sliding") ? &p->sliding : take(s, "full") ? &p->full : NULL;
	skip_blanks(s);
	return *which != NULL && s->at == s->end;
}

static clkv_status name_part(struct clkv__recipe_parts *p, int *which, int position,
                             clkv_error *error)
{
	if (*which >= 0)
		return clkv__recipe_fail(error, position,
		                         "layers: these are named twice; allowed: one recipe for each");
	*which = p->n - 1;
	return CLKV_OK;
}

/* The layers of text[begin .. colon). */
static clkv_status take_layers(const char *text, int begin, int colon, struct clkv__recipe_parts *p,
                               clkv_error *error)
{
	struct scan s = {text, begin, colon};
	int *which;
	skip_blanks(&s);
	int position = p->part[p->n - 1].position = s.at;
	if (take_name(&s, p, &which))
		CLKV_TRY(name_part(p, which, position, error));
	else
		for (s.at = position;; s.at++) {
			CLKV_TRY(take_range(&s, p, error));
			skip_blanks(&s);
			if (s.at == colon)
				break;
			if (text[s.at] != ',')
				return fail_layers(&s, colon, error);
		}
	bool named = p->sliding >= 0 || p->full >= 0;
	if (named && (p->known > 0 || p->from >= 0))
		return clkv__recipe_fail(error, position,
		                         "layers: some are named by number, others as sliding or full; "
		                         "allowed: one of the two");
	return CLKV_OK;
}

/* Whether a part begins at text[begin]: layers and a colon, not general keys. */
static bool begins_part(const char *text, int begin, int end)
{
	struct scan s = {text, begin, end};
	int colon = find(text, begin, end, ':');
	skip_blanks(&s);
	return (s.at < end && is_digit(text[s.at])) ||
	       (colon < end && colon < find(text, begin, end, '='));
}

static clkv_status add_part(const char *text, int begin, int end, struct clkv__recipe_parts *p,
                            clkv_error *error)
{
	int colon = find(text, begin, end, ':');
	if (p->n == CLKV__MAX_BANDS)
		return clkv__recipe_fail(error, begin, "layers: more than %d recipes", CLKV__MAX_BANDS);
	if (colon == end)
		return clkv__recipe_fail(
			error, begin,
			"layers: a ':' is missing; allowed: layers, ':' and their recipe, " ALLOWED);
	p->part[p->n++] = (struct clkv__recipe_part){begin, colon + 1, end};
	return take_layers(text, begin, colon, p, error);
}

/* All layers up to the last one that is named must have a recipe, whatever the model. */
static clkv_status check_gaps(const struct clkv__recipe_parts *p, int position, clkv_error *error)
{
	int most = p->from >= 0 ? CLKV__MAX_LAYERS : p->known;
	for (int i = 0; i < most; i++)
		if (p->of[i] == CLKV__NO_BAND)
			return clkv__recipe_fail(
				error, position, "layers: layer %d has no recipe; allowed: one for each layer", i);
	return CLKV_OK;
}

static clkv_status split(const char *text, int begin, int end, struct clkv__recipe_parts *p,
                         clkv_error *error)
{
	for (int at = begin, stop; at <= end; at = stop + 1) {
		stop = find(text, at, end, ';');
		if (at == begin || begins_part(text, at, stop))
			CLKV_TRY(add_part(text, at, stop, p, error));
		else
			p->part[p->n - 1].end = stop;
	}
	return check_gaps(p, begin, error);
}

clkv_status clkv__recipe_split(const char *text, struct clkv__recipe_parts *parts,
                               clkv_error *error)
{
	int length = 0;
	CLKV_TRY(clkv__recipe_length(text, &length, error));
	struct clkv__recipe_parts p = {.from = -1, .sliding = -1, .full = -1};
	struct scan s = {text, 0, length};
	memset(p.of, CLKV__NO_BAND, sizeof p.of);
	p.layered = take(&s, "layers") && take(&s, "=");
	if (p.layered) {
		CLKV_TRY(split(text, s.at, s.end, &p, error));
	} else {
		p.n = 1;
		p.part[0] = (struct clkv__recipe_part){0, 0, s.end};
	}
	*parts = p;
	return CLKV_OK;
}

/* The part of a layer, or CLKV__NO_BAND. */
static int part_of(const struct clkv__recipe_parts *p, const struct clkv__shape *shape, int layer)
{
	if (!p->layered)
		return 0;
	if (p->sliding < 0 && p->full < 0)
		return p->of[layer];
	int part = shape->window && shape->window[layer] > 0 ? p->sliding : p->full;
	return part >= 0 ? part : CLKV__NO_BAND;
}

static clkv_status check_model(const struct clkv__recipe_parts *p, const struct clkv__shape *shape,
                               clkv_error *error)
{
	int behind = p->known > shape->layers ? p->known - 1 : p->from >= shape->layers ? p->from : -1;
	if (behind >= 0)
		return clkv__recipe_fail(error, p->part[p->of[behind]].position,
		                         "layers: there is no layer %d; allowed: 0 to %d", behind,
		                         shape->layers - 1);
	for (int i = 0; i < shape->layers; i++)
		if (part_of(p, shape, i) == CLKV__NO_BAND)
			return clkv__recipe_fail(
				error, p->part[0].position,
				"layers: layer %d has no recipe; allowed: one for each of %d layers", i,
				shape->layers);
	return CLKV_OK;
}

static int window_of(const struct clkv__shape *shape, int layer)
{
	return shape->window ? shape->window[layer] : 0;
}

/* The next band: layers of the first one's part that none has yet, of its window if the part is plain. */
static void add_band(const struct clkv__recipe_parts *parts, const struct clkv__shape *shape,
                     int part, bool plain, int first, struct clkv__banding *b)
{
	uint16_t n = 0;
	for (int i = first; i < shape->layers; i++)
		if (b->of[i] == CLKV__NO_BAND && part_of(parts, shape, i) == part &&
		    (!plain || window_of(shape, i) == window_of(shape, first))) {
			b->of[i] = (unsigned char)b->n;
			b->number_in[i] = n++;
		}
	b->part[b->n++] = (unsigned char)part;
}

clkv_status clkv__recipe_bands(const struct clkv__recipe_parts *parts,
                               const struct clkv__shape *shape, const bool *plain,
                               struct clkv__banding *bands, clkv_error *error)
{
	struct clkv__banding b = {.layers = shape->layers};
	CLKV_TRY(check_model(parts, shape, error));
	memset(b.of, CLKV__NO_BAND, sizeof b.of);
	for (int part = 0; part < parts->n; part++)
		for (int i = 0; i < shape->layers; i++) {
			if (b.of[i] != CLKV__NO_BAND || part_of(parts, shape, i) != part)
				continue;
			if (b.n == CLKV__MAX_BANDS)
				return clkv__recipe_fail(error, parts->part[part].position,
				                         "layers: recipes and sliding windows make more than %d "
				                         "kinds of layers",
				                         CLKV__MAX_BANDS);
			add_band(parts, shape, part, parts->layered && plain[part], i, &b);
		}
	*bands = b;
	return CLKV_OK;
}

bool clkv__recipe_format_layers(const unsigned char *of, int n, int part, bool open, bool first,
                                char *text, size_t room)
{
	const char *before = first ? "layers=" : " ; ";
	size_t at = strlen(text);
	for (int i = 0, to; i < n; i = to) {
		for (to = i + 1; to < n && of[to] == of[i];)
			to++;
		if (of[i] != part)
			continue;
		int length = open && to == n ? snprintf(text + at, room - at, "%s%d-", before, i)
		             : to == i + 1   ? snprintf(text + at, room - at, "%s%d", before, i)
		                             : snprintf(text + at, room - at, "%s%d-%d", before, i, to - 1);
		if (length < 0 || (size_t)length >= room - at)
			return false;
		at += (size_t)length;
		before = ",";
	}
	if (at + 2 >= room)
		return false;
	memcpy(text + at, ": ", 3);
	return true;
}
