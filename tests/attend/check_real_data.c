/* SPDX-License-Identifier: MIT */
/**
 * \file    check_real_data.c
 * \brief   Keys, values and queries of a real model: dense attention, and the errors of codecs.
 *
 * The whole text is sealed as one prompt (128 tokens stay in half); then it is cut back to 1,016 tokens, which are all
 * in half there, and the last 8 rows come again as a step whose queries attend causally.
 */
#include "ref/ref_attend.h"
#include "support/fixture.h"
#include "support/real.h"

/* k, v, q: halves as they lie in the files. */
struct halves {
	clkv_tensor device[3];
};

static clkv_tensor upload(const struct npy *x, size_t rows)
{
	struct tensor_layout f16 = {.dtype = CLKV_F16};
	struct tensor all;
	tensor_open(&all, fixture.queue, f16, 1, 1, x->n, x->values);
	clkv_tensor t = {.mem = all.t.mem, .dtype = CLKV_F16, .token_stride = REAL_DIM};
	t.head_stride = rows * REAL_DIM;
	return t;
}

static void halves_open(struct halves *h, int text)
{
	real_open(text);
	h->device[0] = upload(&real.k, REAL_TOKENS);
	h->device[1] = upload(&real.v, REAL_TOKENS);
	h->device[2] = upload(&real.q, REAL_QUERIES);
}

static void halves_close(struct halves *h)
{
	for (int i = 0; i < 3; i++)
		clReleaseMemObject(h->device[i].mem);
	real_close();
}

static clkv_tensor rows_from(clkv_tensor t, int layer, size_t heads, size_t token)
{
	t.offset = (size_t)layer * heads * t.head_stride + token * REAL_DIM;
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

static void append(clkv_step *step, const struct halves *h, int layer, size_t from)
{
	clkv_tensor k = rows_from(h->device[0], layer, REAL_STREAMS, from);
	clkv_tensor v = rows_from(h->device[1], layer, REAL_STREAMS, from);
	clkv_error error;
	feed_ok(clkv_step_append(step, layer, &k, &v, 0, NULL, NULL, &error), &error, "append");
}

/* Mean over query heads and queries of ||o - exact|| / ||exact|| of one layer; lse must agree if exact. */
static double attend(struct feed *feed, clkv_step *step, const struct halves *h, int layer,
                     bool exact)
{
	struct tensor_layout f32 = {.dtype = CLKV_F32};
	struct tensor out, lse;
	double got[REAL_ASKED * REAL_HEADS * REAL_DIM], got_lse[REAL_ASKED * REAL_HEADS], sum = 0.0;
	clkv_attend_args args = CLKV_INIT(clkv_attend_args);
	clkv_error error;
	tensor_open(&out, feed->queue, f32, REAL_ASKED, REAL_HEADS, REAL_DIM, NULL);
	tensor_open(&lse, feed->queue, f32, REAL_ASKED, 1, REAL_HEADS, NULL);
	args.q = rows_from(h->device[2], layer, REAL_HEADS, REAL_QUERIES - REAL_ASKED);
	args.out = out.t;
	args.lse = lse.t.mem;
	feed_ok(clkv_step_attend(step, layer, &args, 0, NULL, NULL, &error), &error, "attend");
	tensor_read(&out, feed->queue, got);
	tensor_read(&lse, feed->queue, got_lse);
	for (size_t i = 0; i < REAL_ASKED; i++)
		for (size_t head = 0; head < REAL_HEADS; head++) {
			size_t at = ((size_t)layer * REAL_HEADS + head) * REAL_ASKED + i;
			sum += ref_relative_error(got + (i * REAL_HEADS + head) * REAL_DIM,
			                          real.out.values + at * REAL_DIM, REAL_DIM);
			if (exact)
				ck_assert_double_eq_tol(got_lse[i * REAL_HEADS + head], real.lse.values[at], 1e-4);
		}
	tensor_close(&out);
	tensor_close(&lse);
	return sum / (REAL_ASKED * REAL_HEADS);
}

/* The mean error over layers; bytes per token after the prompt's end. */
static double error_of(const char *recipe, int text, bool exact, double *bytes)
{
	struct feed feed = {.geometry = real_geometry()};
	clkv_cache_options room = CLKV_INIT(clkv_cache_options);
	struct stream stream = {0};
	struct halves h;
	clkv_step *step;
	clkv_error error;
	double sum = 0.0;
	halves_open(&h, text);
	room.max_tokens = room.max_step_tokens = REAL_TOKENS;
	feed_open(&feed, fixture.context, fixture.queue, recipe, &room);
	stream_open(&feed, &stream);
	step = begin(&feed, stream.seq, REAL_TOKENS, CLKV_PROMPT_END);
	for (int layer = 0; layer < REAL_LAYERS; layer++)
		append(step, &h, layer, 0);
	feed_ok(clkv_step_commit(step, NULL, &error), &error, "commit");
	*bytes = (double)stream_info(&stream).bytes / REAL_TOKENS;
	feed_ok(clkv_seq_truncate(stream.seq, REAL_TOKENS - REAL_ASKED, &error), &error, "truncate");
	step = begin(&feed, stream.seq, REAL_ASKED, CLKV_DECODE);
	for (int layer = 0; layer < REAL_LAYERS; layer++) {
		append(step, &h, layer, REAL_TOKENS - REAL_ASKED);
		sum += attend(&feed, step, &h, layer, exact);
	}
	feed_ok(clkv_step_commit(step, NULL, &error), &error, "commit");
	stream_close(&stream);
	feed_close(&feed);
	halves_close(&h);
	return sum / REAL_LAYERS;
}

START_TEST(test_f16_reproduces_dense_attention)
{
	double bytes;
	ck_assert_double_le(error_of("f16", _i, true, &bytes), 1e-5);
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
	double error = error_of(rows[_i / 2].recipe, _i % 2, false, &bytes);
	real_expect(rows[_i / 2].recipe, _i % 2, error, want, 0.01);
	ck_assert_msg(bytes >= rows[_i / 2].bytes && bytes <= rows[_i / 2].bytes + 25.0,
	              "%s: %.1f bytes per token instead of %.1f and tables", rows[_i / 2].recipe, bytes,
	              rows[_i / 2].bytes);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("real data");
	TCase *errors = fixture_case(suite, "real", 120);
	tcase_add_loop_test(errors, test_f16_reproduces_dense_attention, 0, 2);
	tcase_add_loop_test(errors, test_codecs_have_the_expected_error, 0, 8);
	return real_run(suite);
}
