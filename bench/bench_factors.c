/* SPDX-License-Identifier: MIT */
/** \file bench_factors.c \brief Identities as factors, random dictionaries. */
#include "bench_factors.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Matrices of a side of all heads: down [heads][dim][rank], up [heads][rank][dim]. */
struct side {
	size_t dim, rank, chunks; /* chunks 0: no dictionary */
	float *down, *up;
};

/* The number behind a key of the recipe, or the usual one. */
static size_t number_of(const char *recipe, const char *key, size_t usual)
{
	const char *at = strstr(recipe, key);
	return at != NULL ? (size_t)strtoul(at + strlen(key), NULL, 10) : usual;
}

/* Between -0.5 and 0.5. */
static float random_value(uint32_t *state)
{
	*state = *state * 1664525U + 1013904223U;
	return (float)(*state >> 8) / 16777216.0F - 0.5F;
}

/* One chunk's part of an atom gets length 1. */
static void fill_part(float *part, size_t dim, uint32_t *state)
{
	float square = 0;
	for (size_t c = 0; c < dim; c++) {
		part[c] = random_value(state);
		square += part[c] * part[c];
	}
	for (size_t c = 0; c < dim; c++)
		part[c] /= sqrtf(square);
}

static void fill(const struct side *s, size_t heads)
{
	uint32_t state = 1;
	for (size_t i = 0; i < heads * s->rank; i++) {
		const size_t head = i / s->rank, n = i % s->rank;
		float *up = s->up + i * s->dim;
		if (s->chunks == 0)
			up[n] = 1.0F;
		for (size_t c = 0; c < s->chunks; c++)
			fill_part(up + c * (s->dim / s->chunks), s->dim / s->chunks, &state);
		for (size_t c = 0; c < s->dim; c++)
			s->down[(head * s->dim + c) * s->rank + n] = up[c];
	}
}

static bool open_side(struct side *s, size_t heads)
{
	s->down = calloc(heads * s->dim * s->rank, sizeof *s->down);
	s->up = calloc(heads * s->dim * s->rank, sizeof *s->up);
	if (s->down == NULL || s->up == NULL)
		return false;
	fill(s, heads);
	return true;
}

bool bench_asks_for_factors(const char *recipe)
{
	static const char *const stages[] = {"lowrank", "lorc", "recalkv", "cskv", "csr", "clla"};
	for (size_t i = 0; i < sizeof stages / sizeof stages[0]; i++)
		if (strstr(recipe, stages[i]) != NULL)
			return true;
	return false;
}

bool bench_turns_keys(const char *recipe)
{
	return strstr(recipe, "lorc") != NULL || strstr(recipe, "recalkv") != NULL ||
	       strstr(recipe, "clla") != NULL || strstr(recipe, "rope=before") != NULL;
}

size_t bench_layers_together(const char *recipe)
{
	return number_of(recipe, "share=", strstr(recipe, "clla") != NULL ? 2 : 1);
}

/* The heads that have latents together; 0 in a recipe means all. */
static size_t heads_of(const char *recipe, const char *key, size_t all)
{
	size_t n = number_of(recipe, key, 1);
	if (strstr(recipe, "lorc") != NULL || strstr(recipe, "clla") != NULL)
		n = 0;
	if (strstr(recipe, "recalkv") != NULL)
		n = strcmp(key, "heads_v=") == 0 ? 0 : number_of(recipe, "heads=", 4);
	return n == 0 || n > all ? all : n;
}

/* From heads to groups of them, whose rows lie side by side. */
static void widen(struct side *s, size_t heads)
{
	s->dim *= heads;
	s->rank *= heads;
}

bool bench_factors(const clkv_geometry *geometry, const char *recipe, struct bench_file *file,
                   struct tool_error *error)
{
	clkv_error cause;
	clkv_factors f = CLKV_INIT(clkv_factors);
	const bool atoms = strstr(recipe, "csr") != NULL;
	const size_t dim = (size_t)geometry->head_dim_k,
				 heads = (size_t)(geometry->layers * geometry->kv_heads),
				 rank = atoms ? number_of(recipe, "atoms=", 256) : dim;
	struct side k = {.dim = dim, .rank = rank}, v = k;
	*file = (struct bench_file){0};
	k.chunks = atoms ? number_of(recipe, "chunks_k=", 1) : 0;
	v.chunks = atoms ? number_of(recipe, "chunks_v=", 2) : 0;
	if (!atoms) {
		const size_t all = (size_t)geometry->kv_heads;
		f.heads_k = (int)heads_of(recipe, "heads_k=", all);
		f.heads_v = (int)heads_of(recipe, "heads_v=", all);
		f.before_rope = bench_turns_keys(recipe);
		f.share = (int)bench_layers_together(recipe);
		widen(&k, (size_t)(f.heads_k * f.share));
		widen(&v, (size_t)(f.heads_v * f.share));
	}
	bool done = (open_side(&k, heads / (k.dim / dim)) && open_side(&v, heads / (v.dim / dim))) ||
	            tool_fail(error, "out of memory");
	f.rank_k = (int)k.rank, f.rank_v = (int)v.rank;
	f.k_down = k.down, f.k_up = k.up, f.v_down = v.down, f.v_up = v.up;
	done =
		done && (clkv_factors_write(geometry, 0, &f, bench_file_append, file, &cause) == CLKV_OK ||
	             tool_fail_clkv(error, "the factors", &cause));
	free(k.down);
	free(k.up);
	free(v.down);
	free(v.up);
	return done;
}
