/* SPDX-License-Identifier: MIT */
/** \file ref_outliers.c \brief Levels and outliers, value by value. */
#include "ref_outliers.h"

#include "ref_half.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

/* The groups of a block, whichever way they lie: value i of group g of vector u. */
struct grid {
	size_t vectors, along, vector_step, step, group;
};

static struct grid grid_of(const struct ref_outliers *r, size_t n_tokens, size_t dim)
{
	bool channel = r->axis == REF_CHANNEL;
	return (struct grid){
		.vectors = channel ? dim : n_tokens,
		.along = channel ? n_tokens : dim,
		.vector_step = channel ? 1 : dim,
		.step = channel ? dim : 1,
		.group = (size_t)r->group,
	};
}

static size_t end_of(const struct grid *g, size_t from)
{
	return from + g->group < g->along ? from + g->group : g->along;
}

/* The exact sum, in 2^-24, and one rounding each to single precision, of the quotient, and to half. */
static double mean_of(const struct grid *g, const double *x, size_t from)
{
	int64_t sum = 0;
	size_t end = end_of(g, from);
	for (size_t i = from; i < end; i++)
		sum += (int64_t)ldexp(x[i * g->step], 24);
	return ref_half((double)((float)sum / (float)(end - from) * 0x1p-24f));
}

size_t ref_outliers_count(const struct ref_outliers *r, size_t dim)
{
	return (size_t)((double)(float)r->share * (double)(dim * r->block) + 0.5);
}

double ref_outliers_level(const struct ref_outliers *r, int code)
{
	double top = ldexp(1.0, r->bits) - 1.0, u = 2.0 * code / top - 1.0;
	return top / 2.0 * (1.0 + u * (1.0 - r->bend + r->bend * u * u));
}

struct far {
	double distance;
	size_t order, at;
};

static int farther(const void *a, const void *b)
{
	const struct far *x = a, *y = b;
	if (x->distance != y->distance)
		return x->distance > y->distance ? -1 : 1;
	return x->order < y->order ? -1 : 1;
}

static void choose(const struct ref_outliers *r, const struct grid *g, size_t n_tokens, size_t dim,
                   const double *x, struct ref_level *levels)
{
	size_t n = n_tokens * dim, most = ref_outliers_count(r, dim), k = 0;
	struct far *all = calloc(n, sizeof *all);
	if (!all)
		abort();
	for (size_t u = 0; u < g->vectors; u++)
		for (size_t from = 0; from < g->along; from += g->group) {
			double mean = mean_of(g, x + u * g->vector_step, from);
			for (size_t i = from; i < end_of(g, from); i++, k++) {
				size_t at = u * g->vector_step + i * g->step;
				all[k] = (struct far){fabs((double)((float)x[at] - (float)mean)), k, at};
			}
		}
	qsort(all, n, sizeof *all, farther);
	for (size_t i = 0; i < n; i++)
		levels[all[i].at].outlier = i < most;
	free(all);
}

/* Half the gap between levels that x lies in; beyond the ends, how far. Scale and minimum are off by their rounding to half, and
 * single precision adds 2^-22 of all. */
static void bound_value(const struct ref_outliers *r, double x, struct ref_level *l)
{
	double top = ldexp(1.0, r->bits) - 1.0, exact = l->s > 0.0 ? (x - l->m) / l->s : 0.0, gap = 0.0;
	for (int i = 0; i < (int)top; i++) {
		double low = ref_outliers_level(r, i), high = ref_outliers_level(r, i + 1);
		if (exact >= low && exact <= high)
			gap = fmax(gap, high - low);
	}
	double beyond = fmax(0.0, fmax(-exact, exact - top));
	l->slack = (REF_HALF_EPS * top + 0x1p-20 * top) * l->s + REF_HALF_EPS * fabs(l->m) +
	           0x1p-20 * fabs(l->m) + 2.0 * top * REF_HALF_TINY;
	l->bound = (gap / 2.0 + beyond) * l->s + l->slack;
}

static void encode_group(const struct ref_outliers *r, const struct grid *g, const double *x,
                         size_t from, struct ref_level *levels)
{
	double least = INFINITY, most = -INFINITY, top = ldexp(1.0, r->bits) - 1.0;
	size_t end = end_of(g, from);
	for (size_t i = from; i < end; i++)
		if (!levels[i * g->step].outlier) {
			least = fmin(least, x[i * g->step]);
			most = fmax(most, x[i * g->step]);
		}
	if (least > most)
		least = most = 0.0;
	for (size_t i = from; i < end; i++) {
		struct ref_level *l = &levels[i * g->step];
		l->m = ref_half(least + (most - least) * r->cut / 2.0);
		l->s = ref_half((most - least) * (1.0 - r->cut) / top);
		bound_value(r, x[i * g->step], l);
	}
}

void ref_outliers_encode(const struct ref_outliers *r, size_t n_tokens, size_t dim, const double *x,
                         struct ref_level *levels)
{
	const struct grid g = grid_of(r, n_tokens, dim);
	choose(r, &g, n_tokens, dim, x, levels);
	for (size_t u = 0; u < g.vectors; u++)
		for (size_t from = 0; from < g.along; from += g.group)
			encode_group(r, &g, x + u * g.vector_step, from, levels + u * g.vector_step);
}

static size_t up(size_t bytes, size_t to)
{
	return (bytes + to - 1) / to * to;
}

static size_t side_bytes(const struct ref_outliers *r, size_t dim)
{
	size_t g = (size_t)r->group;
	size_t groups = r->axis == REF_CHANNEL ? dim * (r->block / g) : (dim + g - 1) / g * r->block;
	return up(4 * groups, 16) + dim * r->block * (size_t)r->bits / 8 +
	       4 * ref_outliers_count(r, dim);
}

size_t ref_outliers_bytes(const struct ref_outliers *k, const struct ref_outliers *v, size_t dk,
                          size_t dv)
{
	return up(side_bytes(k, dk) + side_bytes(v, dv), 64);
}
