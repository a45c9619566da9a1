/* SPDX-License-Identifier: MIT */
/**
 * \file    check_extremes.c
 * \brief   Values and lengths at the ends of what is allowed: tiny and huge numbers, one token and 70,000.
 *
 * One small geometry, so that each recipe's kernels are built once. CLKV_TEST_FULL=1 adds recipes.
 */
#include "ref/ref_half.h"
#include "support/bounds.h"
#include "support/each.h"
#include "support/expect.h"
#include "support/fixture.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define HEADS 2
#define DIM 16

/* seal=chunk: a prompt of any length seals; window and block are small, so that 200 tokens fill several blocks */
#define SMALL " ; window=16,block=32,seal=chunk"

/* Recipes that keep all tokens: the cheap ones first. */
static const char *const all_kept[] = {
	"f16",
	"q:k=8,v=8" SMALL,
	/* CLKV_TEST_FULL */
	"kivi:bits=4,group=16" SMALL,
	"q:k=4,v=4,sym=1,rot=hadamard" SMALL,
	"kvcomp" SMALL,
};
#define N_ALL ((int)(sizeof all_kept / sizeof all_kept[0]))

/* Recipes with a share of tokens. */
static const char *const shares[] = {
	"h2o",
	/* CLKV_TEST_FULL */
	"zeromerge",
	"snapkv:budget=0.2",
	"expected:budget=0.2",
	"prefixkv",
	"streaming:budget=0.2",
};
#define N_SHARES ((int)(sizeof shares / sizeof shares[0]))

static int upto(int all, int cheap)
{
	const char *full = getenv("CLKV_TEST_FULL");
	return full && full[0] == '1' ? all : cheap;
}

/* Scales of signed codes are the largest magnitude's, rounded to half: a constant isn't held exactly. */
static bool is_rounded(int recipe)
{
	return strstr(all_kept[recipe], "sym=1") != NULL;
}

static void open_feed(struct feed *feed, const char *recipe)
{
	feed->geometry = feed_geometry(1, HEADS, HEADS, DIM, DIM);
	feed->geometry.rope.kind = CLKV_ROPE_HALVES; /* what rows are rotated by; one recipe asks */
	feed->in.dtype = CLKV_F16;
	feed_open(feed, fixture.context, fixture.queue, recipe, NULL);
}

/* ---- values ---- */

static double value_scale;

static double scaled(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	double x = feed_normal(row, layer, side, head, d);
	return side == FEED_Q ? x : x * value_scale;
}

/* The range of a token's V in one head: what 8 bits divide. */
static double range_of(const double *v)
{
	double low = v[0], high = v[0];
	for (size_t d = 1; d < DIM; d++) {
		low = fmin(low, v[d]);
		high = fmax(high, v[d]);
	}
	return high - low;
}

/* Half a step of the stored scale, and what the clamp at the range's end lets through: 255 times the scale's rounding if
 * it's a normal half, nothing if it's subnormal, as it is then rounded up, by up to 2^-24. Single precision: 2^-20. */
static double limit_of(double range)
{
	double step = range / 255.0;
	double rounding = step < 0x1p-14 ? 0x1p-25 : 255.0 * 0x1p-12 * step;
	return step * (0.5 + 0x1p-10) + rounding + 255.0 * step * 0x1p-20;
}

/* From 1 down to where half itself ends, 8 bits keep their accuracy. */
START_TEST(test_small_values_keep_their_accuracy)
{
	static const double scales[] = {1.0, 1e-2, 1e-3, 1e-4, 3e-5, 1e-5, 1e-6, 6e-8};
	enum { N = 144, SEALED = 128 };
	static double v[N * HEADS * DIM], given[N * HEADS * DIM];
	struct feed feed = {.value = scaled, .append_only = true};
	static struct stream stream;
	open_feed(&feed, all_kept[1]);
	for (size_t i = 0; i < sizeof scales / sizeof scales[0]; i++) {
		value_scale = scales[i];
		stream_open(&feed, &stream);
		feed_one(&feed, &stream, N, CLKV_PROMPT_END, i, NULL);
		ck_assert_uint_eq(stream_info(&stream).sealed, SEALED);
		feed_rows(&feed, 0, FEED_V, stream.row, N, given);
		feed_read(&feed, &stream, 0, 0, N, NULL, v);
		for (size_t t = 0; t < (size_t)SEALED * HEADS; t++)
			for (size_t d = 0; d < DIM; d++) {
				double limit = limit_of(range_of(given + t * DIM));
				double error = fabs(v[t * DIM + d] - given[t * DIM + d]);
				EACH_MSG(error <= limit, "scale %g: error %g, allowed %g", value_scale, error,
				         limit);
			}
		stream_close(&stream);
	}
	feed_close(&feed);
}
END_TEST

/* The key of one token points one way as far as half goes, all others the other way; so does the query. */
static uint64_t winner;
static double query_sign;

static double opposed(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	if (side == FEED_V)
		return feed_normal(row, layer, side, head, d);
	if (d > 0)
		return 0.0;
	if (side == FEED_Q)
		return query_sign * REF_HALF_MAX;
	return row == winner ? REF_HALF_MAX : -REF_HALF_MAX;
}

/* The mean of the values of tokens whose keys, as they are read, have the largest product with the query, within the
 * roundings of reading; most gets the largest of their magnitudes. Returns how many they are. */
static size_t mean_of_largest(const double *k, const double *v, size_t n, size_t i, double *want,
                              double *most)
{
	double largest = -INFINITY;
	size_t many = 0, head = i / DIM;
	for (size_t t = 0; t < n; t++)
		largest = fmax(largest, query_sign * k[(t * HEADS + head) * DIM]);
	*want = *most = 0.0;
	for (size_t t = 0; t < n; t++) {
		if (query_sign * k[(t * HEADS + head) * DIM] < largest - 1e-5 * fabs(largest))
			continue;
		*want += v[t * HEADS * DIM + i];
		*most = fmax(*most, fabs(v[t * HEADS * DIM + i]));
		many++;
	}
	*want /= (double)many;
	return many;
}

/* Logits of +-1e9: their difference is beyond any exponent, so the winner's weight is exactly 1, or the others' are all
 * alike and sum up to it: means of up to 100 values in single precision. The query's own token is one of the others. Where
 * a scale was rounded to half (sym=1) sealed keys are another size than open ones, and one kind weighs nothing. */
START_TEST(test_huge_logits_of_both_signs)
{
	enum { N = 101 };
	static double k[N * HEADS * DIM], v[N * HEADS * DIM];
	const size_t last = (size_t)(N - 1) * HEADS * DIM;
	struct feed feed = {.value = opposed, .lse = true};
	static struct stream stream;
	struct feed_result result;
	open_feed(&feed, all_kept[_i]);
	for (int sign = -1; sign <= 1; sign += 2) {
		query_sign = sign;
		winner = UINT64_MAX;
		stream_open(&feed, &stream);
		feed_one(&feed, &stream, 40, CLKV_PROMPT, 1, NULL);
		feed_one(&feed, &stream, 1, CLKV_PROMPT, 2, NULL);
		stream_close(&stream);
		winner = stream.row[40];
		stream_open(&feed, &stream);
		feed_one(&feed, &stream, 40, CLKV_PROMPT, 1, NULL);
		feed_one(&feed, &stream, 1, CLKV_PROMPT, 2, NULL);
		ck_assert_uint_eq(stream.row[40], winner);
		feed_one(&feed, &stream, N - 42, CLKV_PROMPT_END, 3, NULL);
		feed_read(&feed, &stream, 0, 0, N - 1, k, v);
		feed_one(&feed, &stream, 1, CLKV_DECODE, 4, &result);
		feed_read(&feed, &stream, 0, N - 1, 1, k + last, v + last);
		for (size_t i = 0; i < (size_t)HEADS * DIM; i++) {
			double want, most;
			size_t many = mean_of_largest(k, v, N, i, &want, &most);
			EACH_MSG(sign > 0 ? many == 1 : many == N - 1 || (is_rounded(_i) && many < N - 1),
			         "sign %d: %zu tokens are alike", sign, many);
			EACH_MSG(fabs(result.out[i] - want) <= most * 2 * N * 0x1p-24,
			         "sign %d, element %zu: %g instead of %g", sign, i, result.out[i], want);
		}
		for (size_t h = 0; h < HEADS; h++)
			EACH_MSG(isfinite(result.lse[h]) && result.lse[h] > 1e9, "lse %g", result.lse[h]);
		feed_result_close(&result);
		stream_close(&stream);
	}
	feed_close(&feed);
}
END_TEST

/* All values the same, and all of them zero: a constant group decodes to its constant, weights are even. */
static double constant;

static double alike(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	(void)row, (void)layer, (void)side, (void)head, (void)d;
	return constant;
}

START_TEST(test_constants_stay_what_they_are)
{
	static const double constants[] = {0.0, -0.3125, 0x1p-24, -0x1p-14, 65504.0, -65504.0};
	enum { N = 144 };
	static double k[N * HEADS * DIM], v[N * HEADS * DIM];
	struct feed feed = {.value = alike};
	static struct stream stream;
	struct feed_result result;
	open_feed(&feed, all_kept[_i]);
	for (size_t c = 0; c < sizeof constants / sizeof constants[0]; c++) {
		constant = constants[c];
		/* a row whose turned channels go beyond half isn't held: four times the constant, of 16 channels */
		if (strstr(all_kept[_i], "rot=") && 4.0 * fabs(constant) > REF_HALF_MAX)
			continue;
		stream_open(&feed, &stream);
		feed_one(&feed, &stream, N - 1, CLKV_PROMPT_END, 1, NULL);
		feed_one(&feed, &stream, 1, CLKV_DECODE, 2, &result);
		feed_read(&feed, &stream, 0, 0, N, k, v);
		/* turned, all of a row is in one channel of four times the size: code 7 of a scale rounded to half, up if it's
		 * subnormal, of which each channel gets a quarter back */
		double near =
			is_rounded(_i) ? fabs(constant) * REF_HALF_EPS + 7 * 2 * REF_HALF_TINY / 4 : 0.0;
		for (size_t i = 0; i < (size_t)N * HEADS * DIM; i++)
			EACH_MSG(fabs(k[i] - constant) <= near && fabs(v[i] - constant) <= near,
			         "%g and %g instead of %g", k[i], v[i], constant);
		/* sums of 144 equal weights, divided by their sum */
		for (size_t i = 0; i < (size_t)HEADS * DIM; i++)
			EACH_MSG(fabs(result.out[i] - constant) <= near + fabs(constant) * 2 * N * 0x1p-24,
			         "%g instead of %g", result.out[i], constant);
		feed_result_close(&result);
		stream_close(&stream);
	}
	feed_close(&feed);
}
END_TEST

/* ---- lengths ---- */

static double limit_for(int recipe)
{
	return recipe == 0 ? BOUND_ATTEND_HALF : BOUND_ATTEND_CODES;
}

/* Prompts of each length, and a row of generation behind them; then each length once more, token by token. */
START_TEST(test_every_length)
{
	struct feed feed = {.lse = true};
	static struct stream stream;
	open_feed(&feed, all_kept[_i]);
	for (size_t n = 1; n <= 200; n++) {
		stream_open(&feed, &stream);
		feed_one(&feed, &stream, n, CLKV_PROMPT_END, n, NULL);
		expect_rows(&feed, &stream, 1, CLKV_DECODE, 1000, EXPECT_DECODED, limit_for(_i));
		stream_close(&stream);
	}
	stream_open(&feed, &stream);
	for (size_t n = 1; n <= 200; n++)
		expect_rows(&feed, &stream, 1, CLKV_DECODE, 2000, EXPECT_DECODED, limit_for(_i));
	stream_close(&stream);
	feed_close(&feed);
}
END_TEST

/* Tokens that head 0 attends to beside the merged ones. */
static size_t attended(const struct stream *stream, const struct feed *feed)
{
	static float weights[FEED_TOKENS];
	clkv_kept kept = CLKV_INIT(clkv_kept);
	clkv_error error;
	size_t n = 0;
	kept.weights = weights;
	kept.room = FEED_TOKENS;
	feed_ok(clkv_seq_get_kept(stream->seq, 0, 0, &kept, feed->queue, &error), &error, "kept");
	for (size_t i = 0; i < kept.n; i++)
		n += weights[i] > 0.0f;
	return n + stream->n - kept.tail;
}

/* A share of few tokens is none: whatever the prompt, 128 slots are there (all tokens before), a fifth of the text later. */
START_TEST(test_a_conversation_that_begins_short_keeps_a_share)
{
	static const size_t prompts[] = {1, 5, 20, 64, 200};
	struct feed feed = {0};
	static struct stream stream;
	open_feed(&feed, shares[_i]);
	for (size_t i = 0; i < sizeof prompts / sizeof prompts[0]; i++) {
		stream_open(&feed, &stream);
		feed_one(&feed, &stream, prompts[i], CLKV_PROMPT_END, 1, NULL);
		while (stream.n < 1100) {
			feed_one(&feed, &stream, stream.n < 300 ? 1 : 25, CLKV_DECODE, 2, NULL);
			if (stream.n > 300 && stream.n % 100 != 0)
				continue;
			size_t n = attended(&stream, &feed), least = stream.n < 128 ? stream.n : 128;
			EACH_MSG(n + 4 >= least, "prompt %zu, %zu tokens: %zu slots", prompts[i], stream.n, n);
		}
		/* a fifth, but for what has come since the last block left the window */
		size_t n = attended(&stream, &feed);
		ck_assert_msg(n + 4 >= (stream.n - 64) / 5, "prompt %zu: %zu slots", prompts[i], n);
		stream_close(&stream);
	}
	feed_close(&feed);
}
END_TEST

/* 17 times the same 4,096 rows, then a row of generation: each of them weighs 17 times as much as the new one. */
START_TEST(test_more_tokens_than_16_bits_count)
{
	enum { N = 4096, TIMES = 17, ROW = HEADS * DIM };
	static double k[(N + 1) * ROW], v[(N + 1) * ROW], out[ROW], want[ROW];
	static uint64_t rows[N + 1];
	clkv_cache_options options = CLKV_INIT(clkv_cache_options);
	struct feed feed = {.geometry = feed_geometry(1, HEADS, HEADS, DIM, DIM)};
	struct tensor tk, tv, tq, to;
	clkv_error error;
	clkv_seq *seq;
	clkv_step *step;
	options.max_tokens = (size_t)N * TIMES + 1;
	options.max_step_tokens = N;
	feed_open(&feed, fixture.context, fixture.queue, all_kept[_i], &options);
	for (size_t i = 0; i <= N; i++)
		rows[i] = i;
	feed_rows(&feed, 0, FEED_K, rows, N + 1, k);
	feed_rows(&feed, 0, FEED_V, rows, N + 1, v);
	tensor_open(&tk, feed.queue, feed.in, N + 1, HEADS, DIM, k);
	tensor_open(&tv, feed.queue, feed.in, N + 1, HEADS, DIM, v);
	tensor_open(&tq, feed.queue, feed.in, 1, HEADS, DIM, k);
	tensor_open(&to, feed.queue, feed.in, 1, HEADS, DIM, NULL);
	feed_ok(clkv_seq_create(feed.cache, &seq, &error), &error, "create");
	for (int i = 0; i <= TIMES; i++) {
		clkv_step_item item = {seq, i < TIMES ? N : 1, i < TIMES ? CLKV_PROMPT : CLKV_DECODE};
		clkv_tensor rk = tk.t, rv = tv.t;
		rk.offset = rv.offset = i < TIMES ? 0 : (size_t)N * ROW;
		feed_ok(clkv_step_begin(feed.cache, &item, 1, feed.queue, &step, &error), &error, "begin");
		feed_ok(clkv_step_append(step, 0, &rk, &rv, 0, NULL, NULL, &error), &error, "append");
		clkv_attend_args args = CLKV_INIT(clkv_attend_args);
		args.q = tq.t;
		args.out = to.t;
		if (i == TIMES)
			feed_ok(clkv_step_attend(step, 0, &args, 0, NULL, NULL, &error), &error, "attend");
		feed_ok(clkv_step_commit(step, NULL, &error), &error, "commit");
	}
	tensor_read(&to, feed.queue, out);
	/* the rows as they are stored: every block of the 17 parts holds the same, as blocks divide N */
	struct stream stream = {.seq = seq, .n = N};
	feed_read(&feed, &stream, 0, 0, N, k, v);
	for (size_t h = 0; h < HEADS; h++) {
		double sum = 0.0, q[DIM], abs_sum[DIM] = {0};
		feed_rows(&feed, 0, FEED_K, rows, 1, want); /* the query: row 0 as given */
		for (size_t d = 0; d < DIM; d++)
			q[d] = want[h * DIM + d];
		double mean[DIM] = {0};
		for (size_t t = 0; t <= N; t++) {
			double logit = 0.0;
			for (size_t d = 0; d < DIM; d++)
				logit += q[d] * k[t * ROW + h * DIM + d] / 4.0;
			double w = exp(logit) * (t < N ? TIMES : 1);
			sum += w;
			for (size_t d = 0; d < DIM; d++) {
				mean[d] += w * v[t * ROW + h * DIM + d];
				abs_sum[d] += w * fabs(v[t * ROW + h * DIM + d]);
			}
		}
		/* 1e-3 of the mean of absolute values: splits add in single precision, rows are halves */
		for (size_t d = 0; d < DIM; d++)
			EACH_MSG(fabs(out[h * DIM + d] - mean[d] / sum) <= BOUND_ATTEND_HALF * abs_sum[d] / sum,
			         "head %zu, channel %zu: %g instead of %g", h, d, out[h * DIM + d],
			         mean[d] / sum);
	}
	tensor_close(&tk);
	tensor_close(&tv);
	tensor_close(&tq);
	tensor_close(&to);
	feed_close(&feed);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("extremes");
	TCase *values = fixture_case(suite, "values", 60),
		  *lengths = fixture_case(suite, "lengths", 60);
	int kept = upto(N_ALL, 2), share = upto(N_SHARES, 1);
	tcase_add_test(values, test_small_values_keep_their_accuracy);
	tcase_add_loop_test(values, test_huge_logits_of_both_signs, 0, kept);
	tcase_add_loop_test(values, test_constants_stay_what_they_are, 0, kept);
	tcase_add_loop_test(lengths, test_every_length, 0, kept);
	tcase_add_loop_test(lengths, test_a_conversation_that_begins_short_keeps_a_share, 0, share);
	tcase_add_loop_test(lengths, test_more_tokens_than_16_bits_count, 0, 2);
	return fixture_run(suite);
}
