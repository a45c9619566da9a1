/* SPDX-License-Identifier: MIT */
/**
 * \file    moments.h
 * \brief   Second moments of rows, in double precision: sums of x x^T by layer and KV head.
 */
#ifndef MOMENTS_H
#define MOMENTS_H

#include "text_rows.h"

/** Sums of one kind of rows. */
struct moments {
	size_t heads, group, dim; /**< KV heads; query heads of each */
	double *sums;             /**< [layers][heads][dim][dim] */
};

/** The sum of a KV head of a layer, [dim][dim]. */
double *moments_of(const struct moments *m, size_t layer, size_t head);

/** Adds weight x x^T to a sum [dim][dim]. */
void moments_add(size_t dim, double weight, const float *x, double *sum);

/** Adds the queries of those rows whose position is at least `from`, each to the sum of its group. */
void moments_add_queries(const struct moments *m, const struct asked_rows *asked, size_t from);

#endif
