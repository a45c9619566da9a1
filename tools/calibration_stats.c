/* SPDX-License-Identifier: MIT */
/** \file calibration_stats.c \brief Attention of sampled queries, one after the other, and what follows from its weights. */
#include "calibration_stats.h"

#include <math.h>

enum { LANES = 16 };

/* In lanes, which compilers turn into vectors without reordering a sum. */
float dot_product(const float *x, const float *y, size_t n)
{
	float lanes[LANES] = {0}, sum = 0;
	size_t i = 0;
	for (; i + LANES <= n; i += LANES)
		for (size_t j = 0; j < LANES; j++)
			lanes[j] += x[i + j] * y[i + j];
	for (; i < n; i++)
		sum += x[i] * y[i];
	for (size_t j = 0; j < LANES; j++)
		sum += lanes[j];
	return sum;
}

/* y = m x; m [dim][dim] */
static void multiply(const float *m, const float *x, size_t dim, float *y)
{
	for (size_t i = 0; i < dim; i++)
		y[i] = dot_product(m + i * dim, x, dim);
}

/* energy [n]: v G v of each value. */
static void measure_values(const struct head_rows *r, const float *gram, float *product,
                           float *energy)
{
	for (size_t t = 0; t < r->n; t++) {
		multiply(gram, r->values + t * r->dim, r->dim, product);
		energy[t] = dot_product(product, r->values + t * r->dim, r->dim);
	}
}

/* p [from, end): probabilities of tokens; out [dim]: the mean of their values. */
static void attend(const struct head_rows *r, const float *q, size_t from, size_t end, float *p,
                   float *out)
{
	float most = -INFINITY;
	double sum = 0;
	for (size_t t = from; t < end; t++) {
		p[t] = r->scale * dot_product(q, r->keys + t * r->dim, r->dim);
		most = p[t] > most ? p[t] : most;
	}
	for (size_t t = from; t < end; t++) {
		p[t] = expf(p[t] - most);
		sum += (double)p[t];
	}
	for (size_t c = 0; c < r->dim; c++)
		out[c] = 0;
	for (size_t t = from; t < end; t++) {
		p[t] = (float)((double)p[t] / sum);
		for (size_t c = 0; c < r->dim; c++)
			out[c] += p[t] * r->values[t * r->dim + c];
	}
}

static void add_query(struct head_stats *stats, const float *q, double noise)
{
	const size_t dim = stats->dim;
	for (size_t i = 0; i < dim; i++) {
		const double qi = (double)q[i];
		stats->first[i] += qi;
		stats->weighed[i] += noise * qi * qi;
		for (size_t j = 0; j < dim; j++)
			stats->second[i * dim + j] += qi * (double)q[j];
	}
	stats->queries++;
}

/* One query of one head. energy [n]: of the values in this head's metric. */
static void ask(struct head_stats *stats, const struct head_rows *r, const float *q,
                size_t position, const float *gram, const float *energy, float *p, float *out)
{
	const size_t end = position + 1;
	const size_t from = r->window > 0 && end > r->window ? end - r->window : 0;
	const size_t first = from > CALIBRATION_SINKS ? from : CALIBRATION_SINKS;
	float *pulled = out + r->dim;
	double noise = 0, trace = 0;
	attend(r, q, from, end, p, out);
	multiply(gram, out, r->dim, pulled);
	const float still = dot_product(pulled, out, r->dim);
	for (size_t c = 0; c < r->dim; c++)
		trace += (double)gram[c * r->dim + c];
	for (size_t t = first; t + CALIBRATION_WINDOW < end; t++) {
		const float cross = dot_product(pulled, r->values + t * r->dim, r->dim);
		const double square = (double)p[t] * (double)p[t];
		const double cost = square * fmax((double)(energy[t] - 2 * cross + still), 0);
		r->key_costs[t] += cost;
		r->value_costs[t] += square * trace;
		noise += cost;
		stats->spread += square * trace;
	}
	stats->noise += noise;
	add_query(stats, q, noise);
}

void head_stats_add(struct head_stats *stats, const struct head_rows *r, float *scratch)
{
	float *p = scratch, *energy = p + r->n, *out = energy + r->group * r->n;
	for (size_t g = 0; g < r->group; g++)
		measure_values(r, r->gram + g * r->dim * r->dim, out, energy + g * r->n);
	for (size_t i = 0; i < r->n_queries; i++)
		for (size_t g = 0; g < r->group; g++)
			ask(stats, r, r->queries + i * r->query_stride + g * r->dim, r->positions[i],
			    r->gram + g * r->dim * r->dim, energy + g * r->n, p, out);
	stats->rows += r->n_queries;
}
