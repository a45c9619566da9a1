/* SPDX-License-Identifier: MIT */
/** \file ref_bounded.c \brief Error-bounded codes from the formula. */
#include "ref_bounded.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#define ABS_SYMBOLS 256

int ref_bounded_symbols(const struct ref_bounded *b)
{
	return b->rel > 0.0 ? (int)floor((1.0 + 0x1p-7) / b->rel + 0.5) + 1 : ABS_SYMBOLS;
}

static double cut_to_bfloat(double x)
{
	float f = (float)x;
	uint32_t bits;
	memcpy(&bits, &f, sizeof bits);
	bits &= 0xffff0000u;
	memcpy(&f, &bits, sizeof f);
	return (double)f;
}

struct unit {
	size_t n, step; /* values x[i * step] for i < n */
	double min, max;
};

static void measure(struct unit *u, const double *x)
{
	u->min = u->max = x[0];
	for (size_t i = 1; i < u->n; i++) {
		u->min = fmin(u->min, x[i * u->step]);
		u->max = fmax(u->max, x[i * u->step]);
	}
}

static void encode_value(const struct ref_bounded *b, const struct unit *u, double x,
                         struct ref_bounded_value *v)
{
	double range = u->max - u->min, step = b->rel > 0.0 ? b->rel * range : 2.0 * b->abs;
	if (range == 0.0)
		step = 0.0;
	v->m = u->min;
	/* rel, the range and their product are rounded to single precision: three times 2^-24 */
	v->s = cut_to_bfloat(step);
	v->s_low = cut_to_bfloat(step * (1.0 - 0x1p-22));
	v->s_high = cut_to_bfloat(step * (1.0 + 0x1p-22));
	v->exact = v->s > 0.0 ? (x - v->m) / v->s : 0.0;
	v->code = (int)rint(fmin(v->exact, 1e9));
	v->value = v->m + v->s * v->code;
	v->promise = b->rel > 0.0 ? b->rel * range / 2.0 : b->abs;
}

bool ref_bounded_encode(const struct ref_bounded *b, size_t n_tokens, size_t dim, const double *x,
                        struct ref_bounded_value *values)
{
	struct unit u = {.n = n_tokens * dim, .step = 1};
	size_t units = 1, next = 0;
	bool fits = true;
	if (b->unit == REF_UNIT_CHANNEL) {
		units = dim;
		next = 1;
		u.n = n_tokens;
		u.step = dim;
	} else if (b->unit == REF_UNIT_TOKEN) {
		units = n_tokens;
		next = dim;
		u.n = dim;
	}
	for (size_t i = 0; i < units; i++) {
		measure(&u, x + i * next);
		for (size_t j = 0; j < u.n; j++) {
			size_t at = i * next + j * u.step;
			encode_value(b, &u, x[at], &values[at]);
			fits = fits && values[at].code < ref_bounded_symbols(b);
		}
	}
	return fits;
}
