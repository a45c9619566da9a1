/* SPDX-License-Identifier: MIT */
/**
 * \file    check_real_data.c
 * \brief   Keys, values and queries of a real model: dense attention, and the errors of codecs.
 *
 * 1,024 tokens of two texts, 3 layers, 9 query heads on 3 key heads of 64 channels. The whole text is
 * sealed as one prompt (128 tokens stay in half); then it is cut back to 1,016 tokens, which are all
 * in half there, and the last 8 rows come again as a step whose queries attend causally.
 */
#include "ref/ref_attend.h"
#include "support/data.h"
#include "support/feed.h"
#include "support/fixture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define LAYERS 3
#define HEADS 9
#define STREAMS 3
#define DIM 64
#define TOKENS 1024
#define ASKED 8 /* queries with an expected output */
#define QUERIES 64

struct real {
	struct npy k, v, q, out, lse;
	clkv_tensor device[3]; /* k, v, q: halves as they lie in the files */
};

static const char *const texts[] = {"essay", "gpl3"};

static clkv_tensor upload(const struct npy *x, size_t rows)
{
	struct tensor_layout f16 = {.dtype = CLKV_F16};
	struct tensor all;
	tensor_open(&all, fixture.queue, f16, 1, 1, x->n, x->values);
	clkv_tensor t = {.mem = all.t.mem, .dtype = CLKV_F16, .token_stride = DIM};
	t.head_stride = rows * DIM;
	return t;
}

static void real_open(struct real *r, const char *text)
{
	data_read(text, "k", &r->k);
	data_read(text, "v", &r->v);
	data_read(text, "q", &r->q);
	data_read(text, "out", &r->out);
	data_read(text, "lse", &r->lse);
	ck_assert_uint_eq(r->k.n, (size_t)LAYERS * STREAMS * TOKENS * DIM);
	ck_assert_uint_eq(r->q.n, (size_t)LAYERS * HEADS * QUERIES * DIM);
	ck_assert_uint_eq(r->out.n, (size_t)LAYERS * HEADS * ASKED * DIM);
	r->device[0] = upload(&r->k, TOKENS);
	r->device[1] = upload(&r->v, TOKENS);
	r->device[2] = upload(&r->q, QUERIES);
}

static void real_close(struct real *r)
{
	for (int i = 0; i < 3; i++)
		clReleaseMemObject(r->device[i].mem);
	free(r->k.values);
	free(r->v.values);
	free(r->q.values);
	free(r->out.values);
	free(r->lse.values);
}

static clkv_tensor rows_from(clkv_tensor t, int layer, size_t heads, size_t token)
{
	t.offset = (size_t)layer * heads * t.head_stride + token * DIM;
	return t;
}

static clkv_step *begin(struct feed *feed, clkv_seq *seq, size_t n, clkv_phase phase)
{
	clkv_step *step;
	clkv_error error;
	clkv_step_item item = {seq, n, phase};
	feed_ok(clkv_step_begin(feed->cache, &item, 1, feed->queue, &step, &error), &error, "begin");
	return step;
}

static void append(clkv_step *step, const struct real *r, int layer, size_t from)
{
	clkv_tensor k = rows_from(r->device[0], layer, STREAMS, from);
	clkv_tensor v = rows_from(r->device[1], layer, STREAMS, from);
	clkv_error error;
	feed_ok(clkv_append(step, layer, &k, &v, 0, NULL, NULL, &error), &error, "append");
}

/* Mean over query heads and queries of ||o - exact|| / ||exact|| of one layer; lse must agree if exact. */
static double attend(struct feed *feed, clkv_step *step, const struct real *r, int layer,
                     bool exact)
{
	struct tensor_layout f32 = {.dtype = CLKV_F32};
	struct tensor out, lse;
	double got[ASKED * HEADS * DIM], got_lse[ASKED * HEADS], sum = 0.0;
	clkv_attend_args args = CLKV_INIT(clkv_attend_args);
	clkv_error error;
	tensor_open(&out, feed->queue, f32, ASKED, HEADS, DIM, NULL);
	tensor_open(&lse, feed->queue, f32, ASKED, 1, HEADS, NULL);
	args.q = rows_from(r->device[2], layer, HEADS, QUERIES - ASKED);
	args.out = out.t;
	args.lse = lse.t.mem;
	feed_ok(clkv_attend(step, layer, &args, 0, NULL, NULL, &error), &error, "attend");
	tensor_read(&out, feed->queue, got);
	tensor_read(&lse, feed->queue, got_lse);
	for (size_t i = 0; i < ASKED; i++)
		for (size_t h = 0; h < HEADS; h++) {
			size_t at = ((size_t)layer * HEADS + h) * ASKED + i;
			sum += ref_relative_error(got + (i * HEADS + h) * DIM, r->out.values + at * DIM, DIM);
			if (exact)
				ck_assert_double_eq_tol(got_lse[i * HEADS + h], r->lse.values[at], 1e-4);
		}
	tensor_close(&out);
	tensor_close(&lse);
	return sum / (ASKED * HEADS);
}

/* The mean error over layers; bytes per token after the prompt's end. */
static double error_of(const char *recipe, const char *text, bool exact, double *bytes)
{
	struct feed feed = {.geometry = feed_geometry(LAYERS, HEADS, STREAMS, DIM, DIM)};
	clkv_cache_options room = CLKV_INIT(clkv_cache_options);
	struct stream stream = {0};
	struct real r;
	clkv_step *step;
	clkv_error error;
	double sum = 0.0;
	real_open(&r, text);
	room.max_tokens = room.max_step_tokens = TOKENS;
	feed_open(&feed, fixture.context, fixture.queue, recipe, &room);
	stream_open(&feed, &stream);
	step = begin(&feed, stream.seq, TOKENS, CLKV_PROMPT_END);
	for (int layer = 0; layer < LAYERS; layer++)
		append(step, &r, layer, 0);
	feed_ok(clkv_commit(step, NULL, &error), &error, "commit");
	*bytes = (double)stream_info(&stream).bytes / TOKENS;
	feed_ok(clkv_seq_truncate(stream.seq, TOKENS - ASKED, &error), &error, "truncate");
	step = begin(&feed, stream.seq, ASKED, CLKV_DECODE);
	for (int layer = 0; layer < LAYERS; layer++) {
		append(step, &r, layer, TOKENS - ASKED);
		sum += attend(&feed, step, &r, layer, exact);
	}
	feed_ok(clkv_commit(step, NULL, &error), &error, "commit");
	stream_close(&stream);
	feed_close(&feed);
	real_close(&r);
	return sum / LAYERS;
}

START_TEST(test_f16_reproduces_dense_attention)
{
	double bytes;
	ck_assert_double_le(error_of("f16", texts[_i], true, &bytes), 1e-5);
	ck_assert_double_ge(bytes, 2304.0);
	ck_assert_double_le(bytes, 2304.0 * 1.02);
}
END_TEST

/* Errors of an independent implementation of the same definition: within 1 %. Its bytes count codes,
 * scales, minimums and the window: the tables come on top. */
START_TEST(test_codecs_have_the_expected_error)
{
	static const struct {
		const char *recipe;
		double bytes, error[2];
	} rows[] = {
		{"kivi:k=4,v=4", 918.0, {0.03789, 0.04140}},
		{"kivi:k=2,v=2", 666.0, {0.22631, 0.24665}},
		{"kivi:k=4,v=2", 792.0, {0.13578, 0.16066}},
		{"kivi:k=2,v=4", 792.0, {0.16413, 0.15446}},
	};
	double bytes, want = rows[_i / 2].error[_i % 2];
	double error = error_of(rows[_i / 2].recipe, texts[_i % 2], false, &bytes);
	ck_assert_msg(fabs(error - want) <= 0.01 * want, "%s on %s: error %.5f instead of %.5f",
	              rows[_i / 2].recipe, texts[_i % 2], error, want);
	ck_assert_msg(bytes >= rows[_i / 2].bytes && bytes <= rows[_i / 2].bytes + 25.0,
	              "%s: %.1f bytes per token instead of %.1f and tables", rows[_i / 2].recipe, bytes,
	              rows[_i / 2].bytes);
}
END_TEST

int main(void)
{
	if (!data_directory()) {
		fprintf(stderr, "SKIPPED: no real data; CLKV_TEST_DATA names its directory\n");
		return 77;
	}
	Suite *suite = suite_create("real data");
	TCase *real = fixture_case(suite, "real", 120);
	tcase_add_loop_test(real, test_f16_reproduces_dense_attention, 0, 2);
	tcase_add_loop_test(real, test_codecs_have_the_expected_error, 0, 8);
	return fixture_run_shared(suite);
}
