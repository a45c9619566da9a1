/* SPDX-License-Identifier: MIT */
/**
 * \file    check_kvcomp_bound.c
 * \brief   kvcomp, properties P1 to P4: the promised error of every value, codes and their words.
 *
 * All inputs are halves, so that what is compared is what the codec was given. P6 (code tables) is a
 * matter of the host; P8 (perplexity against rel) needs a model: clkv-eval and the bench do it.
 */
#include "support/fixture.h"
#include "support/given.h"
#include "support/random.h"

#include <math.h>
#include <string.h>

#define CHANNEL REF_UNIT_CHANNEL
#define BLOCK REF_UNIT_BLOCK
#define TOKEN REF_UNIT_TOKEN

struct codec_case {
	const char *recipe;
	struct given_codec codec;
};

/* Every rel, both units, bounds in numbers, each form of codes and length of a lane. Each case builds
 * kernels of its own: the other tests take theirs from here. */
static const struct codec_case cases[] = {
	{"kvcomp:entropy=huffman,rel_k=0.004,rel_v=0.25,verify=1 ; window=0",
     {{CHANNEL, 0.004, 0}, {TOKEN, 0.25, 0}, 1, 0, 64}},
	{"kvcomp:entropy=huffman,rel_k=0.1,rel_v=1,lane_codes=64 ; window=9",
     {{CHANNEL, 0.1, 0}, {TOKEN, 1, 0}, 1, 9, 64}},
	{"kvcomp:entropy=huffman,unit_k=block,rel_k=0.25,rel_v=0.004,lane_codes=256,lmax=12,exact=4,"
     "verify=1 ; "
     "window=0",
     {{BLOCK, 0.25, 0}, {TOKEN, 0.004, 0}, 4, 0, 64}},
	{"kvcomp:rel_k=1,rel_v=0.02,entropy=none ; window=0",
     {{CHANNEL, 1, 0}, {TOKEN, 0.02, 0}, 1, 0, 64}},
	{"kvcomp:unit_k=block,rel_k=0.02,rel_v=0.1,entropy=pack,exact=0 ; window=0",
     {{BLOCK, 0.02, 0}, {TOKEN, 0.1, 0}, 0, 0, 64}},
	{"kvcomp:entropy=huffman,abs_k=2.5,abs_v=3 ; window=0",
     {{CHANNEL, 0, 2.5}, {TOKEN, 0, 3}, 1, 0, 64}},
	{"kvcomp:unit_k=block,abs_k=2,rel_v=0.1,entropy=pack ; window=0",
     {{BLOCK, 0, 2}, {TOKEN, 0.1, 0}, 1, 0, 64}},
};
#define CASES (sizeof cases / sizeof cases[0])
#define ABS_CASE 5
#define PACK_CASE 4

static void open_case(struct feed *feed, const struct codec_case *c)
{
	feed->append_only = true;
	feed->in.dtype = CLKV_F16;
	feed_open(feed, fixture.context, fixture.queue, c->recipe, NULL);
}

static void open_stream(struct feed *feed, const struct codec_case *c, struct stream *stream,
                        struct given *given)
{
	stream_open(feed, stream);
	given_open(given, &c->codec);
}

/* ---------------------------------------------------------------- P1 ---- */

/* Ranges from 1e-4 to 1e3, offsets up to 20 ranges: one per unit, whatever the unit is. */
static size_t turn;
static bool one_for_all_channels;

static double spread(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	static const struct {
		double range, offset;
	} shapes[] = {{1e-4, 0}, {1e-4, 20}, {1e-3, -5}, {1e-2, 1},   {0.1, 20}, {0.3, -0.5},
	              {1, 0},    {1, -20},   {10, 5},    {100, -1},   {1e3, 20}, {1e3, -20},
	              {1e3, 0},  {30, 2},    {3, -0.1},  {0.01, -0.5}};
	size_t n = sizeof shapes / sizeof shapes[0], which = d % n;
	if (side == FEED_V)
		which = random_below(random_mix(row, 3), n);
	else if (one_for_all_channels)
		which = ((size_t)layer * 2 + head + 8 * turn) % n;
	return shapes[which].range * (given_uniform(row, layer, side, head, d) + shapes[which].offset);
}

/* Whole blocks, a prompt's short last block, blocks of decoding: two streams, all values. */
static void check_spread(const struct codec_case *c, clkv_geometry geometry)
{
	struct feed feed = {.geometry = geometry};
	static struct stream stream;
	struct given given;
	uint64_t values = 0;
	one_for_all_channels = c->codec.k.unit == BLOCK;
	open_case(&feed, c);
	for (turn = 0; turn < 2; turn++) {
		open_stream(&feed, c, &stream, &given);
		given_feed(&given, &feed, &stream, spread, 70, CLKV_PROMPT, turn);
		given_feed(&given, &feed, &stream, spread, 81, CLKV_PROMPT_END, turn);
		given_feed(&given, &feed, &stream, spread, 75, CLKV_DECODE, turn);
		struct given_sealed sum = given_check(&given, &feed, &stream);
		/* all other values are a proof */
		ck_assert_uint_eq(sum.in_half * sum.tokens, c->codec.exact * sum.values);
		values += sum.values;
		given_feed(&given, &feed, &stream, spread, 1, CLKV_DECODE, turn); /* figures come later */
		given_close(&given);
		stream_close(&stream);
	}
	uint64_t checked = (uint64_t)feed_figure(&feed, "kvcomp.values_checked");
	ck_assert(checked == (strstr(c->recipe, "verify=1") ? values : 0));
	ck_assert(feed_figure(&feed, "kvcomp.values_broken") == 0);
	feed_close(&feed);
}

START_TEST(test_p1_every_value_keeps_the_promise)
{
	check_spread(&cases[_i], feed_usual(4));
}
END_TEST

START_TEST(test_p1_other_head_sizes_and_blocks)
{
	static const struct codec_case other[] = {
		{"kvcomp:entropy=huffman,rel_k=0.05,rel_v=0.1 ; window=0,block=128",
	     {{CHANNEL, 0.05, 0}, {TOKEN, 0.1, 0}, 1, 0, 128}},
		{"kvcomp:entropy=huffman,unit_k=block,rel_k=0.02,rel_v=0.01,lane_codes=256 ; "
	     "window=5,block=32",
	     {{BLOCK, 0.02, 0}, {TOKEN, 0.01, 0}, 1, 5, 32}},
		{"kvcomp:rel_k=0.1,rel_v=0.1,entropy=pack ; window=0",
	     {{CHANNEL, 0.1, 0}, {TOKEN, 0.1, 0}, 1, 0, 64}},
		{"kvcomp:entropy=huffman,rel_k=0.1,rel_v=0.05 ; window=0", /* 64 streams of a column, and of two */
	     {{CHANNEL, 0.1, 0}, {TOKEN, 0.05, 0}, 1, 0, 64}},
	};
	static const int dims[][2] = {{80, 112}, {192, 128}, {16, 48}, {128, 128}};
	check_spread(&other[_i], feed_geometry(2, 2, 2, dims[_i][0], dims[_i][1]));
}
END_TEST

/* Bounds in numbers: units of up to 256 steps are coded, others leave their side in half. */
static double two_sizes(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	return (head == 1 && d == 3 ? 4000.0 : 400.0) * given_uniform(row, layer, side, head, d);
}

START_TEST(test_p1_what_a_number_can_not_bound_stays_in_half)
{
	const struct codec_case *c = &cases[ABS_CASE];
	struct feed feed = {.geometry = feed_usual(2)};
	static struct stream stream;
	struct given given;
	open_case(&feed, c);
	open_stream(&feed, c, &stream, &given);
	given_feed(&given, &feed, &stream, two_sizes, 128, CLKV_PROMPT_END, 1);
	struct given_sealed sum = given_check(&given, &feed, &stream);
	ck_assert_uint_eq(sum.values, 2 * 2 * 2 * 128 * 64);
	/* head 1 of both sides, and the exact token of head 0 */
	ck_assert_uint_eq(sum.in_half, 2 * 2 * (128 + 1) * 64);
	given_close(&given);
	feed_close(&feed);
}
END_TEST

/* ---------------------------------------------------------------- P2, P3 ---- */

static double all_equal(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	(void)row, (void)layer, (void)side, (void)head, (void)d;
	return -0.3125;
}

static double two_values(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	return given_uniform(row, layer, side, head, d) < 0.03 ? 2.5 : -1.5;
}

/* Halving frequencies: an unlimited Huffman code would give the rarest symbols words beyond lmax. */
static double halving(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	if (d == row % 64)
		return 31.0;
	return fmin(floor(-log2(1.0 - given_uniform(row, layer, side, head, d))), 31.0);
}

static const feed_value distributions[] = {all_equal,  given_low, given_high,
                                           two_values, halving,   given_uniform};
#define DISTRIBUTIONS (sizeof distributions / sizeof distributions[0])

/* The first prompt's histogram makes the tables; blocks of any other distribution must decode as well:
 * symbols that the tables' data never had, at the end of its stream and in other streams. */
static void check_unlike(const struct codec_case *c, size_t first)
{
	struct feed feed = {.geometry = feed_usual(1)};
	static struct stream stream, other;
	struct given given, given_other;
	open_case(&feed, c);
	open_stream(&feed, c, &stream, &given);
	given_feed(&given, &feed, &stream, distributions[first], 150, CLKV_PROMPT_END, 1);
	for (size_t i = 0; i < DISTRIBUTIONS; i++) {
		given_feed(&given, &feed, &stream, distributions[i], 64, CLKV_DECODE, 2);
		open_stream(&feed, c, &other, &given_other);
		given_feed(&given_other, &feed, &other, distributions[i], 70, CLKV_PROMPT_END, 3);
		given_check(&given_other, &feed, &other);
		given_close(&given_other);
		stream_close(&other);
	}
	struct given_sealed sum = given_check(&given, &feed, &stream);
	ck_assert_uint_gt(sum.values, 2 * 2 * 64 * (64 * DISTRIBUTIONS));
	given_close(&given);
	feed_close(&feed);
}

/* 253 symbols of K, then 11 and 2, then 5 and 253 of V: tables of every form. */
START_TEST(test_p2_p3_blocks_unlike_those_that_built_the_tables)
{
	for (size_t first = 0; first < DISTRIBUTIONS; first++)
		check_unlike(&cases[_i], first);
}
END_TEST

/* ---------------------------------------------------------------- P4 ---- */

/* Constant units, units that differ by one step of half, ranges of 1e-6 and of 1e4, zeros. */
static double odd_ranges(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	double u = given_uniform(row, layer, side, head, d);
	size_t kind = side == FEED_V ? random_below(random_mix(row, 5), 8) : d % 8;
	switch (kind) {
	case 0:
		return -0.3125;
	case 1:
		return 0.0;
	case 2:
		return 1.0 + 0x1p-10 * (u > 0.5);
	case 3:
		return 1e-6 * u;
	case 4:
		return 1e4 * (u - 0.5);
	case 5:
		return u > 0.9 ? 65504.0 : -65504.0;
	case 6:
		return 0x1p-24 * (u > 0.5); /* the smallest half */
	default:
		return (u > 0.5 ? 0.0 : -0.0) + (u > 0.99);
	}
}

START_TEST(test_p4_constant_units_and_odd_ranges)
{
	const struct codec_case *c = &cases[_i];
	struct feed feed = {.geometry = feed_usual(2)};
	static struct stream stream;
	struct given given;
	open_case(&feed, c);
	open_stream(&feed, c, &stream, &given);
	given_feed(&given, &feed, &stream, all_equal, 64, CLKV_PROMPT, 1);
	given_feed(&given, &feed, &stream, odd_ranges, 150, CLKV_PROMPT_END, 1);
	given_feed(&given, &feed, &stream, all_equal, 70, CLKV_DECODE, 1);
	given_check(&given, &feed, &stream);
	given_close(&given);
	feed_close(&feed);
}
END_TEST

static size_t strange_values;

static double strange(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	static const double kinds[] = {NAN, INFINITY, -INFINITY, -NAN};
	uint64_t place =
		random_mix(row, (uint64_t)layer * 512u + (uint64_t)side * 256u + head * 64u + d);
	if (side == FEED_Q || random_below(place, 500) != 0)
		return feed_normal(row, layer, side, head, d);
	return kinds[random_below(random_mix(place, 1), 4)];
}

/* Each value is made twice: for the device, and for what the test remembers. */
static double counted(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	double value = strange(row, layer, side, head, d);
	strange_values += isfinite(value) ? 0 : 1;
	return value;
}

/* They are replaced before they meet a range; what replaces them keeps the promise, and so does the
 * unit it's in, whose range may be 65504 then. */
START_TEST(test_p4_what_is_not_finite_reaches_no_code)
{
	const struct codec_case *c = &cases[(size_t)_i / 2 ? PACK_CASE : 1];
	struct feed feed = {.geometry = feed_usual(2)};
	static struct stream stream;
	struct given given;
	open_case(&feed, c);
	if (_i % 2)
		feed.in.dtype = CLKV_F32;
	open_stream(&feed, c, &stream, &given);
	strange_values = 0;
	given_feed(&given, &feed, &stream, counted, 200, CLKV_PROMPT_END, 1);
	/* the figure is known one commit later */
	given_feed(&given, &feed, &stream, feed_normal, 1, CLKV_DECODE, 1);
	given_check(&given, &feed, &stream);
	ck_assert_uint_gt(strange_values, 100);
	ck_assert_uint_eq(feed_stats(&feed).not_finite, strange_values / 2);
	given_close(&given);
	feed_close(&feed);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("kvcomp bound");
	TCase *p1 = fixture_case(suite, "P1", 120), *p2 = fixture_case(suite, "P2 P3", 120);
	TCase *p4 = fixture_case(suite, "P4", 120);
	fixture_some(p1, test_p1_every_value_keeps_the_promise, CASES, 0, 2, 3, 4, 5);
	fixture_some(p1, test_p1_other_head_sizes_and_blocks, 4, 0, 3);
	tcase_add_test(p1, test_p1_what_a_number_can_not_bound_stays_in_half);
	fixture_some(p2, test_p2_p3_blocks_unlike_those_that_built_the_tables, 3, 0, 2);
	fixture_some(p4, test_p4_constant_units_and_odd_ranges, CASES, 0, 2, 4, 5);
	fixture_some(p4, test_p4_what_is_not_finite_reaches_no_code, 4, 2, 3);
	return fixture_run_shared(suite);
}
