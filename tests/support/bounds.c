/* SPDX-License-Identifier: MIT */
/** \file bounds.c \brief The formulas of bounds.h. */
#include "bounds.h"

#define U 0x1p-24
#define EXP_ULP 16.0

static double gamma_of(size_t n)
{
	double nu = (double)n * U;
	return nu / (1.0 - nu);
}

double bound_attend(size_t dk, size_t n_tokens, double logit_abs, int codes)
{
	double logit = gamma_of(dk + 8) * logit_abs * (codes ? 3.0 : 1.0);
	return 2.0 * (logit + U * (2.0 * logit_abs + EXP_ULP)) + gamma_of(n_tokens + 64);
}

double bound_dtype(clkv_dtype type)
{
	switch (type) {
	case CLKV_F16:
		return 0x1p-11;
	case CLKV_BF16:
		return 0x1p-8;
	case CLKV_F32:
		break;
	}
	return 0.0;
}
