/* SPDX-License-Identifier: MIT */
/** \file ref_recall.c \brief Recall as it is written in the papers: sorting, not selecting. */
#include "ref_recall.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct ranked {
	double score;
	size_t unit;
};

static int by_rank(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;
	if (x->score != y->score)
		return x->score > y->score ? -1 : 1;
	return x->unit < y->unit ? -1 : 1;
}

/* Units that have tokens, best first. */
static size_t rank(size_t n, const double *score, const size_t *size, struct ranked *ranked)
{
	size_t many = 0;
	for (size_t u = 0; u < n; u++)
		if (size[u] > 0)
			ranked[many++] = (struct ranked){score[u], u};
	qsort(ranked, many, sizeof *ranked, by_rank);
	return many;
}

double ref_recall_choose(size_t n, const double *score, const size_t *size, size_t budget,
                         size_t *take)
{
	struct ranked *ranked = calloc(n + 1, sizeof *ranked);
	double gap = INFINITY;
	size_t left = budget, last = 0;
	if (!ranked)
		abort();
	size_t many = rank(n, score, size, ranked);
	memset(take, 0, n * sizeof *take);
	for (size_t i = 0; i < many && left > 0; i++) {
		size_t u = ranked[i].unit;
		take[u] = size[u] < left ? size[u] : left;
		left -= take[u];
		last = i;
	}
	if (many == 0 || (last + 1 == many && take[ranked[last].unit] == size[ranked[last].unit])) {
		free(ranked);
		return gap;
	}
	/* a unit that is taken whole may change places with those above it, not with those below */
	bool whole = take[ranked[last].unit] == size[ranked[last].unit];
	for (size_t i = 0; i < many; i++) {
		double apart = fabs(ranked[i].score - ranked[last].score);
		if (apart > 0.0 && !(whole && i < last))
			gap = fmin(gap, apart);
	}
	/* nor may those above it with those below */
	for (size_t i = last + 1; i < many && whole; i++)
		for (size_t j = 0; j < last; j++)
			if (ranked[j].score > ranked[i].score)
				gap = fmin(gap, ranked[j].score - ranked[i].score);
	free(ranked);
	return gap;
}

void ref_recall_group(size_t heads, size_t n, const double *score, double scale, double *share)
{
	for (size_t u = 0; u < n; u++)
		share[u] = 0.0;
	for (size_t h = 0; h < heads; h++, score += n) {
		double top = -INFINITY, sum = 0.0;
		for (size_t u = 0; u < n; u++)
			top = fmax(top, scale * score[u]);
		for (size_t u = 0; u < n; u++)
			sum += exp(scale * score[u] - top);
		for (size_t u = 0; u < n; u++)
			share[u] += exp(scale * score[u] - top) / sum;
	}
}

double ref_recall_page(size_t dk, const double *q, const double *keys, size_t stride, size_t n)
{
	double sum = 0.0;
	for (size_t d = 0; d < dk; d++) {
		double most = -INFINITY;
		for (size_t t = 0; t < n; t++)
			most = fmax(most, q[d] * keys[t * stride + d]);
		sum += most;
	}
	return sum;
}

double ref_recall_near(size_t dk, const double *key, const double *centroid, bool cosine)
{
	double dot = 0.0, k = 0.0, c = 0.0, apart = 0.0;
	for (size_t d = 0; d < dk; d++) {
		dot += key[d] * centroid[d];
		k += key[d] * key[d];
		c += centroid[d] * centroid[d];
		apart += (key[d] - centroid[d]) * (key[d] - centroid[d]);
	}
	if (!cosine)
		return -apart;
	return k > 0.0 && c > 0.0 ? dot / sqrt(k * c) : 0.0;
}

void ref_recall_attend(const struct ref_attend *a, const double *q, const double *k,
                       const double *v, const size_t *token, size_t n, double *out,
                       struct ref_attend_sums *sums)
{
	struct ref_attend listed = *a;
	double *rows = calloc(n * (a->dk + a->dv) + 1, sizeof *rows), *values = rows + n * a->dk;
	if (!rows)
		abort();
	for (size_t i = 0; i < n; i++) {
		memcpy(rows + i * a->dk, k + token[i] * a->k_stride, a->dk * sizeof *rows);
		memcpy(values + i * a->dv, v + token[i] * a->v_stride, a->dv * sizeof *rows);
	}
	listed.from = 0;
	listed.to = n;
	listed.k_stride = a->dk;
	listed.v_stride = a->dv;
	ref_attend(&listed, q, rows, values, out, sums);
	free(rows);
}
