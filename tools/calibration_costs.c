/* SPDX-License-Identifier: MIT */
/** \file calibration_costs.c \brief Each query attends twice: to the rows as they are, and as codes have them. */
#include "calibration_costs.h"

#include <math.h>

void head_errors(const struct head_calibration *h, const float *keys, const float *values,
                 const float *scores, const struct head_codes *codes, struct coded_rows *rows)
{
	for (size_t t = 0; t < rows->n; t++) {
		const size_t class = head_class(h, scores[t]);
		rows->classes[t] = (unsigned char)class;
		for (size_t c = 0; c < h->dim; c++) {
			const size_t at = t * h->dim + c, code = c * codes->stride + t;
			const float k = h->k_mean[c] + h->k_factor[class] * (float)codes->k[code],
						v = h->v_mean[c] + h->v_factor[class] * (float)codes->v[code];
			rows->keys[at] = k * h->k_step[c] - keys[at];
			rows->values[at] = v * *h->v_step - values[at];
		}
	}
}

/* Tokens that are sealed when a query at this position attends, [first, end) among those behind the sinks. */
struct sealed {
	size_t first, end;
};

static struct sealed sealed_at(const struct coded_rows *coded, size_t from, size_t end)
{
	const size_t open = CALIBRATION_SINKS + CALIBRATION_WINDOW;
	struct sealed s = {from > CALIBRATION_SINKS ? from - CALIBRATION_SINKS : 0,
	                   end > open ? end - open : 0};
	s.end = s.end < coded->n ? s.end : coded->n;
	s.first = s.first < s.end ? s.first : s.end;
	return s;
}

/* Half the variance that a class's codes add to this query's logits. */
static float bias_of(const struct head_calibration *h, const float *q, float scale, size_t class)
{
	float sum = 0;
	for (size_t c = 0; c < h->dim; c++) {
		const float y = q[c] * h->k_step[c] * scale;
		sum += y * y * h->k_error[class * h->dim + c];
	}
	return sum / 2;
}

/* p becomes exp(p - most); returns the sum. */
static double exponentials(float *p, size_t n, float most)
{
	double sum = 0;
	for (size_t t = 0; t < n; t++) {
		p[t] = expf(p[t] - most);
		sum += (double)p[t];
	}
	return sum;
}

static void add_row(float *sum, float weight, const float *row, size_t dim)
{
	for (size_t c = 0; c < dim; c++)
		sum[c] += weight * row[c];
}

/* x G x */
static double square_in(const float *gram, const float *x, size_t dim)
{
	double sum = 0;
	for (size_t c = 0; c < dim; c++)
		sum += (double)x[c] * (double)dot_product(gram + c * dim, x, dim);
	return sum;
}

/* Room for one query: weights of tokens as they are and as coded, changes of its output by K and by V. */
struct room {
	float *exact, *coded, *by_k, *by_v;
};

static void ask(struct head_costs *costs, const struct head_calibration *h,
                const struct head_rows *r, const struct coded_rows *coded, const float *q,
                size_t position, const float *gram, const struct room *room)
{
	const size_t end = position + 1, dim = r->dim;
	const size_t from = r->window > 0 && end > r->window ? end - r->window : 0, n = end - from;
	const struct sealed s = sealed_at(coded, from, end);
	float bias[TOKEN_CLASSES], most = -INFINITY;
	for (size_t i = 0; i < TOKEN_CLASSES; i++)
		bias[i] = bias_of(h, q, r->scale, i);
	for (size_t t = 0; t < n; t++) {
		room->exact[t] = r->scale * dot_product(q, r->keys + (from + t) * dim, dim);
		room->coded[t] = room->exact[t];
		most = fmaxf(most, room->exact[t]);
	}
	for (size_t i = s.first; i < s.end; i++)
		room->coded[i + CALIBRATION_SINKS - from] +=
			r->scale * dot_product(q, coded->keys + i * dim, dim) - bias[coded->classes[i]];
	const double all = exponentials(room->exact, n, most),
				 all_coded = exponentials(room->coded, n, most);
	for (size_t c = 0; c < dim; c++)
		room->by_k[c] = room->by_v[c] = 0;
	for (size_t t = 0; t < n; t++) {
		const double p = (double)room->exact[t] / all;
		add_row(room->by_k, (float)((double)room->coded[t] / all_coded - p),
		        r->values + (from + t) * dim, dim);
	}
	for (size_t i = s.first; i < s.end; i++)
		add_row(room->by_v, (float)((double)room->exact[i + CALIBRATION_SINKS - from] / all),
		        coded->values + i * dim, dim);
	costs->k += square_in(gram, room->by_k, dim);
	costs->v += square_in(gram, room->by_v, dim);
}

void head_costs_add(struct head_costs *costs, const struct head_calibration *h,
                    const struct head_rows *r, const struct coded_rows *coded, float *scratch)
{
	const struct room room = {scratch, scratch + r->n, scratch + 2 * r->n,
	                          scratch + 2 * r->n + r->dim};
	for (size_t i = 0; i < r->n_queries; i++)
		for (size_t g = 0; g < r->group; g++)
			ask(costs, h, r, coded, r->queries + i * r->query_stride + g * r->dim, r->positions[i],
			    r->gram + g * r->dim * r->dim, &room);
}
