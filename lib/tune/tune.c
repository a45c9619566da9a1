/* SPDX-License-Identifier: MIT */
/** \file tune.c \brief The order in which tunings are preferred, and tried. */
#include "tune/tune.h"

#include "base/error.h"
#include "tune/family.h"

#include <stdio.h>
#include <string.h>

static struct clkv__tuning from(struct clkv__tuning t, const char *source)
{
	snprintf(t.source, sizeof t.source, "%s", source);
	return t;
}

clkv_status clkv__tune_read(const clkv_device_info *info, const char *what, const char *text,
                            bool whole, struct clkv__tuning *tuning, clkv_error *error)
{
	unsigned most = clkv__most_lanes(info);
	const char *one = clkv__lanes_refusal(info);
	struct clkv__tuning any = *tuning;
	if (text && clkv__tuning_parse(text, most, whole, tuning))
		return CLKV_OK;
	if (one && text && clkv__tuning_parse(text, CLKV__MAX_LANES, whole, &any))
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT, "%s is '%.60s': %s", what, text, one);
	CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT,
	          "%s is '%.60s'; allowed: lanes=L,vec=V%s, L and V powers of two up to %u and %d, "
	          "the others 1 to 64",
	          what, text ? text : "NULL",
	          whole ? ",queries=Q,groups=N,min_blocks=B" : "[,queries=Q][,groups=N][,min_blocks=B]",
	          most, CLKV__MAX_VEC);
}

clkv_status clkv__tune_choose(const clkv_device_info *info, const struct clkv__device_hints *hints,
                              const char *text, struct clkv__tune *tune, clkv_error *error)
{
	tune->family = clkv__family_tuning(clkv__family_find(info, hints), info);
	tune->forced = text && text[0];
	struct clkv__tuning general = tune->family;
	if (tune->forced)
		CLKV_TRY(clkv__tune_read(info, "CLKV_TUNE", text, false, &general, error));
	tune->general = tune->forced ? from(general, "CLKV_TUNE") : general;
	return CLKV_OK;
}

struct clkv__tuning clkv__tune_for(const struct clkv__tune *tune, const char *key)
{
	for (size_t i = 0; !tune->forced && i < tune->list.n; i++)
		if (strcmp(tune->list.entries[i].key, key) == 0)
			return from(tune->list.entries[i].tuning, "tuning file");
	return tune->general;
}

/* Splits stay as they are: nobody refuses them, and memory has been counted for them. */
static struct clkv__tuning shaped(const struct clkv__tuning *chosen, unsigned lanes, unsigned vec,
                                  unsigned queries, const char *source)
{
	struct clkv__tuning t = *chosen;
	t.lanes = lanes;
	t.vec = vec;
	t.queries = queries > 0 ? queries : 1;
	return from(t, source);
}

enum { TRIES = 5 };

static struct clkv__tuning attempt(const struct clkv__tune *tune, const struct clkv__tuning *c,
                                   int i)
{
	const struct clkv__tuning *f = &tune->family;
	switch (i) {
	case 0:
		return *c;
	case 1:
	case 2:
		return shaped(c, c->lanes, c->vec, c->queries >> i, c->source);
	case 3:
		return shaped(c, f->lanes, f->vec, f->queries < c->queries ? f->queries : c->queries,
		              f->source);
	default:
		return shaped(c, 1, 4, c->queries < 8 ? c->queries : 8, "safe");
	}
}

bool clkv__tune_next(const struct clkv__tune *tune, const struct clkv__tuning *chosen, int refused,
                     struct clkv__tuning *out)
{
	struct clkv__tuning tried[TRIES];
	int n = 0;
	for (int i = 0; i < TRIES; i++) {
		bool known = false;
		tried[n] = attempt(tune, chosen, i);
		for (int j = 0; j < n; j++)
			known = known || clkv__tuning_equal(&tried[j], &tried[n]);
		if (known)
			continue;
		if (n == refused) {
			*out = tried[n];
			return true;
		}
		n++;
	}
	return false;
}
