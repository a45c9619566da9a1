/* SPDX-License-Identifier: MIT */
/** \file factors.c \brief Columns of random orthogonal matrices, scaled. */
#include "factors.h"

#include "random.h"
#include "rotation.h"

#include <check.h>
#include <stdlib.h>

enum { MOST = 256 };

/* Factor of column r: neither 1 nor the same as that of others, and no power of two. */
static double scale_of(enum factors_kind kind, uint64_t seed, size_t r)
{
	return kind == FACTORS_SCALED ? 0.5 + 1.5 * random_uniform(random_mix(seed, r)) : 1;
}

/* One head's: matrix [dim][dim] has the columns. */
static void fill_head(enum factors_kind kind, size_t dim, size_t rank, const float *matrix,
                      uint64_t seed, float *down, float *up)
{
	for (size_t r = 0; r < rank; r++) {
		double scale = scale_of(kind, seed, r);
		for (size_t c = 0; c < dim; c++) {
			double x = kind == FACTORS_PART ? r == c : (double)matrix[c * dim + r];
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

static void fill_side(enum factors_kind kind, size_t heads, size_t dim, size_t rank, uint64_t seed,
                      float **down, float **up)
{
	static float matrix[MOST * MOST];
	*down = new_floats(heads * dim * rank);
	*up = new_floats(heads * dim * rank);
	for (size_t h = 0; h < heads; h++) {
		if (kind != FACTORS_PART)
			rotation_random(dim, seed * 4000 + h, matrix);
		fill_head(kind, dim, rank, matrix, seed * 100 + h, *down + h * dim * rank,
		          *up + h * dim * rank);
	}
}

void factors_make(struct factors *f, const clkv_geometry *g, enum factors_kind kind, size_t rank_k,
                  size_t rank_v, uint64_t seed)
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
	fill_side(kind, f->heads, f->dk, rank_k, 2 * seed, &f->k_down, &f->k_up);
	fill_side(kind, f->heads, f->dv, rank_v, 2 * seed + 1, &f->v_down, &f->v_up);
	given.rank_k = (int)rank_k, given.rank_v = (int)rank_v;
	given.k_down = f->k_down, given.k_up = f->k_up;
	given.v_down = f->v_down, given.v_up = f->v_up;
	feed_ok(clkv_factors_write(g, 0, &given, memory_write, &f->file, &error), &error,
	        "clkv_factors_write");
}

void factors_free(struct factors *f)
{
	free(f->k_down);
	free(f->k_up);
	free(f->v_down);
	free(f->v_up);
	memory_close(&f->file);
}

struct memory_file factors_file(const clkv_geometry *g, uint64_t seed)
{
	struct factors f;
	size_t dk = (size_t)g->head_dim_k, dv = (size_t)(g->head_dim_v ? g->head_dim_v : (int)dk);
	factors_make(&f, g, FACTORS_SCALED, dk, dv, seed);
	struct memory_file file = f.file;
	f.file = (struct memory_file){0};
	factors_free(&f);
	return file;
}
