/* SPDX-License-Identifier: MIT */
/** \file rotation.c \brief Normal columns, made orthogonal one after the other. */
#include "rotation.h"

#include "../ref/ref_hadamard.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>

enum { MOST = 256 };

static double product(size_t n, const double *a, const double *b)
{
	double sum = 0;
	for (size_t i = 0; i < n; i++)
		sum += a[i] * b[i];
	return sum;
}

/* Row i without its share of those before, twice: what the first time leaves is a rounding of what was large. */
static void clear(size_t dim, double (*m)[MOST], size_t i)
{
	for (int pass = 0; pass < 2; pass++)
		for (size_t j = 0; j < i; j++) {
			double share = product(dim, m[i], m[j]);
			for (size_t c = 0; c < dim; c++)
				m[i][c] -= share * m[j][c];
		}
	double norm = sqrt(product(dim, m[i], m[i]));
	for (size_t c = 0; c < dim; c++)
		m[i][c] /= norm;
}

void rotation_random(size_t dim, uint64_t seed, float *matrix)
{
	static double m[MOST][MOST];
	for (size_t i = 0; i < dim; i++) {
		for (size_t c = 0; c < dim; c++)
			m[i][c] = feed_normal(seed * 1000 + i, 0, FEED_Q, 0, c);
		clear(dim, m, i);
	}
	for (size_t i = 0; i < dim * dim; i++)
		matrix[i] = (float)m[i / dim][i % dim];
}

static void hadamard(size_t dim, float *matrix)
{
	size_t block = dim & (~dim + 1);
	double unit[MOST] = {0}, row[MOST];
	for (size_t i = 0; i < dim * dim; i++)
		matrix[i] = 0;
	for (size_t i = 0; i < dim; i++) {
		unit[i % block] = 1;
		ref_hadamard(block, unit, row);
		unit[i % block] = 0;
		for (size_t c = 0; c < block; c++)
			matrix[i * dim + i / block * block + c] = (float)row[c];
	}
}

float *rotation_matrices(const clkv_geometry *geometry, enum feed_side side,
                         enum rotation_kind kind, uint64_t seed)
{
	size_t heads = (size_t)(geometry->layers * geometry->kv_heads);
	int dv = geometry->head_dim_v ? geometry->head_dim_v : geometry->head_dim_k;
	size_t dim = (size_t)(side == FEED_V ? dv : geometry->head_dim_k);
	float *all = calloc(heads * dim * dim, sizeof *all);
	ck_assert_ptr_nonnull(all);
	for (size_t h = 0; h < heads; h++)
		if (kind == ROTATION_HADAMARD)
			hadamard(dim, all + h * dim * dim);
		else
			rotation_random(dim, seed * 2000 + 2 * h + (side == FEED_V), all + h * dim * dim);
	return all;
}

struct memory_file rotation_file(const clkv_geometry *geometry, enum rotation_kind kind,
                                 uint64_t seed)
{
	struct memory_file file = {0};
	clkv_error error;
	float *k = rotation_matrices(geometry, FEED_K, kind, seed);
	float *v = rotation_matrices(geometry, FEED_V, kind, seed);
	feed_ok(clkv_rotation_write(geometry, 0, k, v, memory_write, &file, &error), &error,
	        "clkv_rotation_write");
	free(k);
	free(v);
	return file;
}
