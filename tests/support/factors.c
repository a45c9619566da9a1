/* SPDX-License-Identifier: MIT */
/** \file factors.c \brief Columns of random orthogonal matrices, scaled. */
#include "factors.h"

#include "base/little_endian.h"
#include "fixture.h"
#include "random.h"
#include "rotation.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 256 };

/* Factor of column r: neither 1 nor the same as that of others, and no power of two. */
static double scale_of(enum factors_kind kind, uint64_t seed, size_t r)
{
	return kind == FACTORS_SCALED ? 0.5 + 1.5 * random_uniform(random_mix(seed, r)) : 1;
}

/* One head's, or those of `heads` heads: matrix [dim][dim] has the columns. */
static void fill_head(enum factors_kind kind, size_t heads, size_t dim, size_t rank,
                      const float *matrix, uint64_t seed, float *down, float *up)
{
	for (size_t r = 0; r < rank; r++) {
		double scale = scale_of(kind, seed, r);
		for (size_t c = 0; c < dim; c++) {
			bool part = r / heads + r % heads * (dim / heads) == c;
			double x = kind == FACTORS_PART ? part : (double)matrix[c * dim + r];
			down[c * rank + r] = (float)(x * scale);
			up[r * dim + c] = (float)(x / scale);
		}
	}
}

static float *new_floats(size_t n)
{
	float *x = calloc(n, sizeof *x);
	ck_assert_ptr_nonnull(x);
	return x;
}

/* Atom n of a head: random numbers, each chunk of length 1. */
static void fill_atom(size_t dim, size_t rank, size_t chunks, uint64_t seed, size_t n, float *down,
                      float *up)
{
	const size_t part = dim / chunks;
	for (size_t at = 0; at < dim; at += part) {
		double square = 0;
		for (size_t c = at; c < at + part; c++) {
			double x = random_normal(random_mix(seed, n * dim + c));
			up[n * dim + c] = (float)x;
			square += x * x;
		}
		for (size_t c = at; c < at + part; c++)
			down[c * rank + n] = up[n * dim + c] = (float)((double)up[n * dim + c] / sqrt(square));
	}
}

/* heads: or groups of `each` heads, whose dim channels are theirs together. */
static void fill_side(enum factors_kind kind, size_t heads, size_t each, size_t dim, size_t rank,
                      size_t chunks, uint64_t seed, float **down, float **up)
{
	static float matrix[MOST * MOST];
	*down = new_floats(heads * dim * rank);
	*up = new_floats(heads * dim * rank);
	for (size_t h = 0; h < heads; h++) {
		for (size_t n = 0; n < rank && kind == FACTORS_ATOMS; n++)
			fill_atom(dim, rank, chunks, seed * 100 + h, n, *down + h * dim * rank,
			          *up + h * dim * rank);
		if (kind == FACTORS_ATOMS)
			continue;
		if (kind != FACTORS_PART)
			rotation_random(dim, seed * 4000 + h, matrix);
		fill_head(kind, each, dim, rank, matrix, seed * 100 + h, *down + h * dim * rank,
		          *up + h * dim * rank);
	}
}

static void make(struct factors *f, const clkv_geometry *g, enum factors_kind kind, size_t rank_k,
                 size_t rank_v, const size_t chunks[2], uint64_t seed)
{
	clkv_factors given = CLKV_INIT(clkv_factors);
	clkv_error error;
	*f = (struct factors){
		.heads = (size_t)(g->layers * g->kv_heads),
		.dk = (size_t)g->head_dim_k,
		.dv = (size_t)(g->head_dim_v ? g->head_dim_v : g->head_dim_k),
		.rank_k = rank_k,
		.rank_v = rank_v,
	};
	fill_side(kind, f->heads, 1, f->dk, rank_k, chunks[0], 2 * seed, &f->k_down, &f->k_up);
	fill_side(kind, f->heads, 1, f->dv, rank_v, chunks[1], 2 * seed + 1, &f->v_down, &f->v_up);
	given.rank_k = (int)rank_k, given.rank_v = (int)rank_v;
	given.k_down = f->k_down, given.k_up = f->k_up;
	given.v_down = f->v_down, given.v_up = f->v_up;
	feed_ok(clkv_factors_write(g, 0, &given, memory_write, &f->file, &error), &error,
	        "clkv_factors_write");
}

void factors_make(struct factors *f, const clkv_geometry *g, enum factors_kind kind, size_t rank_k,
                  size_t rank_v, uint64_t seed)
{
	const size_t whole[2] = {1, 1};
	make(f, g, kind, rank_k, rank_v, whole, seed);
}

/* down [groups][width][rank]: 0 for rows of other layers than the first of `share`. */
static void keep_first(float *down, size_t groups, size_t width, size_t share, size_t rank)
{
	for (size_t i = 0; i < groups * width; i++)
		if (i % width >= width / share)
			memset(down + i * rank, 0, rank * sizeof *down);
}

void factors_make_groups(struct factors *f, const clkv_geometry *g, enum factors_kind kind,
                         const struct factors_groups *groups, size_t rank_k, size_t rank_v,
                         uint64_t seed)
{
	clkv_factors given = CLKV_INIT(clkv_factors);
	clkv_error error;
	const size_t heads = (size_t)(g->layers * g->kv_heads),
				 share = groups->share ? groups->share : 1;
	const size_t k = share * groups->heads_k, v = share * groups->heads_v;
	*f = (struct factors){
		.heads = heads,
		.dk = k * (size_t)g->head_dim_k,
		.dv = v * (size_t)(g->head_dim_v ? g->head_dim_v : g->head_dim_k),
		.rank_k = rank_k,
		.rank_v = rank_v,
	};
	fill_side(kind, heads / k, k, f->dk, rank_k, 1, 2 * seed, &f->k_down, &f->k_up);
	fill_side(kind, heads / v, v, f->dv, rank_v, 1, 2 * seed + 1, &f->v_down, &f->v_up);
	if (groups->first) {
		keep_first(f->k_down, heads / k, f->dk, share, rank_k);
		keep_first(f->v_down, heads / v, f->dv, share, rank_v);
	}
	given.rank_k = (int)rank_k, given.rank_v = (int)rank_v;
	given.k_down = f->k_down, given.k_up = f->k_up;
	given.v_down = f->v_down, given.v_up = f->v_up;
	given.heads_k = (int)groups->heads_k, given.heads_v = (int)groups->heads_v;
	given.before_rope = groups->before;
	given.order_k = groups->k_order;
	given.share = (int)share;
	feed_ok(clkv_factors_write(g, 0, &given, memory_write, &f->file, &error), &error,
	        "clkv_factors_write");
}

bool factors_latents_are_asked(const char *recipe)
{
	static const char *const stages[] = {"lowrank", "cskv", "lorc", "recalkv", "clla"};
	for (size_t i = 0; i < sizeof stages / sizeof stages[0]; i++)
		if (strstr(recipe, stages[i]))
			return true;
	return false;
}

bool factors_are_asked(const char *recipe)
{
	return factors_latents_are_asked(recipe) || strstr(recipe, "csr");
}

/* The number behind a key of the recipe, or the usual one. */
static size_t number_of(const char *recipe, const char *key, size_t usual)
{
	const char *at = strstr(recipe, key);
	return at ? (size_t)strtoul(at + strlen(key), NULL, 10) : usual;
}

void dictionary_make(struct factors *f, const clkv_geometry *g, const char *recipe, uint64_t seed)
{
	const size_t atoms = number_of(recipe, "atoms=", 256);
	const size_t chunks[2] = {number_of(recipe, "chunks_k=", 1), number_of(recipe, "chunks_v=", 2)};
	make(f, g, FACTORS_ATOMS, atoms, atoms, chunks, seed);
}

bool factors_groups_of(const clkv_geometry *g, const char *recipe, struct factors_groups *groups)
{
	const size_t all = (size_t)g->kv_heads;
	size_t k = number_of(recipe, "heads_k=", 1), v = number_of(recipe, "heads_v=", 1);
	bool before = strstr(recipe, "rope=before") != NULL;
	if (strstr(recipe, "lorc") || strstr(recipe, "recalkv")) {
		k = strstr(recipe, "lorc") ? 0 : number_of(recipe, "heads=", 4);
		k = k > all ? 0 : k;
		v = 0;
		before = true;
	}
	const bool first = strstr(recipe, "clla") != NULL;
	if (first)
		k = v = 0, before = true;
	*groups = (struct factors_groups){
		.heads_k = k ? k : all,
		.heads_v = v ? v : all,
		.before = before,
		.share = number_of(recipe, "share=", first ? 2 : 1),
		.first = first,
	};
	return groups->heads_k > 1 || groups->heads_v > 1 || before || groups->share > 1;
}

void factors_free(struct factors *f)
{
	free(f->k_down);
	free(f->k_up);
	free(f->v_down);
	free(f->v_up);
	memory_close(&f->file);
}

struct memory_file factors_file(const clkv_geometry *g, const char *recipe, uint64_t seed)
{
	struct factors f;
	size_t dk = (size_t)g->head_dim_k, dv = (size_t)(g->head_dim_v ? g->head_dim_v : (int)dk);
	struct factors_groups groups;
	if (strstr(recipe, "csr"))
		dictionary_make(&f, g, recipe, seed);
	else if (factors_groups_of(g, recipe, &groups))
		factors_make_groups(&f, g, FACTORS_SCALED, &groups, groups.share * groups.heads_k * dk,
		                    groups.share * groups.heads_v * dv, seed);
	else
		factors_make(&f, g, FACTORS_SCALED, dk, dv, seed);
	struct memory_file file = f.file;
	f.file = (struct memory_file){0};
	factors_free(&f);
	return file;
}

void factors_expect_no_cache(const clkv_geometry *geometry, const char *recipe,
                             const struct memory_file *file, uint64_t model, clkv_status want,
                             const char *text)
{
	clkv_cache_options o = feed_room(600, 3);
	clkv_cache *cache = NULL;
	clkv_error error;
	o.factors = file ? file->bytes : NULL;
	o.factors_size = file ? file->n : 0;
	o.model = model;
	clkv_status status = clkv_cache_create(fixture.context, geometry, recipe, &o, &cache, &error);
	ck_assert_msg(status == want, "%s: %s", clkv_status_string(status), error.text);
	ck_assert_msg(strstr(error.text, text) != NULL, "no '%s' in: %s", text, error.text);
	ck_assert_ptr_null(cache);
}

void factors_expect_foreign(const clkv_geometry *geometry, const char *recipe,
                            struct memory_file *file, size_t at, uint32_t theirs, clkv_status want,
                            const char *text)
{
	const uint32_t ours = clkv__get32(file->bytes + at);
	clkv__put32(file->bytes + at, theirs);
	memory_sign(file);
	factors_expect_no_cache(geometry, recipe, file, 0, want, text);
	clkv__put32(file->bytes + at, ours);
	memory_sign(file);
}
