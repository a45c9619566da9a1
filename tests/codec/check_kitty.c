/* SPDX-License-Identifier: MIT */
/** \file check_kitty.c \brief Two bits and four: between kivi's two and four, channel by channel, in every form. */
#include "ref/ref_half.h"
#include "ref/ref_kitty.h"
#include "support/bounds.h"
#include "support/decoded.h"
#include "support/each.h"
#include "support/expect.h"
#include "support/fixture.h"
#include "support/random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define AROUND " ; window=0"

static size_t result_doubles(const struct feed_result *r)
{
	return r->rows * r->out_row;
}

/* ---------------------------------------------------------------- ends ---- */

START_TEST(test_without_boost_it_is_kivi)
{
	static struct decoded a, b;
	size_t n = DECODED_TOKENS * 2 * (size_t)decoded_shapes[_i].dk,
		   m = DECODED_TOKENS * 2 * (size_t)decoded_shapes[_i].dv;
	decode_prompt(&a, "kitty:boost=0" AROUND, decoded_geometry(_i), feed_normal, true);
	decode_prompt(&b, "kivi:bits=2" AROUND, decoded_geometry(_i), feed_normal, true);
	ck_assert_int_eq(memcmp(a.k, b.k, n * sizeof *a.k), 0);
	ck_assert_int_eq(memcmp(a.v, b.v, m * sizeof *a.v), 0);
	ck_assert_int_eq(memcmp(a.result.out, b.result.out, result_doubles(&a.result) * sizeof(double)),
	                 0);
	ck_assert_uint_eq(a.bytes, b.bytes);
	feed_result_close(&a.result);
	feed_result_close(&b.result);
}
END_TEST

/* The codes are those of four bits; attention adds them up in two parts. */
START_TEST(test_with_all_boosted_it_has_four_bits)
{
	static struct decoded a, b;
	size_t n = DECODED_TOKENS * 2 * (size_t)decoded_shapes[_i].dk;
	decode_prompt(&a, "kitty:boost=1" AROUND, decoded_geometry(_i), feed_normal, true);
	decode_prompt(&b, "kivi:k=4,v=2" AROUND, decoded_geometry(_i), feed_normal, true);
	ck_assert_int_eq(memcmp(a.k, b.k, n * sizeof *a.k), 0);
	double error = 0.0, size = 0.0;
	for (size_t i = 0; i < result_doubles(&a.result); i++) {
		error += pow(a.result.out[i] - b.result.out[i], 2.0);
		size += pow(b.result.out[i], 2.0);
	}
	ck_assert_double_le(sqrt(error), BOUND_REORDER * sqrt(size));
	feed_result_close(&a.result);
	feed_result_close(&b.result);
}
END_TEST

/* ---------------------------------------------------------------- channels ---- */

/* A whole block, of one head, that three recipes have decoded. */
struct part {
	const struct decoded *two, *four, *mixed;
	size_t head, from, n, dim;
};

static size_t at(const struct part *p, size_t t, size_t c)
{
	return ((p->from + t) * 2 + p->head) * p->dim + c;
}

static bool reads_as(const struct part *p, const struct decoded *d, size_t c)
{
	for (size_t t = 0; t < p->n; t++)
		if (p->mixed->k[at(p, t, c)] != d->k[at(p, t, c)])
			return false;
	return true;
}

static void choose(const struct part *p, double share, bool *boosted)
{
	static double x[64 * REF_KITTY_CHANNELS];
	for (size_t i = 0; i < p->n * p->dim; i++)
		x[i] = ref_stored(p->mixed->given_k[at(p, i / p->dim, i % p->dim)]);
	ref_kitty_choose(ref_kitty_boosted(share, p->dim), p->n, p->dim, x, boosted);
}

static const struct {
	const char *recipe;
	double share;
} mixed[] = {
	{"kitty" AROUND, 0.1}, {"kitty:boost=0.25" AROUND, 0.25}, {"kitty:boost=0.7" AROUND, 0.7}};
enum { MIXED = sizeof mixed / sizeof mixed[0] };

static void each_part(struct decoded d[3], size_t dim, double share,
                      void (*check)(const struct part *p, double share))
{
	for (size_t head = 0; head < 2; head++)
		for (size_t from = 0; from < DECODED_TOKENS; from += 64) {
			size_t n = DECODED_TOKENS - from < 64 ? DECODED_TOKENS - from : 64;
			const struct part p = {&d[0], &d[1], &d[2], head, from, n, dim};
			check(&p, share);
		}
}

static struct decoded three[3]; /* two bits, four, the mixture */

static void decode_three(int i, int which, feed_value value)
{
	decode_prompt(&three[0], "kivi:bits=2" AROUND, decoded_geometry(i), value, false);
	decode_prompt(&three[1], "kivi:k=4,v=2" AROUND, decoded_geometry(i), value, false);
	decode_prompt(&three[2], mixed[which].recipe, decoded_geometry(i), value, false);
	ck_assert_int_eq(memcmp(three[0].v, three[2].v,
	                        DECODED_TOKENS * 2 * (size_t)decoded_shapes[i].dv * sizeof(double)),
	                 0);
}

/* The channels that the reference chooses read as those of four bits, the others as those of two. */
static void check_chosen(const struct part *p, double share)
{
	bool boosted[REF_KITTY_CHANNELS];
	choose(p, share, boosted);
	for (size_t c = 0; c < p->dim; c++)
		EACH_MSG(reads_as(p, boosted[c] ? p->four : p->two, c),
		         "token %zu, head %zu, channel %zu isn't that of %d bits", p->from, p->head, c,
		         boosted[c] ? 4 : 2);
}

START_TEST(test_the_largest_channels_have_four_bits_others_two)
{
	size_t dim = (size_t)decoded_shapes[_i / MIXED].dk;
	decode_three(_i / MIXED, _i % MIXED, feed_normal);
	each_part(three, dim, mixed[_i % MIXED].share, check_chosen);
}
END_TEST

/* Of each token all channels are equally large. */
static double even_values(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	uint64_t sign = random_mix(row, 1000 * (uint64_t)layer + 100 * head + d + (side == FEED_V));
	double size = 0.25 + (double)random_below(random_mix(row, 5), 64) / 64.0;
	return sign & 1 ? size : -size;
}

static void check_first(const struct part *p, double share)
{
	size_t n = ref_kitty_boosted(share, p->dim);
	for (size_t c = 0; c < p->dim; c++)
		EACH_MSG(reads_as(p, c < n ? p->four : p->two, c), "token %zu, head %zu, channel %zu",
		         p->from, p->head, c);
}

START_TEST(test_of_equal_channels_the_first_are_taken)
{
	decode_three(0, _i, even_values);
	each_part(three, (size_t)decoded_shapes[0].dk, mixed[_i].share, check_first);
}
END_TEST

/* A step is a fifteenth of a group's range, not a third: the largest error of a boosted channel is a fifth of what it may be
 * otherwise, but for the rounding of scale and minimum to half. */
static void check_fifth(const struct part *p, double share)
{
	bool boosted[REF_KITTY_CHANNELS];
	choose(p, share, boosted);
	for (size_t c = 0; c < p->dim; c++)
		for (size_t t0 = 0; t0 < p->n && boosted[c]; t0 += 32) {
			size_t n = p->n - t0 < 32 ? p->n - t0 : 32;
			double low = INFINITY, high = -INFINITY, error = 0.0;
			for (size_t t = t0; t < t0 + n; t++) {
				double x = ref_stored(p->mixed->given_k[at(p, t, c)]);
				low = fmin(low, x);
				high = fmax(high, x);
				error = fmax(error, fabs(p->mixed->k[at(p, t, c)] - x));
			}
			double otherwise = (high - low) / 3.0 / 2.0;
			EACH_MSG(error <= otherwise / 5.0 + 2.0 * REF_HALF_EPS * (high - low + fabs(low)),
			         "token %zu, channel %zu: error %g, allowed without boost %g", p->from + t0, c,
			         error, otherwise);
		}
}

START_TEST(test_a_boosted_channel_errs_by_a_fifth)
{
	decode_three(_i, 1, feed_outlier);
	each_part(three, (size_t)decoded_shapes[_i].dk, mixed[1].share, check_fifth);
}
END_TEST

/* ---------------------------------------------------------------- bytes ---- */

START_TEST(test_bytes_are_those_of_the_formula)
{
	static const struct {
		const char *recipe;
		double share;
		int group;
		size_t block;
	} cases[] = {
		{"kitty", 0.1, 32, 64},
		{"kitty:boost=0", 0, 32, 64},
		{"kitty:boost=0.001,group=16 ; block=32", 0.001, 16, 32},
		{"kitty:boost=0.125,group=128 ; block=128", 0.125, 128, 128},
		{"kitty:boost=1,group=64", 1, 64, 64},
	};
	static const size_t dims[][2] = {{64, 64}, {128, 128}, {80, 112}, {192, 128}, {16, 32}};
	clkv_cache_options o = CLKV_INIT(clkv_cache_options);
	o.max_tokens = 1024;
	for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++)
		for (size_t d = 0; d < sizeof dims / sizeof dims[0]; d++) {
			clkv_geometry g = feed_geometry(3, 10, 5, (int)dims[d][0], (int)dims[d][1]);
			size_t block = ref_kitty_bytes(cases[c].share, cases[c].group, cases[c].block,
			                               dims[d][0], dims[d][1]);
			double got = feed_required(fixture.context, &g, cases[c].recipe, &o).per_token;
			/* 16 bytes of a table's entry for each block */
			ck_assert_double_eq(got, 15.0 * (double)(block + 16) / (double)cases[c].block);
		}
}
END_TEST

/* ---------------------------------------------------------------- forms ---- */

static const char *const forms[] = {"lanes=1,vec=1",  "lanes=1,vec=4", "lanes=1,vec=8",
                                    "lanes=1,vec=16", "lanes=8,vec=2", "lanes=32,vec=1",
                                    "lanes=64,vec=1", "lanes=64,vec=4"};
enum { FORMS = sizeof forms / sizeof forms[0], USUAL = 2 };

/* Alone, and where K's rows are fewer, or packed. */
static const struct {
	const char *recipe;
	int q_heads, kv_heads, dk, dv;
} formed[] = {
	{"kitty:boost=0.2,group=16 ; window=40,sinks=3", 4, 1, 80, 112},
	{"think:keep=0.5 | kitty ; window=40", 6, 2, 64, 64},
	{"spark | kitty:boost=0.25 ; window=40", 6, 2, 64, 64},
};
enum { FORMED = sizeof formed / sizeof formed[0], LENGTH = 145 };

/* Unless everything is asked for: one lane with the widest vectors, few lanes, many, and each recipe. */
static const unsigned forms_by[FORMED] = {1u << 3, 1u << 4, 1u << 5};

static void live(const char *form, int which, double *k)
{
	clkv_context *context = fixture_open_tuned(form);
	cl_command_queue queue = fixture_queue_of(context);
	struct feed feed = {.lse = true};
	static struct stream stream;
	feed.geometry = feed_geometry(2, formed[which].q_heads, formed[which].kv_heads,
	                              formed[which].dk, formed[which].dv);
	feed_open(&feed, context, queue, formed[which].recipe, NULL);
	stream_open(&feed, &stream);
	expect_rows(&feed, &stream, 40, CLKV_PROMPT, 1, EXPECT_DECODED, BOUND_ATTEND_CODES);
	feed_one(&feed, &stream, LENGTH - 40, CLKV_PROMPT_END, 2, NULL);
	feed_read(&feed, &stream, 1, 0, LENGTH, k, NULL);
	expect_rows(&feed, &stream, 1, CLKV_DECODE, 3, EXPECT_DECODED, BOUND_ATTEND_CODES);
	expect_rows(&feed, &stream, 19, CLKV_DECODE, 4, EXPECT_DECODED, BOUND_ATTEND_CODES);
	feed_close(&feed);
	clReleaseCommandQueue(queue);
	clkv_context_destroy(context);
}

/* Attention is that over what was decoded; which channels are boosted, and so what is decoded, is the same in all forms. What
 * spark recovers is made of sums, whose order is the form's. */
START_TEST(test_forms_choose_alike_and_agree_with_the_reference)
{
	static double first[DECODED_MOST], other[DECODED_MOST];
	size_t n = (size_t)LENGTH * (size_t)(formed[_i].kv_heads * formed[_i].dk);
	bool exact = strncmp(formed[_i].recipe, "kitty", 5) == 0;
	if (exact || fixture_full())
		live(forms[USUAL], _i, first);
	for (int f = 0; f < FORMS; f++)
		if (f != USUAL && (fixture_full() || forms_by[_i] & 1u << f)) {
			live(forms[f], _i, other);
			ck_assert_msg(!exact || memcmp(first, other, n * sizeof *first) == 0, "%s", forms[f]);
		}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("kitty");
	TCase *ends = fixture_case(suite, "ends", 120),
		  *channels = fixture_case(suite, "channels", 120);
	TCase *bytes = fixture_case(suite, "bytes", 60), *each = fixture_case(suite, "forms", 300);
	fixture_some(ends, test_without_boost_it_is_kivi, DECODED_SHAPES, 0);
	fixture_some(ends, test_with_all_boosted_it_has_four_bits, DECODED_SHAPES, 0);
	fixture_some(channels, test_the_largest_channels_have_four_bits_others_two,
	             DECODED_SHAPES * MIXED, 0, 7);
	fixture_some(channels, test_of_equal_channels_the_first_are_taken, MIXED, 0);
	fixture_some(channels, test_a_boosted_channel_errs_by_a_fifth, DECODED_SHAPES, 2);
	tcase_add_test(bytes, test_bytes_are_those_of_the_formula);
	tcase_add_loop_test(each, test_forms_choose_alike_and_agree_with_the_reference, 0, FORMED);
	return fixture_run_shared(suite);
}
