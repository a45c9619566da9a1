/* SPDX-License-Identifier: MIT */
/** \file figures.c \brief What single methods count, by name. */
#include "base/error.h"
#include "place/place.h"
#include "store/cache.h"

#include <math.h>
#include <string.h>

struct figure {
	const char *name, *unit, *meaning;
	bool (*has)(const clkv_cache *cache);
	double (*get)(const clkv_cache *cache);
	bool most; /* of several bands the largest, else their sum */
};

/* Whether the codec can check what it has promised. */
static bool is_bounded(const clkv_cache *c)
{
	const struct clkv__codec *codec = c->plan.sealing.codec;
	return !c->plan.sealing.dense && codec->verify.file;
}

static bool has_moves(const clkv_cache *c)
{
	return c->sizes.moves;
}

static double bound_k(const clkv_cache *c)
{
	return fmax((double)c->counters.bound_k, (double)c->loaded_scale[0] / 2);
}

static double bound_v(const clkv_cache *c)
{
	return fmax((double)c->counters.bound_v, (double)c->loaded_scale[1] / 2);
}

static double values_checked(const clkv_cache *c)
{
	return (double)c->values_checked;
}

static double values_broken(const clkv_cache *c)
{
	return (double)c->counters.broken;
}

static double moved_to_host(const clkv_cache *c)
{
	return (double)c->place->moved.to_host;
}

static double moved_to_device(const clkv_cache *c)
{
	return (double)c->place->moved.to_device;
}

static double rows_asked(const clkv_cache *c)
{
	return (double)c->place->moved.asked;
}

static double rows_found(const clkv_cache *c)
{
	return (double)c->place->moved.found;
}

static const struct figure figures[] = {
	{"kvcomp.bound_k", "", "largest error that a value of K sealed so far may have; 0: none is",
     is_bounded, bound_k, true},
	{"kvcomp.bound_v", "", "the same of V", is_bounded, bound_v, true},
	{"kvcomp.values_checked", "values", "decoded and compared since creation, with verify=1",
     is_bounded, values_checked, false},
	{"kvcomp.values_broken", "values", "of those, beyond their bound: 0, or the device is at fault",
     is_bounded, values_broken, false},
	{"place.moved_to_host", "bytes", "of sealed blocks that have left the device", has_moves,
     moved_to_host, false},
	{"place.moved_to_device", "bytes",
     "of rows that were recalled to it; via=attend: of partial sums", has_moves, moved_to_device,
     false},
	{"place.rows_asked", "rows", "that KV heads of layers have recalled", has_moves, rows_asked,
     false},
	{"place.rows_found", "rows", "of those, that were on the device already", has_moves, rows_found,
     false},
};
enum { N_FIGURES = sizeof figures / sizeof figures[0] };

static const struct figure *find(const char *name)
{
	for (size_t i = 0; i < N_FIGURES; i++)
		if (strcmp(figures[i].name, name) == 0)
			return &figures[i];
	return NULL;
}

static bool is_there(const struct figure *f, const clkv_cache *cache)
{
	while (cache && !f->has(cache))
		cache = cache->next_band;
	return cache != NULL;
}

/* Adds up what the bands that have the figure say. */
static double value_of(const struct figure *f, clkv_cache *cache)
{
	double all = 0;
	for (; cache; cache = cache->next_band)
		if (f->has(cache)) {
			clkv__counters_poll(&cache->counters);
			double one = f->get(cache);
			all = f->most ? fmax(all, one) : all + one;
		}
	return all;
}

clkv_status clkv_cache_figure(const clkv_cache *cache, const char *name, double *value,
                              clkv_error *error)
{
	clkv__error_clear(error);
	if (!cache || !name || !value)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT, "%s is NULL",
		          !cache  ? "cache"
		          : !name ? "name"
		                  : "value");
	const struct figure *f = find(name);
	if (!f)
		CLKV_FAIL(error, CLKV_ERROR_INVALID_ARGUMENT,
		          "no figure is named '%.40s'; allowed: those of clkv_cache_list_figures", name);
	if (!is_there(f, cache))
		CLKV_FAIL(error, CLKV_ERROR_UNSUPPORTED, "recipe '%.80s' has no figure '%s'",
		          clkv__cache_recipe(cache), name);
	clkv_cache *c = (clkv_cache *)cache; /* for the mutex and what has arrived */
	clkv__cache_lock(c);
	*value = value_of(f, c);
	clkv__cache_unlock(c);
	return CLKV_OK;
}

void clkv_cache_list_figures(const clkv_cache *cache, clkv_figure_fn fn, void *opaque)
{
	for (size_t i = 0; fn && i < N_FIGURES; i++)
		if (!cache || is_there(&figures[i], cache))
			fn(opaque, figures[i].name, figures[i].unit, figures[i].meaning);
}
