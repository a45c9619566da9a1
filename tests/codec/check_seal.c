/* SPDX-License-Identifier: MIT */
/** \file check_seal.c \brief What sealing makes of values: codes, scales, axes, groups, strange inputs. */
#include "ref/ref_affine.h"
#include "ref/ref_hadamard.h"
#include "ref/ref_half.h"
#include "ref/ref_kitty.h"
#include "ref/ref_seal.h"
#include "support/bounds.h"
#include "support/each.h"
#include "support/expect.h"
#include "support/fixture.h"
#include "support/random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define KC REF_CHANNEL
#define KT REF_TOKEN

struct codec_case {
	const char *recipe;
	struct ref_affine k, v;
	size_t window, sinks, block;
	double boost; /**< share of K's channels that have 4 bits */
};

static const struct codec_case cases[] = {
	{"kivi", {4, KC, 32, 0, 0}, {4, KT, 32, 0, 0}, 128, 0, 64, 0},
	{"kivi:k=2,v=3,group=16 ; window=33,sinks=5",
     {2, KC, 16, 0, 0},
     {3, KT, 16, 0, 0},
     33,
     5,
     64,
     0},
	{"kivi:bits=8,group=64 ; window=0,block=128",
     {8, KC, 64, 0, 0},
     {8, KT, 64, 0, 0},
     0,
     0,
     128,
     0},
	{"q:k=5,v=6 ; window=1,block=32", {5, KT, 32, 0, 0}, {6, KT, 32, 0, 0}, 1, 0, 32, 0},
	{"q:k=3,v=4,axis_v=channel,axis_k=channel ; window=64",
     {3, KC, 32, 0, 0},
     {4, KC, 32, 0, 0},
     64,
     0,
     64,
     0},
	{"q:k=4,v=8,sym=1,group=128 ; window=64", {4, KT, 128, 1, 0}, {8, KT, 128, 1, 0}, 64, 0, 64, 0},
	{"q:k=2,v=5,sym=1,axis_k=channel,axis_v=channel ; window=7",
     {2, KC, 32, 1, 0},
     {5, KC, 32, 1, 0},
     7,
     0,
     64,
     0},
	{"q:k=6,v=2,group=64 ; window=7", {6, KT, 64, 0, 0}, {2, KT, 64, 0, 0}, 7, 0, 64, 0},
	{"q:k=2,v=3,clip_k=0.9,clip_v=0.75 ; window=7",
     {2, KT, 32, 0, 0.1},
     {3, KT, 32, 0, 0.25},
     7,
     0,
     64,
     0},
	{"q:k=4,v=2,sym=1,axis_k=channel,clip_k=0.96,clip_v=0.5 ; window=7",
     {4, KC, 32, 1, 0.04},
     {2, KT, 32, 1, 0.5},
     7,
     0,
     64,
     0},
	{"kitty:boost=0.3 ; window=33", {2, KC, 32, 0, 0}, {2, KT, 32, 0, 0}, 33, 0, 64, 0.3},
};
#define CASES (sizeof cases / sizeof cases[0])

static double *new_doubles(size_t n)
{
	double *values = calloc(n + 1, sizeof *values);
	ck_assert_ptr_nonnull(values);
	return values;
}

/* The decoded value is m + s * code for a code next to the exact quotient: its neighbour only where
 * the quotient, computed in single precision, may round either way. */
static bool is_code(const struct ref_affine *a, double m, double s, double x, double decoded)
{
	double top = a->symmetric ? ldexp(1.0, a->bits - 1) - 1.0 : ldexp(1.0, a->bits) - 1.0;
	double bottom = a->symmetric ? -top : 0.0;
	double exact = s > 0.0 ? (x - m) / s : 0.0, slack = (fabs(exact) + 1.0) * 0x1p-21;
	double low = fmin(fmax(rint(exact - slack), bottom), top);
	double high = fmin(fmax(rint(exact + slack), bottom), top);
	double allowed = BOUND_DECODE * (fabs(m) + s * (top + 1.0));
	return fabs(decoded - (m + s * low)) <= allowed || fabs(decoded - (m + s * high)) <= allowed;
}

/* So it is with one of the scales and one of the minimums that single precision may make. */
static bool is_some_code(const struct ref_affine *a, const struct ref_code *c, double x,
                         double decoded)
{
	const double scales[] = {c->s, c->s_low, c->s_high}, minimums[] = {c->m, c->m_low, c->m_high};
	for (int i = 0; i < 9; i++)
		if (is_code(a, minimums[i / 3], scales[i % 3], x, decoded))
			return true;
	return false;
}

struct side {
	const struct feed *feed;
	const struct ref_affine *codec;
	double boost;
	enum feed_side side;
	size_t heads, dim;
	const double *given, *decoded; /* [tokens][heads][dim] */
};

static void encode(const struct side *s, size_t count, const double *x, bool *boosted,
                   struct ref_code *codes)
{
	memset(boosted, 0, s->dim);
	if (s->boost > 0.0) {
		ref_kitty_choose(ref_kitty_boosted(s->boost, s->dim), count, s->dim, x, boosted);
		ref_kitty_encode(s->codec->group, count, s->dim, x, boosted, codes);
	} else if (s->codec->bits < 16) {
		ref_affine_encode(s->codec, count, s->dim, x, codes);
	}
}

static void check_block(const struct side *s, size_t from, size_t count)
{
	struct ref_affine four = *s->codec;
	bool boosted[REF_KITTY_CHANNELS];
	four.bits = 4;
	double *x = new_doubles(count * s->dim);
	struct ref_code *codes = calloc(count * s->dim, sizeof *codes);
	ck_assert_ptr_nonnull(codes);
	for (size_t h = 0; h < s->heads; h++) {
		for (size_t i = 0; i < count * s->dim; i++)
			x[i] = ref_stored(s->given[((from + i / s->dim) * s->heads + h) * s->dim + i % s->dim]);
		encode(s, count, x, boosted, codes);
		for (size_t i = 0; i < count * s->dim; i++) {
			double got = s->decoded[((from + i / s->dim) * s->heads + h) * s->dim + i % s->dim];
			const struct ref_affine *a = boosted[i % s->dim] ? &four : s->codec;
			const struct ref_code *c = &codes[i];
			const char *name = s->side == FEED_K ? "K" : "V";
			EACH_MSG(fabs(got - x[i]) <= c->bound,
			         "%s of token %zu + %zu, head %zu, channel %zu: %g for %g, allowed +-%g", name,
			         from, i / s->dim, h, i % s->dim, got, x[i], c->bound);
			EACH_MSG(is_some_code(a, c, x[i], got),
			         "%s of token %zu + %zu, head %zu, channel %zu: %.9g for %.9g isn't "
			         "%.9g + %.9g * %d",
			         name, from, i / s->dim, h, i % s->dim, got, x[i], c->m, c->s, c->code);
		}
	}
	free(x);
	free(codes);
}

static void check_side(const struct feed *feed, const struct stream *stream, int layer,
                       enum feed_side side, const struct ref_affine *codec, double boost,
                       const struct ref_seal *seal)
{
	size_t row = feed_heads(feed, side) * feed_dim(feed, side);
	double *given = new_doubles(stream->n * row), *decoded = new_doubles(stream->n * row);
	struct side s = {
		.feed = feed, .codec = codec, .side = side, .given = given, .decoded = decoded};
	s.boost = boost;
	s.heads = feed_heads(feed, side);
	s.dim = feed_dim(feed, side);
	feed_rows(feed, layer, side, stream->row, stream->n, given);
	feed_read(feed, stream, layer, 0, stream->n, side == FEED_K ? decoded : NULL,
	          side == FEED_V ? decoded : NULL);
	for (size_t b = 0; b < seal->n_blocks; b++)
		check_block(&s, seal->blocks[b].from, seal->blocks[b].count);
	for (size_t t = 0; t < stream->n; t++)
		for (size_t i = 0; (t < seal->sinks || t >= seal->tail) && i < row; i++)
			EACH_MSG(decoded[t * row + i] == ref_stored(given[t * row + i]),
			         "token %zu isn't sealed, element %zu reads %g for %g", t, i,
			         decoded[t * row + i], given[t * row + i]);
	free(given);
	free(decoded);
}

static void feed_sealed(struct feed *feed, struct stream *stream, struct ref_seal *seal, size_t n,
                        clkv_phase phase)
{
	feed_one(feed, stream, n, phase, n, NULL);
	ref_seal_commit(seal, n, (enum ref_phase)phase);
	ck_assert_uint_eq(stream_info(stream).length, seal->length);
	ck_assert_uint_eq(stream_info(stream).sealed, ref_seal_sealed(seal));
}

static void check_codec(const struct codec_case *c, int dk, int dv, feed_value value)
{
	struct feed feed = {.geometry = feed_geometry(2, 6, 2, dk, dv), .value = value};
	static struct stream stream;
	struct ref_seal seal;
	feed.append_only = true;
	ref_seal_open(&seal, c->window, c->sinks, c->block, false);
	feed_open(&feed, fixture.context, fixture.queue, c->recipe, NULL);
	stream_open(&feed, &stream);
	feed_sealed(&feed, &stream, &seal, 150, CLKV_PROMPT);
	feed_sealed(&feed, &stream, &seal, 101, CLKV_PROMPT_END);
	feed_sealed(&feed, &stream, &seal, 140, CLKV_DECODE);
	for (int layer = 0; layer < 2; layer++) {
		check_side(&feed, &stream, layer, FEED_K, &c->k, c->boost, &seal);
		check_side(&feed, &stream, layer, FEED_V, &c->v, 0.0, &seal);
	}
	feed_close(&feed);
}

START_TEST(test_decoded_values_are_the_codes_of_the_formula)
{
	check_codec(&cases[_i], 64, 64, feed_normal);
}
END_TEST

START_TEST(test_heads_that_groups_do_not_divide)
{
	check_codec(&cases[_i], 80, 112, feed_normal);
}
END_TEST

/* Constant channels, constant tokens, zeros, subnormals of half, the largest half, tiny ranges. */
static double odd_values(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	double value = feed_normal(row, layer, side, head, d);
	switch (random_below(random_mix(row, 77), 4) + 4 * (d % 3)) {
	case 0:
		return -0.3125; /* this token is constant in every third channel */
	case 1:
		return 0.0;
	case 5:
		return 1.0 + 0x1p-10 * (value > 0.0);
	case 6:
		return value * 0x1p-22;
	case 7:
		return d % 7 == 0 ? copysign(65504.0, value) : 3.0;
	default:
		return d % 3 == 2 ? (double)head + 0.1 : value;
	}
}

START_TEST(test_odd_values_keep_the_bound)
{
	check_codec(&cases[_i], 64, 64, odd_values);
}
END_TEST

/* Commits around the window and around whole blocks, by one token or many, prompts after prompts. */
START_TEST(test_what_is_sealed_when)
{
	static const struct {
		const char *recipe;
		size_t window, sinks, block;
		bool at_end;
	} rules[] = {
		{"kivi ; window=40", 40, 0, 64, false},
		{"kivi ; window=0,sinks=4,block=32", 0, 4, 32, false},
		{"kivi ; window=64,sinks=64,seal=prompt", 64, 64, 64, true},
		{"kivi ; window=1,sinks=100,block=128", 1, 100, 128, false},
	};
	struct feed feed = {.geometry = feed_usual(1), .append_only = true};
	static struct stream stream;
	struct ref_seal seal;
	size_t w = rules[_i].window, b = rules[_i].block, s = rules[_i].sinks;
	feed_open(&feed, fixture.context, fixture.queue, rules[_i].recipe, NULL);
	for (size_t run = 0; run < 6; run++) {
		uint64_t place = 1000 * (uint64_t)_i + run;
		ref_seal_open(&seal, w, s, b, rules[_i].at_end);
		stream_open(&feed, &stream);
		if (run == 0) { /* one by one over the first border */
			feed_sealed(&feed, &stream, &seal, w + b + s - 1, CLKV_DECODE);
			feed_sealed(&feed, &stream, &seal, 1, CLKV_DECODE);
			feed_sealed(&feed, &stream, &seal, 1, CLKV_DECODE);
		}
		for (size_t i = 0; run > 0 && stream.n < 600; i++) {
			static const clkv_phase phases[] = {CLKV_PROMPT, CLKV_PROMPT_END, CLKV_DECODE};
			size_t n = 1 + random_below(random_mix(place, 2 * i), 150);
			feed_sealed(&feed, &stream, &seal, n,
			            phases[random_below(random_mix(place, 2 * i + 1), 3)]);
		}
		stream_close(&stream);
	}
	feed_close(&feed);
}
END_TEST

/* One channel of K a hundred times as large: per channel, the others keep every bit. */
START_TEST(test_an_outlier_channel_stays_alone)
{
	struct feed feed = {.geometry = feed_usual(1), .append_only = true};
	static struct stream plain, loud;
	size_t n = 192, row = 2 * 64;
	double *a = new_doubles(n * row), *b = new_doubles(n * row);
	feed_open(&feed, fixture.context, fixture.queue, "kivi:bits=2 ; window=0", NULL);
	stream_open(&feed, &plain);
	stream_open(&feed, &loud);
	feed_one(&feed, &plain, n, CLKV_PROMPT_END, 1, NULL);
	feed.value = feed_outlier;
	feed_one(&feed, &loud, n, CLKV_PROMPT_END, 1, NULL);
	feed_read(&feed, &plain, 0, 0, n, a, NULL);
	feed_read(&feed, &loud, 0, 0, n, b, NULL);
	for (size_t i = 0; i < n * row; i++)
		if (i % 64 != 5)
			EACH_MSG(a[i] == b[i], "element %zu", i);
		else
			EACH_MSG(fabs(b[i]) >= fabs(a[i]), "element %zu", i);
	free(a);
	free(b);
	feed_close(&feed);
}
END_TEST

/* rot=hadamard: the turned rows are stored in half, coded, turned back. The error of a turned row is
 * bounded per value; turning keeps its length. */
START_TEST(test_rotated_rows_come_back_within_the_bound)
{
	struct feed feed = {.geometry = feed_usual(1), .value = feed_outlier};
	struct ref_affine codec = {.bits = 4, .axis = REF_TOKEN, .group = 32};
	static struct stream stream;
	size_t n = 150;
	double *given = new_doubles(n * 128), *decoded = new_doubles(n * 128);
	feed_open(&feed, fixture.context, fixture.queue, "q:k=4,v=4,rot=hadamard ; window=20", NULL);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, n, CLKV_PROMPT_END, 1, NULL);
	feed_rows(&feed, 0, FEED_K, stream.row, n, given);
	feed_read(&feed, &stream, 0, 0, n, decoded, NULL);
	for (size_t r = 0; r < 2 * n; r++) {
		double turned[64], half[64], allowed = 0.0, error = 0.0, size = 0.0;
		struct ref_code codes[64];
		ref_hadamard(64, given + r * 64, turned);
		for (size_t d = 0; d < 64; d++) {
			half[d] = ref_half(turned[d]);
			size += turned[d] * turned[d];
		}
		ref_affine_encode(&codec, 1, 64, half, codes);
		for (size_t d = 0; d < 64; d++) {
			double step = r / 2 < n - 20 ? codes[d].bound : 0.0;
			step += REF_HALF_EPS * fabs(turned[d]) + REF_HALF_TINY;
			allowed += step * step;
			error += pow(decoded[r * 64 + d] - given[r * 64 + d], 2.0);
		}
		ck_assert_msg(sqrt(error) <= sqrt(allowed) + 1e-5 * sqrt(size),
		              "row %zu: error %g, allowed %g", r, sqrt(error), sqrt(allowed));
	}
	free(given);
	free(decoded);
	feed_close(&feed);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("seal");
	TCase *codes = fixture_case(suite, "codes", 120), *when = fixture_case(suite, "when", 120);
	tcase_add_loop_test(codes, test_decoded_values_are_the_codes_of_the_formula, 0, CASES);
	fixture_some(codes, test_heads_that_groups_do_not_divide, CASES, 1, 4, 5, 8, 10);
	tcase_add_loop_test(codes, test_odd_values_keep_the_bound, 0, CASES);
	tcase_add_test(codes, test_an_outlier_channel_stays_alone);
	tcase_add_test(codes, test_rotated_rows_come_back_within_the_bound);
	tcase_add_loop_test(when, test_what_is_sealed_when, 0, 4);
	return fixture_run_shared(suite);
}
