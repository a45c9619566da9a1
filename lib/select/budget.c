/* SPDX-License-Identifier: MIT */
/** \file budget.c \brief Slots by curves, norms, scores and likeness. */
#include "select/budget.h"

#include "base/alloc.h"
#include "base/error.h"
#include "select/select.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Above any cosine. */
#define ALL_APART 2.0f

static clkv_status make(const clkv_allocator *allocator, size_t n, size_t size, void **array,
                        clkv_error *error)
{
	*array = clkv__calloc(allocator, n, size);
	if (!*array)
		CLKV_FAIL(error, CLKV_ERROR_NO_HOST_MEMORY, "%zu numbers of %zu bytes for scores", n, size);
	return CLKV_OK;
}

static int falling(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;
	return (x < y) - (x > y);
}

static int rising(const void *a, const void *b)
{
	return falling(b, a);
}

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* ---- PrefixKV ---- */

/* curve[o]: share of the layer's sum that its o + 1 largest scores have; the last one is 1. */
static void draw_curve(const float *scores, size_t n, float *sorted, double *curve)
{
	double sum = 0;
	memcpy(sorted, scores, n * sizeof *sorted);
	qsort(sorted, n, sizeof *sorted, falling);
	for (size_t o = 0; o < n; o++)
		curve[o] = sum += (double)sorted[o];
	for (size_t o = 0; o < n; o++)
		curve[o] = sum > 0 ? curve[o] / sum : (double)(o + 1) / (double)n;
}

/* The fewest of the largest scores whose share is at least level. */
static size_t size_at(const double *curve, size_t n, double level)
{
	size_t low = 0, high = n;
	if (level <= 0)
		return 0;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (curve[middle] >= level)
			high = middle;
		else
			low = middle + 1;
	}
	return smaller(low + 1, n);
}

static size_t sizes_at(const double *curves, size_t layers, size_t n, double level, size_t *kept)
{
	size_t sum = 0;
	for (size_t l = 0; l < layers; l++)
		sum += kept[l] = size_at(curves + l * n, n, level);
	return sum;
}

/* The layer that has the smallest share, of those with room; of several the one with the fewest slots. */
static size_t poorest(const double *curves, size_t layers, size_t n, const size_t *kept)
{
	size_t best = layers;
	double least = 0;
	for (size_t l = 0; l < layers; l++) {
		double share = kept[l] == 0 ? 0 : curves[l * n + kept[l] - 1];
		if (kept[l] == n || (best < layers && share > least))
			continue;
		if (best < layers && share == least && kept[l] >= kept[best])
			continue;
		best = l;
		least = share;
	}
	return best;
}

static void share_out(const double *curves, size_t layers, size_t n, size_t total, size_t *kept)
{
	double low = 0, high = 1;
	if (sizes_at(curves, layers, n, high, kept) > total) {
		for (int i = 0; i < 64; i++) {
			double level = (low + high) / 2;
			if (sizes_at(curves, layers, n, level, kept) > total)
				high = level;
			else
				low = level;
		}
		sizes_at(curves, layers, n, low, kept);
	}
	/* What is left are layers at the same level, and tokens without a score. */
	size_t sum = 0;
	for (size_t l = 0; l < layers; l++)
		sum += kept[l];
	for (; sum < total; sum++)
		kept[poorest(curves, layers, n, kept)]++;
}

clkv_status clkv__budget_curve(const clkv_allocator *allocator, const float *scores, size_t layers,
                               size_t n, size_t total, size_t *kept, clkv_error *error)
{
	void *sorted = NULL, *curves = NULL;
	clkv_status status = make(allocator, n, sizeof(float), &sorted, error);
	if (status == CLKV_OK)
		status = make(allocator, layers * n, sizeof(double), &curves, error);
	if (status == CLKV_OK) {
		double *curve = curves;
		for (size_t l = 0; l < layers; l++)
			draw_curve(scores + l * n, n, sorted, curve + l * n);
		share_out(curves, layers, n, smaller(total, layers * n), kept);
	}
	clkv__free(allocator, curves);
	clkv__free(allocator, sorted);
	return status;
}

/* ---- DBudgetKV ---- */

/* The i-th token by rank: the first ones in their order, then the newest backwards. */
static size_t ranked(size_t i, size_t n, size_t first)
{
	return i < first ? i : n - 1 - (i - first);
}

/* Adds the squares of a token's scores; the mean over heads of the roots of what they have, times heads. */
static double add_token(const float *scores, size_t heads, size_t n, size_t token, double *squares)
{
	double norms = 0;
	for (size_t h = 0; h < heads; h++) {
		double s = (double)scores[h * n + token];
		norms += sqrt(squares[h] += s * s);
	}
	return norms;
}

clkv_status clkv__budget_energy(const clkv_allocator *allocator, const float *scores, size_t heads,
                                size_t n, size_t first, float tau, size_t *newest,
                                clkv_error *error)
{
	void *squares = NULL;
	double all = 0, some = 0;
	size_t i = 0;
	first = smaller(first, n);
	CLKV_TRY(make(allocator, heads, sizeof(double), &squares, error));
	for (size_t j = 0; j < n; j++)
		all = add_token(scores, heads, n, ranked(j, n, first), squares);
	memset(squares, 0, heads * sizeof(double));
	while (i < n && !(all > 0 && 1 - some / all < (double)tau))
		some = add_token(scores, heads, n, ranked(i++, n, first), squares);
	*newest = i > first ? i - first : 0;
	clkv__free(allocator, squares);
	return CLKV_OK;
}

/* ---- the largest scores of all heads ---- */

/* The head whose next score is the largest; of several the one with the fewest slots. */
static size_t richest(const float *sorted, size_t heads, size_t n, const size_t *kept)
{
	size_t best = heads;
	for (size_t h = 0; h < heads; h++) {
		if (kept[h] == n)
			continue;
		float next = sorted[h * n + kept[h]];
		float most = best < heads ? sorted[best * n + kept[best]] : next;
		if (best == heads || next > most || (next == most && kept[h] < kept[best]))
			best = h;
	}
	return best;
}

clkv_status clkv__budget_heads(const clkv_allocator *allocator, const float *scores, size_t heads,
                               size_t n, size_t even, float least, size_t *kept, clkv_error *error)
{
	void *array = NULL;
	CLKV_TRY(make(allocator, heads * n, sizeof(float), &array, error));
	float *sorted = array;
	size_t given = smaller(clkv__select_part(least, (uint32_t)even), n), sum = 0;
	if (heads * n > 0)
		memcpy(sorted, scores, heads * n * sizeof *sorted);
	for (size_t h = 0; h < heads; h++) {
		qsort(sorted + h * n, n, sizeof *sorted, falling);
		sum += kept[h] = given;
	}
	for (size_t total = heads * smaller(even, n); sum < total; sum++)
		kept[richest(sorted, heads, n, kept)]++;
	clkv__free(allocator, array);
	return CLKV_OK;
}

/* ---- KVMerger ---- */

static bool is_split(const unsigned char *alone, size_t i)
{
	return alone[i] || alone[i + 1];
}

size_t clkv__budget_runs(const float *cosines, const unsigned char *alone, size_t n, float similar)
{
	size_t runs = n > 0;
	for (size_t i = 0; i + 1 < n; i++)
		runs += is_split(alone, i) || cosines[i] < similar;
	return runs;
}

clkv_status clkv__budget_similar(const clkv_allocator *allocator, const float *cosines,
                                 const unsigned char *alone, size_t n, size_t most, float *similar,
                                 clkv_error *error)
{
	void *array = NULL;
	size_t open = 0, runs = n > 0;
	CLKV_TRY(make(allocator, n, sizeof(float), &array, error));
	float *sorted = array;
	for (size_t i = 0; i + 1 < n; i++) {
		if (is_split(alone, i))
			runs++;
		else
			sorted[open++] = cosines[i];
	}
	qsort(sorted, open, sizeof *sorted, rising);
	/* Below the cosine of rank i there are i others at most, each of which begins a run. */
	size_t more = most > runs ? most - runs : 0;
	*similar = more < open ? sorted[more] : ALL_APART;
	clkv__free(allocator, array);
	return CLKV_OK;
}
