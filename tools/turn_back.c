/* SPDX-License-Identifier: MIT */
#include "turn_back.h"

#include <math.h>

void turn_frequencies(const struct model *m, double *frequencies)
{
	for (int i = 0; i < m->rope_dims / 2; i++) {
		double factor = m->rope_factors ? (double)m->rope_factors[i] : 1;
		frequencies[i] = pow((double)m->rope_base, -2.0 * i / (double)m->rope_dims) / factor /
		                 (double)m->rope_scale;
	}
}

static void turn(const struct model *m, const double *frequencies, size_t turned, double positions,
                 const float *x, float *out)
{
	for (int c = 0; c < m->head_dim; c++)
		out[c] = x[c];
	for (size_t i = 0; i < turned / 2; i++) {
		double angle = positions * frequencies[i];
		double a = (double)x[2 * i], b = (double)x[2 * i + 1], c = cos(angle), s = sin(angle);
		out[2 * i] = (float)(a * c - b * s);
		out[2 * i + 1] = (float)(b * c + a * s);
	}
}

void turn_back(const struct model *m, const double *frequencies, size_t turned, size_t position,
               const float *x, float *out)
{
	turn(m, frequencies, turned, -(double)position, x, out);
}

void turn_along(const struct model *m, const double *frequencies, size_t turned, size_t position,
                const float *x, float *out)
{
	turn(m, frequencies, turned, (double)position, x, out);
}
