/* SPDX-License-Identifier: MIT */
/**
 * \file    ref_attend.h
 * \brief   Softmax attention of one query row, from the formula, in double precision.
 */
#ifndef REF_ATTEND_H
#define REF_ATTEND_H

#include <stddef.h>

struct ref_attend {
	size_t dk, dv;
	double scale;              /**< logit = scale * q . k */
	double softcap;            /**< logit becomes cap * tanh(logit / cap); 0: off */
	const double *sink;        /**< a logit that takes part with no value, or NULL */
	size_t from, to;           /**< the row sees tokens [from, to) */
	size_t k_stride, v_stride; /**< from token to token */
};

struct ref_attend_sums {
	double lse; /**< ln of the sum of exp(logit), the sink included */
	double
		logit_abs; /**< max over tokens of scale * sum |q_i k_i|: what rounding of a logit grows with */
	double
		value_abs; /**< L2 norm of the vector sum p |v|: what rounding of the output grows with */
};

/** out [dv] = sum over tokens of softmax(logit) v. q [dk], k and v point at token 0. */
void ref_attend(const struct ref_attend *a, const double *q, const double *k, const double *v,
                double *out, struct ref_attend_sums *sums);

/** ||x - y|| / ||y|| in L2; 0 if both are zero. */
double ref_relative_error(const double *x, const double *y, size_t n);

#endif
