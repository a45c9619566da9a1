/* SPDX-License-Identifier: MIT */
#include "moments.h"

double *moments_of(const struct moments *m, size_t layer, size_t head)
{
	return m->sums + (layer * m->heads + head) * m->dim * m->dim;
}

void moments_add(size_t dim, double weight, const float *x, double *sum)
{
	for (size_t i = 0; i < dim; i++) {
		double xi = weight * (double)x[i];
		for (size_t j = 0; j < dim; j++)
			sum[i * dim + j] += xi * (double)x[j];
	}
}

void moments_add_queries(const struct moments *m, const struct asked_rows *asked, size_t from)
{
	const size_t q_heads = m->heads * m->group, width = q_heads * m->dim;
	const size_t skip = from > asked->first ? from - asked->first : 0;
	for (size_t r = skip; r < asked->rows; r++)
		for (size_t h = 0; h < q_heads; h++)
			moments_add(m->dim, 1.0, asked->queries + r * width + h * m->dim,
			            moments_of(m, asked->layer, h / m->group));
}
