/* SPDX-License-Identifier: MIT */
/** \file ref_attend.c \brief Attention as it is written in the papers. */
#include "ref_attend.h"

#include <math.h>
#include <stdlib.h>

static double logit_of(const struct ref_attend *a, const double *q, const double *k, double *size)
{
	double dot = 0.0, sum = 0.0;
	for (size_t i = 0; i < a->dk; i++) {
		dot += q[i] * k[i];
		sum += fabs(q[i] * k[i]);
	}
	*size = sum * fabs(a->scale);
	double logit = dot * a->scale;
	return a->softcap > 0.0 ? a->softcap * tanh(logit / a->softcap) : logit;
}

void ref_attend(const struct ref_attend *a, const double *q, const double *k, const double *v,
                double *out, struct ref_attend_sums *sums)
{
	size_t n = a->to - a->from;
	double *p = calloc(n + 1, sizeof *p);
	double *spread = calloc(a->dv, sizeof *spread);
	double top = a->sink ? *a->sink : -INFINITY, sum = 0.0, logit_abs = 0.0, squares = 0.0;
	if (!p || !spread)
		abort();
	for (size_t t = 0; t < n; t++) {
		double size;
		p[t] = logit_of(a, q, k + (a->from + t) * a->k_stride, &size);
		top = fmax(top, p[t]);
		logit_abs = fmax(logit_abs, size);
	}
	for (size_t t = 0; t < n; t++)
		sum += p[t] = exp(p[t] - top);
	if (a->sink)
		sum += exp(*a->sink - top);
	for (size_t d = 0; d < a->dv; d++)
		out[d] = 0.0;
	for (size_t t = 0; t < n; t++) {
		const double *row = v + (a->from + t) * a->v_stride;
		for (size_t d = 0; d < a->dv; d++) {
			out[d] += p[t] / sum * row[d];
			spread[d] += p[t] / sum * fabs(row[d]);
		}
	}
	for (size_t d = 0; d < a->dv; d++)
		squares += spread[d] * spread[d];
	if (sums) {
		sums->lse = top + log(sum);
		sums->logit_abs = logit_abs;
		sums->value_abs = sqrt(squares);
	}
	free(p);
	free(spread);
}

double ref_relative_error(const double *x, const double *y, size_t n)
{
	double difference = 0.0, size = 0.0;
	for (size_t i = 0; i < n; i++) {
		difference += (x[i] - y[i]) * (x[i] - y[i]);
		size += y[i] * y[i];
	}
	if (difference == 0.0)
		return 0.0;
	return size > 0.0 ? sqrt(difference / size) : INFINITY;
}
