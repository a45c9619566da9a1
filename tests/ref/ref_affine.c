/* SPDX-License-Identifier: MIT */
/** \file ref_affine.c \brief Group quantization from the formula. */
#include "ref_affine.h"

#include "ref_half.h"

#include <math.h>

/* Halves below are subnormal. */
#define SUBNORMAL 0x1p-14

struct range {
	double min, max;
};

static void encode_value(const struct ref_affine *a, double x, struct ref_code *c)
{
	double top = a->symmetric ? ldexp(1.0, a->bits - 1) - 1.0 : ldexp(1.0, a->bits) - 1.0;
	double bottom = a->symmetric ? -top : 0.0;
	c->exact = c->s > 0.0 ? (x - c->m) / c->s : 0.0;
	c->code = (int)fmin(fmax(rint(c->exact), bottom), top);
	c->value = c->m + c->s * c->code;
	/* Half a step; at the range's ends s and m are off by their rounding to half, and the clamp lets
	 * all of it through: top * (s - s_exact) + (m - m_exact). A subnormal s is no less than the exact one, as single
	 * precision has it. Single precision adds 2^-22 of all. */
	double s_error = c->s < SUBNORMAL ? 0x1p-21 * c->s : REF_HALF_EPS * c->s;
	double m_error = a->symmetric ? 0.0 : fabs(c->m - ref_half(c->m)) + REF_HALF_EPS * fabs(c->m);
	c->bound = c->left_out + c->s / 2.0 + top * s_error + m_error +
	           0x1p-22 * (fabs(c->m) + top * c->s) + REF_HALF_TINY;
}

/* A scale as it's stored: to the nearest half, a subnormal one to the next that is no less. */
static double stored_scale(double s)
{
	double stored = ref_half(s);
	return s < SUBNORMAL && stored < s ? stored + 2.0 * REF_HALF_TINY : stored;
}

static void scale_group(const struct ref_affine *a, struct range r, struct ref_code *c)
{
	double s, range = r.max - r.min;
	c->m = c->m_low = c->m_high = c->left_out = 0.0;
	if (a->symmetric) {
		double largest = fmax(fabs(r.min), fabs(r.max));
		s = largest * (1.0 - a->cut) / (ldexp(1.0, a->bits - 1) - 1.0);
		c->left_out = largest * a->cut;
	} else {
		double m = r.min + range * a->cut / 2.0,
			   slack = a->cut > 0.0 ? 0x1p-21 * (range + fabs(m)) : 0.0;
		c->m = ref_half(m);
		c->m_low = ref_half(m - slack);
		c->m_high = ref_half(m + slack);
		s = range * (1.0 - a->cut) / (ldexp(1.0, a->bits) - 1.0);
		c->left_out = range * a->cut / 2.0;
	}
	/* single precision moves the quotient by less than 2^-21 of it */
	c->s = stored_scale(s);
	c->s_low = stored_scale(s * (1.0 - 0x1p-21));
	c->s_high = stored_scale(s * (1.0 + 0x1p-21));
}

/* The group's values are x[i * step] for i < n; the codes lie alike. */
static void encode_group(const struct ref_affine *a, size_t n, size_t step, const double *x,
                         struct ref_code *codes)
{
	struct range r = {x[0], x[0]};
	for (size_t i = 1; i < n; i++) {
		r.min = fmin(r.min, x[i * step]);
		r.max = fmax(r.max, x[i * step]);
	}
	for (size_t i = 0; i < n; i++) {
		scale_group(a, r, &codes[i * step]);
		encode_value(a, x[i * step], &codes[i * step]);
	}
}

void ref_affine_encode(const struct ref_affine *a, size_t n_tokens, size_t dim, const double *x,
                       struct ref_code *codes)
{
	size_t along = a->axis == REF_CHANNEL ? n_tokens : dim;
	size_t across = a->axis == REF_CHANNEL ? dim : n_tokens;
	size_t step = a->axis == REF_CHANNEL ? dim : 1;
	size_t next = a->axis == REF_CHANNEL ? 1 : dim;
	for (size_t u = 0; u < across; u++)
		for (size_t from = 0; from < along; from += (size_t)a->group) {
			size_t n = along - from < (size_t)a->group ? along - from : (size_t)a->group;
			size_t at = u * next + from * step;
			encode_group(a, n, step, x + at, codes + at);
		}
}

double ref_affine_bits(const struct ref_affine *a, size_t block, size_t dim)
{
	size_t along = a->axis == REF_CHANNEL ? block : dim;
	size_t groups = (along + (size_t)a->group - 1) / (size_t)a->group;
	if (a->bits == 16)
		return 16.0;
	return a->bits + (a->symmetric ? 16.0 : 32.0) * (double)groups / (double)along;
}
