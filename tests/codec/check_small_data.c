/* SPDX-License-Identifier: MIT */
/**
 * \file    check_small_data.c
 * \brief   A small piece of a real model's cache: reference and library against NumPy's results.
 *
 * data/make_small.py says what the files hold.
 */
#include "ref/ref_affine.h"
#include "ref/ref_attend.h"
#include "support/bounds.h"
#include "support/feed.h"
#include "support/fixture.h"
#include "support/npy.h"

#include <stdio.h>
#include <stdlib.h>

#ifndef CLKV_TEST_SOURCE_DIR
#define CLKV_TEST_SOURCE_DIR "tests"
#endif

#define TOKENS 160
#define SEALED 128
#define HEADS 3
#define ASKED 4
#define DIM 64

static struct npy small(const char *name)
{
	char path[1024], why[1200];
	struct npy x;
	snprintf(path, sizeof path, "%s/data/small_%s.npy", CLKV_TEST_SOURCE_DIR, name);
	ck_assert_msg(npy_read(path, &x, why, sizeof why) == 0, "%s", why);
	return x;
}

static const struct {
	const char *recipe, *expected;
	int bits;
} cases[] = {{"f16", "dense", 16},
             {"kivi:bits=4 ; window=32", "kivi4", 4},
             {"kivi:bits=2 ; window=32", "kivi2", 2}};

static void encode(double *x, enum ref_axis axis, int bits)
{
	static struct ref_code codes[64 * DIM];
	struct ref_affine a = {.bits = bits, .axis = axis, .group = 32};
	for (size_t from = 0; from < SEALED; from += 64) {
		ref_affine_encode(&a, 64, DIM, x + from * DIM, codes);
		for (size_t i = 0; i < (size_t)64 * DIM; i++)
			x[from * DIM + i] = codes[i].value;
	}
}

START_TEST(test_the_reference_equals_numpy)
{
	struct npy k = small("k"), v = small("v"), q = small("q"), want = small(cases[_i].expected);
	struct ref_attend a = {.dk = DIM, .dv = DIM, .scale = 0.125, .to = TOKENS};
	double out[DIM];
	a.k_stride = a.v_stride = DIM;
	if (cases[_i].bits < 16) {
		encode(k.values, REF_CHANNEL, cases[_i].bits);
		encode(v.values, REF_TOKEN, cases[_i].bits);
	}
	for (size_t i = 0; i < (size_t)HEADS * ASKED; i++) {
		ref_attend(&a, q.values + i * DIM, k.values, v.values, out, NULL);
		ck_assert_double_le(ref_relative_error(out, want.values + i * DIM, DIM), 1e-12);
	}
	free(k.values);
	free(v.values);
	free(q.values);
	free(want.values);
}
END_TEST

static struct tensor upload(const struct npy *x, size_t rows, size_t heads)
{
	struct tensor_layout f16 = {.dtype = CLKV_F16};
	struct tensor t;
	tensor_open(&t, fixture.queue, f16, rows, heads, DIM, x->values);
	return t;
}

static void step_of(struct feed *feed, const struct stream *stream, const struct tensor *k,
                    const struct tensor *v, size_t from, size_t n, clkv_step **step)
{
	clkv_step_item item = {stream->seq, n, CLKV_PROMPT_END};
	clkv_tensor tk = k->t, tv = v->t;
	clkv_error error;
	tk.offset = tv.offset = from * DIM;
	feed_ok(clkv_step_begin(feed->cache, &item, 1, feed->queue, step, &error), &error, "begin");
	feed_ok(clkv_step_append(*step, 0, &tk, &tv, 0, NULL, NULL, &error), &error, "append");
}

/* Query i of each head, as the query of the last token. */
static void check_query(const struct feed *feed, clkv_step *step, const struct tensor *q, size_t i,
                        const double *want, double limit)
{
	struct tensor_layout f32 = {.dtype = CLKV_F32};
	clkv_attend_args args = CLKV_INIT(clkv_attend_args);
	double out[HEADS * DIM];
	struct tensor result;
	clkv_error error;
	tensor_open(&result, feed->queue, f32, 1, HEADS, DIM, NULL);
	args.q = q->t;
	args.q.offset = i * DIM;
	args.q.head_stride = (size_t)ASKED * DIM;
	args.q.token_stride = DIM;
	args.out = result.t;
	feed_ok(clkv_step_attend(step, 0, &args, 0, NULL, NULL, &error), &error, "attend");
	tensor_read(&result, feed->queue, out);
	for (size_t h = 0; h < HEADS; h++)
		ck_assert_double_le(ref_relative_error(out + h * DIM, want + (h * ASKED + i) * DIM, DIM),
		                    limit);
	tensor_close(&result);
}

START_TEST(test_the_library_equals_numpy)
{
	struct npy k = small("k"), v = small("v"), q = small("q"), want = small(cases[_i].expected);
	struct tensor tk = upload(&k, TOKENS, 1), tv = upload(&v, TOKENS, 1);
	struct tensor tq = upload(&q, ASKED, HEADS);
	struct feed feed = {.geometry = feed_geometry(1, HEADS, 1, DIM, DIM)};
	struct stream stream = {0};
	clkv_step *step;
	clkv_error error;
	feed_open(&feed, fixture.context, fixture.queue, cases[_i].recipe, NULL);
	stream_open(&feed, &stream);
	step_of(&feed, &stream, &tk, &tv, 0, TOKENS, &step);
	feed_ok(clkv_step_commit(step, NULL, &error), &error, "commit");
	ck_assert_uint_eq(stream_info(&stream).sealed, _i ? SEALED : 0);
	feed_ok(clkv_seq_truncate(stream.seq, TOKENS - 1, &error), &error, "truncate");
	step_of(&feed, &stream, &tk, &tv, TOKENS - 1, 1, &step);
	for (size_t i = 0; i < ASKED; i++)
		check_query(&feed, step, &tq, i, want.values, BOUND_ATTEND_CODES);
	clkv_step_abort(step);
	feed_close(&feed);
	tensor_close(&tk);
	tensor_close(&tv);
	tensor_close(&tq);
	free(k.values);
	free(v.values);
	free(q.values);
	free(want.values);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("small data");
	TCase *reference = tcase_create("reference"), *library = fixture_case(suite, "library", 60);
	suite_add_tcase(suite, reference);
	tcase_add_loop_test(reference, test_the_reference_equals_numpy, 0, 3);
	tcase_add_loop_test(library, test_the_library_equals_numpy, 0, 3);
	return fixture_run_shared(suite);
}
