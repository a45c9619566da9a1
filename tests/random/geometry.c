/* SPDX-License-Identifier: MIT */
/** \file geometry.c \brief Geometries of random runs. */
#include "geometry.h"

#include "../support/random.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The text behind "key=", or NULL. */
static const char *value_of(const char *text, const char *key)
{
	size_t n = strlen(key);
	for (const char *at = text; at; at = strchr(at, ',')) {
		at += *at == ',';
		if (strncmp(at, key, n) == 0 && at[n] == '=')
			return at + n + 1;
	}
	return NULL;
}

static int number_of(const char *text, const char *key, int otherwise)
{
	const char *value = value_of(text, key);
	return value ? atoi(value) : otherwise;
}

static void read_windows(const char *value, int layers, int *windows)
{
	for (int i = 0; i < layers; i++) {
		windows[i] = value ? atoi(value) : 0;
		value = value ? strpbrk(value, "/,") : NULL;
		value = value && *value == '/' ? value + 1 : NULL;
	}
}

int geometry_layers(const char *text)
{
	int layers = number_of(text, "layers", 1);
	return layers < 1 ? 1 : layers > 4 ? 4 : layers;
}

bool geometry_read(const char *text, clkv_geometry *g, int *windows)
{
	const char *scale = value_of(text, "scale"), *softcap = value_of(text, "softcap");
	*g = (clkv_geometry)CLKV_INIT(clkv_geometry);
	g->layers = number_of(text, "layers", 1);
	g->kv_heads = number_of(text, "kv", 1);
	g->q_heads = number_of(text, "q", g->kv_heads);
	g->head_dim_k = number_of(text, "dk", 0);
	g->head_dim_v = number_of(text, "dv", g->head_dim_k);
	g->scale = scale ? strtof(scale, NULL) : 0.0f;
	g->softcap = softcap ? strtof(softcap, NULL) : 0.0f;
	if (g->layers < 1 || g->layers > 4 || g->head_dim_k < 16)
		return false;
	/* Callers rotate themselves and say how: facts_rule.c */
	g->rope = (clkv_rope){.kind = CLKV_ROPE_HALVES, .dims = 16};
	read_windows(value_of(text, "windows"), g->layers, windows);
	if (value_of(text, "windows"))
		g->window = windows;
	return true;
}

static const char *const shapes[] = {
	"layers=2,q=6,kv=2,dk=64,dv=64",   "layers=2,q=4,kv=2,dk=32,dv=16",
	"layers=1,q=6,kv=1,dk=16,dv=32",   "layers=1,q=8,kv=8,dk=16,dv=16",
	"layers=3,q=4,kv=1,dk=48,dv=64",   "layers=1,q=8,kv=1,dk=128,dv=128",
	"layers=1,q=2,kv=1,dk=256,dv=256", "layers=4,q=2,kv=2,dk=16,dv=16",
	"layers=1,q=5,kv=1,dk=96,dv=96",   "layers=1,q=2,kv=2,dk=192,dv=128",
	"layers=2,q=7,kv=1,dk=32,dv=32",   "layers=1,q=9,kv=3,dk=80,dv=80",
};

void geometry_draw(uint64_t seed, char *text, size_t n)
{
	uint64_t state = random_mix(seed, 4);
	const char *shape = shapes[random_below(random_next(&state), sizeof shapes / sizeof *shapes)];
	char more[96] = "";
	size_t window = random_below(random_next(&state), 100);
	if (random_below(random_next(&state), 5) == 0)
		snprintf(more, sizeof more, ",windows=%zu/0/%zu/0", window + 1, 2 * window + 1);
	if (random_below(random_next(&state), 5) == 0)
		strcat(more, ",softcap=10");
	if (random_below(random_next(&state), 4) == 0)
		strcat(more, ",scale=0.2");
	snprintf(text, n, "%s%s", shape, more);
}
