/* SPDX-License-Identifier: MIT */
/** \file check_ref.c \brief The reference itself against known answers; wrong variants exceed the bounds. */
#include "ref/ref_affine.h"
#include "ref/ref_attend.h"
#include "ref/ref_bounded.h"
#include "ref/ref_hadamard.h"
#include "ref/ref_half.h"
#include "ref/ref_huffman.h"
#include "ref/ref_seal.h"
#include "support/bounds.h"
#include "support/npy.h"
#include "support/random.h"
#include "support/suite.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* ---------------------------------------------------------------- half ---- */

START_TEST(test_every_half_survives_a_round_trip)
{
	for (unsigned bits = 0; bits < 0x10000u; bits++) {
		double x = ref_from_half((uint16_t)bits);
		if (!isnan(x))
			ck_assert_uint_eq(ref_to_half(x), bits);
		x = ref_from_bfloat((uint16_t)bits);
		if (!isnan(x))
			ck_assert_uint_eq(ref_to_bfloat(x), bits);
	}
}
END_TEST

START_TEST(test_half_rounds_to_nearest_even)
{
	ck_assert_uint_eq(ref_to_half(1.0), 0x3c00);
	ck_assert_uint_eq(ref_to_half(1.0 + 0x1p-11), 0x3c00);
	ck_assert_uint_eq(ref_to_half(1.0 + 0x3p-11), 0x3c02);
	ck_assert_uint_eq(ref_to_half(1.0 + 0x1.1p-11), 0x3c01);
	ck_assert_uint_eq(ref_to_half(65504.0), 0x7bff);
	ck_assert_uint_eq(ref_to_half(65520.0), 0x7c00);
	ck_assert_uint_eq(ref_to_half(0x1p-25), 0x0000);
	ck_assert_uint_eq(ref_to_half(0x1.8p-25), 0x0001);
	ck_assert_uint_eq(ref_to_half(2047.0 * 0x1p-25), 0x0400);
	ck_assert_uint_eq(ref_to_bfloat(-3.140625), 0xc049);
	ck_assert_double_eq(ref_stored((double)NAN), 0.0);
	ck_assert_double_eq(ref_stored(-(double)INFINITY), -REF_HALF_MAX);
	ck_assert_double_eq(ref_stored(1e6), REF_HALF_MAX);
}
END_TEST

/* ---------------------------------------------------------------- attention ---- */

#define DIM 64
#define TOKENS 96

struct problem {
	double q[DIM], k[TOKENS * DIM], v[TOKENS * DIM];
	struct ref_attend a;
};

static void make(struct problem *p)
{
	for (size_t i = 0; i < DIM; i++)
		p->q[i] = random_normal(i);
	for (size_t i = 0; i < (size_t)TOKENS * DIM; i++) {
		p->k[i] = random_normal(1000 + i);
		p->v[i] = random_normal(100000 + i);
	}
	p->a = (struct ref_attend){
		.dk = DIM, .dv = DIM, .scale = 0.125, .to = TOKENS, .k_stride = DIM, .v_stride = DIM};
}

START_TEST(test_one_token_returns_its_value)
{
	struct problem p;
	double out[DIM];
	struct ref_attend_sums sums;
	make(&p);
	p.a.to = 1;
	ref_attend(&p.a, p.q, p.k, p.v, out, &sums);
	for (size_t i = 0; i < DIM; i++)
		ck_assert_double_eq_tol(out[i], p.v[i], 1e-15);
}
END_TEST

START_TEST(test_equal_keys_return_the_mean)
{
	struct problem p;
	double out[DIM], mean = 0.0;
	struct ref_attend_sums sums;
	make(&p);
	for (size_t i = 0; i < (size_t)TOKENS * DIM; i++)
		p.k[i] = p.k[i % DIM];
	ref_attend(&p.a, p.q, p.k, p.v, out, &sums);
	for (size_t t = 0; t < TOKENS; t++)
		mean += p.v[t * DIM + 7] / TOKENS;
	ck_assert_double_eq_tol(out[7], mean, 1e-14);
}
END_TEST

START_TEST(test_a_sink_takes_its_share)
{
	struct problem p;
	double with[DIM], without[DIM];
	struct ref_attend_sums sums, sink_sums;
	make(&p);
	ref_attend(&p.a, p.q, p.k, p.v, without, &sums);
	p.a.sink = &sums.lse;
	ref_attend(&p.a, p.q, p.k, p.v, with, &sink_sums);
	ck_assert_double_eq_tol(sink_sums.lse, sums.lse + log(2.0), 1e-12);
	for (size_t i = 0; i < DIM; i++)
		ck_assert_double_eq_tol(with[i], without[i] / 2.0, 1e-14);
}
END_TEST

/* Each wrong variant is a mistake that an implementation can make; the promised bound must see it. */
START_TEST(test_wrong_attention_exceeds_the_bound)
{
	struct problem p;
	double right[DIM], wrong[DIM];
	struct ref_attend_sums sums;
	make(&p);
	ref_attend(&p.a, p.q, p.k, p.v, right, &sums);
	struct ref_attend a = p.a;
	switch (_i) {
	case 0: /* a causal mask that is one row short */
		a.to--;
		break;
	case 1: /* a sliding window that is one row too long or short */
		a.from++;
		break;
	case 2: /* the scale of another head size */
		a.scale = 1.0 / sqrt(80.0);
		break;
	case 3: /* one value off by one */
		p.v[17 * DIM + 3] += 1.0;
		break;
	case 4: /* a key in the wrong place */
		p.k[40 * DIM] = p.k[41 * DIM];
		break;
	case 5: /* a softcap that isn't applied */
		a.softcap = 20.0;
		break;
	default: /* keys kept in a format of 8 bits of mantissa instead of 11 */
		for (size_t i = 0; i < (size_t)TOKENS * DIM; i++)
			p.k[i] = ref_from_bfloat(ref_to_bfloat(p.k[i]));
	}
	ref_attend(&a, p.q, p.k, p.v, wrong, NULL);
	ck_assert_double_gt(ref_relative_error(wrong, right, DIM), BOUND_ATTEND_CODES);
	ck_assert_double_gt(ref_relative_error(wrong, right, DIM),
	                    bound_attend(DIM, TOKENS, sums.logit_abs, 0) * sums.value_abs / DIM);
}
END_TEST

/* ---------------------------------------------------------------- codes ---- */

START_TEST(test_codes_of_a_known_group)
{
	struct ref_affine a = {.bits = 2, .axis = REF_TOKEN, .group = 16};
	double x[16] = {-1.0, 2.0, 0.4, 0.6, 1.4, 1.6};
	int want[16] = {0, 3, 1, 2, 2, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
	struct ref_code c[16];
	ref_affine_encode(&a, 1, 16, x, c);
	for (size_t i = 0; i < 16; i++) {
		ck_assert_double_eq(c[i].s, 1.0);
		ck_assert_int_eq(c[i].code, want[i]);
		ck_assert_double_le(fabs(c[i].value - x[i]), c[i].bound);
	}
}
END_TEST

START_TEST(test_a_constant_group_returns_the_constant)
{
	struct ref_affine a = {.bits = 4, .axis = REF_CHANNEL, .group = 32};
	double x[32];
	struct ref_code c[32];
	for (size_t i = 0; i < 32; i++)
		x[i] = -0.3125;
	ref_affine_encode(&a, 32, 1, x, c);
	ck_assert_double_eq(c[9].value, -0.3125);
}
END_TEST

START_TEST(test_values_obey_the_bound_and_wrong_scales_do_not)
{
	struct ref_affine right = {.bits = 2 + _i, .axis = REF_CHANNEL, .group = 32}, wrong = right;
	static double x[64 * 16];
	static struct ref_code c[64 * 16], w[64 * 16];
	size_t exceeded = 0;
	wrong.axis = REF_TOKEN;
	wrong.group = 16;
	for (size_t i = 0; i < 64 * 16; i++)
		x[i] = ref_half(random_normal(i) * (i % 16 == 5 ? 100.0 : 1.0));
	ref_affine_encode(&right, 64, 16, x, c);
	ref_affine_encode(&wrong, 64, 16, x, w);
	for (size_t i = 0; i < 64 * 16; i++) {
		ck_assert_double_le(fabs(c[i].value - x[i]), c[i].bound);
		exceeded += fabs(w[i].value - x[i]) > c[i].bound;
	}
	ck_assert_uint_gt(exceeded, 100);
}
END_TEST

START_TEST(test_hadamard_is_its_own_inverse_and_spreads)
{
	double x[DIM] = {0}, y[DIM], z[DIM];
	x[5] = 8.0;
	ref_hadamard(DIM, x, y);
	ref_hadamard(DIM, y, z);
	for (size_t i = 0; i < DIM; i++) {
		ck_assert_double_eq(fabs(y[i]), 1.0);
		ck_assert_double_eq(z[i], x[i]);
	}
}
END_TEST

/* ---------------------------------------------------------------- sealing, files ---- */

START_TEST(test_the_sealing_rule)
{
	struct ref_seal s;
	ref_seal_open(&s, 128, 0, 64, false);
	ref_seal_commit(&s, 191, REF_DECODE);
	ck_assert_uint_eq(s.tail, 0);
	ref_seal_commit(&s, 1, REF_DECODE);
	ck_assert_uint_eq(s.tail, 64);
	ref_seal_commit(&s, 108, REF_PROMPT_END);
	ck_assert_uint_eq(s.length - s.tail, 128);
	ref_seal_commit(&s, 30, REF_PROMPT_END);
	ck_assert_uint_eq(s.length - s.tail, 158);
	ref_seal_open(&s, 0, 4, 64, true);
	ref_seal_commit(&s, 500, REF_PROMPT);
	ck_assert_uint_eq(ref_seal_sealed(&s), 0);
	ref_seal_commit(&s, 1, REF_PROMPT_END);
	ck_assert_uint_eq(ref_seal_sealed(&s), 497);
}
END_TEST

START_TEST(test_damaged_npy_files_are_refused)
{
	static const char good[] = "\x93NUMPY\x01\x00\x46\x00{'descr': '<f4', 'fortran_order': False, "
							   "'shape': (1,), }          \n";
	const char *path = "check_ref.npy.tmp";
	char why[1200];
	struct npy npy;
	for (size_t n = 0; n <= 80; n += 8) {
		FILE *file = fopen(path, "wb");
		ck_assert_ptr_nonnull(file);
		fwrite(good, 1, n < sizeof good ? n : sizeof good - 1, file);
		fclose(file);
		ck_assert_int_eq(npy_read(path, &npy, why, sizeof why), -1);
		ck_assert_ptr_null(npy.values);
	}
	remove(path);
	ck_assert_int_eq(npy_read(path, &npy, why, sizeof why), -1);
}
END_TEST

/* ---------------------------------------------------------------- error-bounded codes ---- */

START_TEST(test_bounded_codes_of_a_known_unit)
{
	struct ref_bounded quarter = {REF_UNIT_BLOCK, 0.25, 0}, number = {REF_UNIT_BLOCK, 0, 0.25};
	const double x[4] = {-1.0, 3.0, 0.4, 2.625};
	static const int codes[4] = {0, 4, 1, 4};
	struct ref_bounded_value v[4];
	ck_assert_int_eq(ref_bounded_symbols(&quarter), 5);
	ck_assert_int_eq(ref_bounded_symbols(&number), 256);
	ck_assert(ref_bounded_encode(&quarter, 2, 2, x, v));
	for (size_t i = 0; i < 4; i++) {
		ck_assert_double_eq(v[i].m, -1.0);
		ck_assert_double_eq(v[i].s, 1.0);
		ck_assert_double_eq(v[i].promise, 0.5);
		ck_assert_int_eq(v[i].code, codes[i]);
	}
	ck_assert(ref_bounded_encode(&number, 2, 2, x, v));
	ck_assert_double_eq(v[3].s, 0.5);
	ck_assert_int_eq(v[3].code, 7);
	number.abs = 0.0078; /* 4 / 0.0156 = 256.4 */
	ck_assert(!ref_bounded_encode(&number, 2, 2, x, v));
	quarter.unit = REF_UNIT_CHANNEL;
	ck_assert(ref_bounded_encode(&quarter, 2, 2, x, v));
	ck_assert_double_eq(v[2].m, -1.0);
	ck_assert_double_eq(v[3].m, 2.625);
	quarter.unit = REF_UNIT_TOKEN;
	ck_assert(ref_bounded_encode(&quarter, 2, 2, x, v));
	ck_assert_double_eq(v[1].m, -1.0);
	ck_assert_double_eq(v[3].m, 0.4);
}
END_TEST

/* Every code is a symbol and every value within the promise; with steps that are rounded to the nearest
 * bfloat16 instead, the promise is broken: that is what the cut is for. */
START_TEST(test_bounded_values_keep_the_promise_and_rounded_steps_do_not)
{
	static const double rels[] = {0.004, 0.0123, 0.05, 0.1, 0.25, 0.7, 1.0};
	struct ref_bounded b = {REF_UNIT_TOKEN, rels[_i], 0};
	int broken = 0, largest = 0;
	for (size_t unit = 0; unit < 200; unit++) {
		double x[64], range = exp(10.0 * random_uniform(unit) - 5.0);
		struct ref_bounded_value v[64];
		for (size_t i = 0; i < 64; i++)
			x[i] = ref_half(range * (random_uniform(1000 + unit * 64 + i) + 0.3));
		ck_assert(ref_bounded_encode(&b, 1, 64, x, v));
		for (size_t i = 0; i < 64; i++) {
			ck_assert_double_le(fabs(v[i].value - x[i]), v[i].promise * (1.0 + 1e-6));
			largest = v[i].code > largest ? v[i].code : largest;
			double s = ref_from_bfloat(ref_to_bfloat(2.0 * v[i].promise));
			double rounded = v[i].m + s * rint((x[i] - v[i].m) / s);
			broken += fabs(rounded - x[i]) > v[i].promise * (1.0 + 1e-5) + 1e-7;
		}
	}
	ck_assert_int_lt(largest, ref_bounded_symbols(&b));
	ck_assert_int_ge(largest, ref_bounded_symbols(&b) - 2);
	ck_assert_int_gt(broken, 0);
}
END_TEST

/* ---------------------------------------------------------------- Huffman ---- */

START_TEST(test_huffman_words_of_known_weights)
{
	static const uint64_t weights[5] = {8, 1, 2, 4, 1};
	static const int free_words[5] = {1, 4, 3, 2, 4}, short_words[5] = {1, 3, 3, 3, 3};
	int lengths[5];
	ref_huffman(5, weights, 11, lengths);
	for (size_t i = 0; i < 5; i++)
		ck_assert_int_eq(lengths[i], free_words[i]);
	ref_huffman(5, weights, 3, lengths); /* 32 bits; two words of 2 more would be 34 */
	for (size_t i = 0; i < 5; i++)
		ck_assert_int_eq(lengths[i], short_words[i]);
	ck_assert_int_eq(ref_huffman_flat(2), 1);
	ck_assert_int_eq(ref_huffman_flat(11), 4);
	ck_assert_int_eq(ref_huffman_flat(16), 4);
	ck_assert_int_eq(ref_huffman_flat(17), 5);
}
END_TEST

/* P6: the words fill the tree, none is too long, and their mean is within a bit of the entropy. */
START_TEST(test_huffman_words_fill_the_tree)
{
	for (size_t n = 2; n <= 256; n += n < 20 ? 1 : 59)
		for (int longest = ref_huffman_flat(n); longest <= 12; longest++) {
			uint64_t weights[256], all = 0;
			int lengths[256];
			double kraft = 0.0, mean = 0.0, entropy = 0.0;
			for (size_t i = 0; i < n; i++)
				all += weights[i] = 1 + (uint64_t)exp(12.0 * random_uniform(n * 300 + i));
			ref_huffman(n, weights, longest, lengths);
			for (size_t i = 0; i < n; i++) {
				double p = (double)weights[i] / (double)all;
				ck_assert_int_ge(lengths[i], 1);
				ck_assert_int_le(lengths[i], longest);
				kraft += ldexp(1.0, -lengths[i]);
				mean += p * lengths[i];
				entropy -= p * log2(p);
			}
			ck_assert_double_eq_tol(kraft, 1.0, 1e-12);
			ck_assert_double_ge(mean, entropy - 1e-9);
			if (longest == 12)
				ck_assert_double_lt(mean, entropy + 1.0);
		}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ref");
	TCase *half = tcase_create("half"), *attend = tcase_create("attend");
	TCase *codes = tcase_create("codes"), *rest = tcase_create("rest");
	tcase_add_test(half, test_every_half_survives_a_round_trip);
	tcase_add_test(half, test_half_rounds_to_nearest_even);
	tcase_add_test(attend, test_one_token_returns_its_value);
	tcase_add_test(attend, test_equal_keys_return_the_mean);
	tcase_add_test(attend, test_a_sink_takes_its_share);
	tcase_add_loop_test(attend, test_wrong_attention_exceeds_the_bound, 0, 7);
	tcase_add_test(codes, test_codes_of_a_known_group);
	tcase_add_test(codes, test_a_constant_group_returns_the_constant);
	tcase_add_loop_test(codes, test_values_obey_the_bound_and_wrong_scales_do_not, 0, 4);
	tcase_add_test(codes, test_hadamard_is_its_own_inverse_and_spreads);
	tcase_add_test(codes, test_bounded_codes_of_a_known_unit);
	tcase_add_loop_test(codes, test_bounded_values_keep_the_promise_and_rounded_steps_do_not, 0, 7);
	tcase_add_test(codes, test_huffman_words_of_known_weights);
	tcase_add_test(codes, test_huffman_words_fill_the_tree);
	tcase_add_test(rest, test_the_sealing_rule);
	tcase_add_test(rest, test_damaged_npy_files_are_refused);
	suite_add_tcase(suite, half);
	suite_add_tcase(suite, attend);
	suite_add_tcase(suite, codes);
	suite_add_tcase(suite, rest);
	return run_suite(suite);
}
