/* SPDX-License-Identifier: MIT */
/**
 * \file    check_kvcomp.c
 * \brief   kvcomp: attention from codes (P5), the same bits from any chunks (P9), figures, bad recipes.
 */
#include "support/bounds.h"
#include "support/expect.h"
#include "support/fixture.h"
#include "support/given.h"
#include "support/random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- P5 ---- */

struct attend_case {
	const char *recipe;
	int q_heads, kv_heads, dk, dv;
};

/* G of 1, 3 and 8 for each form of codes; a side in half beside coded ones; other head sizes. */
static const struct attend_case attend_cases[] = {
	{"kvcomp:entropy=huffman ; window=0", 6, 2, 64, 64},
	{"kvcomp:entropy=huffman,unit_k=block,rel_k=0.04,rel_v=0.25 ; window=33,sinks=5", 2, 2, 64, 64},
	{"kvcomp:entropy=huffman,rel_k=0.02,rel_v=0.01,lane_codes=128 ; window=0", 8, 1, 64, 64},
	{"kvcomp:entropy=pack ; window=33,sinks=5", 6, 2, 64, 64},
	{"kvcomp:entropy=pack,unit_k=block,rel_k=0.04 ; window=0", 8, 1, 64, 64},
	{"kvcomp:entropy=pack,rel_v=0.02 ; window=0", 2, 2, 64, 64},
	{"kvcomp:entropy=none ; window=40,skip=1", 6, 2, 64, 64},
	{"kvcomp:entropy=none,rel_k=0.02 ; window=0", 8, 1, 64, 64},
	{"kvcomp:entropy=none,unit_k=block ; window=0", 2, 2, 64, 64},
	{"kvcomp:entropy=huffman,abs_k=0.001,abs_v=0.1 ; window=0", 6, 2, 64, 64},
	{"kvcomp:entropy=huffman,lane_codes=256 ; window=0,block=32", 4, 1, 128, 128},
	{"kvcomp:entropy=huffman ; window=0,block=128", 8, 1, 80, 112},
};
#define ATTEND_CASES (sizeof attend_cases / sizeof attend_cases[0])

/* Heavy tails, so that words of very different lengths stand beside each other. */
static double tails(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	double x = feed_normal(row, layer, side, head, d);
	return side == FEED_Q ? x : x + 0.2 * x * x * x;
}

/* A whole prompt with a short last block, rows of decoding and a chunk behind it; then a prompt shorter
 * than a block. None of the compared steps seals its own rows. */
START_TEST(test_p5_attention_equals_that_over_decoded_rows)
{
	const struct attend_case *c = &attend_cases[_i];
	struct feed feed = {.lse = true, .value = tails};
	static struct stream stream, small;
	feed.geometry = feed_geometry(2, c->q_heads, c->kv_heads, c->dk, c->dv);
	feed_open(&feed, fixture.context, fixture.queue, c->recipe, NULL);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, 211, CLKV_PROMPT_END, 1, NULL);
	expect_rows(&feed, &stream, 1, CLKV_DECODE, 2, EXPECT_DECODED, BOUND_ATTEND_CODES);
	expect_rows(&feed, &stream, 26, CLKV_PROMPT, 3, EXPECT_DECODED, BOUND_ATTEND_CODES);
	feed_one(&feed, &stream, 150, CLKV_DECODE, 4, NULL);
	expect_rows(&feed, &stream, 1, CLKV_DECODE, 5, EXPECT_DECODED, BOUND_ATTEND_CODES);
	stream_open(&feed, &small);
	feed_one(&feed, &small, 25, CLKV_PROMPT_END, 6, NULL);
	expect_rows(&feed, &small, 1, CLKV_DECODE, 7, EXPECT_DECODED, BOUND_ATTEND_CODES);
	expect_rows(&feed, &small, 20, CLKV_PROMPT, 8, EXPECT_DECODED, BOUND_ATTEND_CODES);
	feed_close(&feed);
}
END_TEST

START_TEST(test_p5_windows_caps_and_sinks_over_codes)
{
	static const float sinks[] = {-3.0f, 0.5f, 2.0f, 6.0f, 0.0f, 1.0f};
	static const int windows[] = {0, 1, 150, 230};
	struct feed feed = {.geometry = feed_usual(4), .lse = true, .sinks = sinks, .value = tails};
	static struct stream stream;
	for (int layer = 0; layer < 4; layer++)
		feed.window[layer] = windows[layer];
	feed.geometry.window = feed.window;
	feed.geometry.softcap = 3.0f;
	feed_open(&feed, fixture.context, fixture.queue, "kvcomp:entropy=huffman ; window=40,sinks=6",
	          NULL);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, 300, CLKV_PROMPT_END, 1, NULL);
	for (uint64_t i = 0; i < 3; i++)
		expect_rows(&feed, &stream, 1 + (size_t)i * 15, CLKV_DECODE, 2 + i, EXPECT_DECODED,
		            BOUND_ATTEND_CODES);
	feed_close(&feed);
}
END_TEST

/* Smaller steps come closer to what was given: attention's error follows rel. */
static double error_of(const char *recipe)
{
	struct feed feed = {.geometry = feed_usual(1)}, exact = feed;
	static struct stream stream, dense;
	struct feed_result result, want;
	feed_open(&feed, fixture.context, fixture.queue, recipe, NULL);
	feed_open(&exact, fixture.context, fixture.queue, "f16", NULL);
	stream_open(&feed, &stream);
	stream_open(&exact, &dense);
	feed_one(&feed, &stream, 256, CLKV_PROMPT_END, 1, NULL);
	feed_one(&exact, &dense, 256, CLKV_PROMPT_END, 1, NULL);
	feed_one(&feed, &stream, 8, CLKV_DECODE, 2, &result);
	feed_one(&exact, &dense, 8, CLKV_DECODE, 2, &want);
	double error = expect_difference(&feed, &result, &want);
	feed_result_close(&result);
	feed_result_close(&want);
	feed_close(&feed);
	feed_close(&exact);
	return error;
}

/* Steps five times smaller, twice: the error is proportional, half of that is left for chance. */
START_TEST(test_smaller_steps_come_closer)
{
	double coarse = error_of("kvcomp:rel_k=0.5,rel_v=0.5 ; window=0");
	double middle = error_of("kvcomp:rel_k=0.1,rel_v=0.1 ; window=0");
	double fine = error_of("kvcomp:rel_k=0.02,rel_v=0.02 ; window=0");
	ck_assert_double_gt(coarse, 2.5 * middle);
	ck_assert_double_gt(middle, 2.5 * fine);
	ck_assert_double_gt(fine, 0.0);
}
END_TEST

/* ---------------------------------------------------------------- P9 ---- */

struct outcome {
	double *rows[2][2]; /* decoded, of each layer's K and V */
	struct feed_result out;
	clkv_seq_info info;
	uint64_t used;
};

static void run_prompt(struct outcome *o, const char *recipe, size_t n, size_t chunk)
{
	struct feed feed = {.geometry = feed_usual(2), .lse = true, .value = tails};
	static struct stream stream;
	feed_open(&feed, fixture.context, fixture.queue, recipe, NULL);
	stream_open(&feed, &stream);
	feed.append_only = true; /* outputs of the prompt's own rows depend on what is sealed already */
	while (stream.n < n) {
		size_t more = n - stream.n < chunk ? n - stream.n : chunk;
		feed_one(&feed, &stream, more, stream.n + more == n ? CLKV_PROMPT_END : CLKV_PROMPT, 1,
		         NULL);
	}
	feed.append_only = false;
	o->info = stream_info(&stream);
	o->used = feed_stats(&feed).used_sealed;
	for (int layer = 0; layer < 2; layer++) {
		for (int side = 0; side < 2; side++) {
			o->rows[layer][side] = calloc(n * 128, sizeof(double));
			ck_assert_ptr_nonnull(o->rows[layer][side]);
		}
		feed_read(&feed, &stream, layer, 0, n, o->rows[layer][0], o->rows[layer][1]);
	}
	feed_one(&feed, &stream, 3, CLKV_DECODE, 2, &o->out);
	feed_close(&feed);
}

static void free_outcome(struct outcome *o)
{
	for (int i = 0; i < 4; i++)
		free(o->rows[i / 2][i % 2]);
	feed_result_close(&o->out);
}

START_TEST(test_p9_chunks_of_a_prompt_leave_no_trace)
{
	static const char *const recipes[] = {"kvcomp:entropy=huffman ; window=0,seal=prompt",
	                                      "kvcomp:entropy=pack ; window=33,sinks=5,seal=prompt"};
	static const size_t chunks[] = {1, 7, 64, 100};
	for (size_t i = 0; i < sizeof chunks / sizeof chunks[0]; i++) {
		size_t n = chunks[i] == 1 ? 97 : 300;
		struct outcome whole, parts;
		run_prompt(&whole, recipes[_i], n, n);
		run_prompt(&parts, recipes[_i], n, chunks[i]);
		ck_assert_uint_gt(whole.used, 0);
		ck_assert_uint_eq(parts.used, whole.used);
		ck_assert_uint_eq(parts.info.bytes, whole.info.bytes);
		ck_assert_uint_eq(parts.info.sealed, whole.info.sealed);
		for (int side = 0; side < 4; side++)
			ck_assert_msg(memcmp(parts.rows[side / 2][side % 2], whole.rows[side / 2][side % 2],
			                     n * 128 * sizeof(double)) == 0,
			              "chunks of %zu: layer %d, %s", chunks[i], side / 2, side % 2 ? "V" : "K");
		ck_assert_uint_eq(parts.out.rows, whole.out.rows);
		size_t out = 2 * whole.out.rows * whole.out.out_row * sizeof(double);
		size_t lse = 2 * whole.out.rows * whole.out.lse_row * sizeof(double);
		ck_assert_msg(memcmp(parts.out.out, whole.out.out, out) == 0, "chunks of %zu: outputs",
		              chunks[i]);
		ck_assert_int_eq(memcmp(parts.out.lse, whole.out.lse, lse), 0);
		free_outcome(&parts);
		free_outcome(&whole);
	}
}
END_TEST

/* ---------------------------------------------------------------- figures ---- */

/* The bounds in force are half the largest steps, of all sequences; verify=1 looks at every value. */
START_TEST(test_figures_of_bounds_and_checks)
{
	static const struct {
		const char *recipe;
		struct given_codec codec;
		bool verify;
	} cases[] = {
		{"kvcomp:entropy=huffman,rel_k=0.1,rel_v=0.1,verify=1 ; window=20",
	     {{REF_UNIT_CHANNEL, 0.1, 0}, {REF_UNIT_TOKEN, 0.1, 0}, 1, 20, 64},
	     true},
		{"kvcomp:verify=1,exact=0,entropy=pack,unit_k=block,rel_k=0.05,abs_v=0.25 ; window=20",
	     {{REF_UNIT_BLOCK, 0.05, 0}, {REF_UNIT_TOKEN, 0, 0.25}, 0, 20, 64},
	     true},
		{"kvcomp:entropy=huffman,rel_k=0.1,rel_v=0.1 ; window=20",
	     {{REF_UNIT_CHANNEL, 0.1, 0}, {REF_UNIT_TOKEN, 0.1, 0}, 1, 20, 64},
	     false},
	};
	struct feed feed = {.geometry = feed_usual(3), .append_only = true, .in = {.dtype = CLKV_F16}};
	static struct stream stream[2];
	struct given given[2];
	double low[2] = {0, 0}, high[2] = {0, 0};
	uint64_t values = 0;
	feed_open(&feed, fixture.context, fixture.queue, cases[_i].recipe, NULL);
	ck_assert_double_eq(feed_figure(&feed, "kvcomp.bound_k"), 0.0);
	ck_assert_double_eq(feed_figure(&feed, "kvcomp.bound_v"), 0.0);
	ck_assert_double_eq(feed_figure(&feed, "kvcomp.values_checked"), 0.0);
	for (size_t i = 0; i < 2; i++) {
		stream_open(&feed, &stream[i]);
		given_open(&given[i], &cases[_i].codec);
		given_feed(&given[i], &feed, &stream[i], tails, 150 + i, CLKV_PROMPT_END, i);
		for (size_t j = 0; j < 3; j++)
			given_feed(&given[i], &feed, &stream[i], tails, 40, CLKV_DECODE, i);
		struct given_sealed sum = given_check(&given[i], &feed, &stream[i]);
		values += sum.values;
		ck_assert_uint_eq(sum.in_half * sum.tokens, cases[_i].codec.exact * sum.values);
		for (size_t side = 0; side < 2; side++) {
			low[side] = fmax(low[side], sum.step_low[side] / 2.0);
			high[side] = fmax(high[side], sum.step[side] / 2.0);
		}
	}
	/* figures that the device counts are known one commit later */
	given_feed(&given[1], &feed, &stream[1], tails, 1, CLKV_DECODE, 9);
	double k = feed_figure(&feed, "kvcomp.bound_k"), v = feed_figure(&feed, "kvcomp.bound_v");
	ck_assert_msg(k >= low[0] && k <= high[0], "K: %g instead of %g", k, high[0]);
	ck_assert_msg(v >= low[1] && v <= high[1], "V: %g instead of %g", v, high[1]);
	ck_assert_uint_eq((uint64_t)feed_figure(&feed, "kvcomp.values_checked"),
	                  cases[_i].verify ? values : 0);
	ck_assert_double_eq(feed_figure(&feed, "kvcomp.values_broken"), 0.0);
	for (size_t i = 0; i < 2; i++)
		given_close(&given[i]);
	feed_close(&feed);
}
END_TEST

/* ---------------------------------------------------------------- bad recipes ---- */

/* Where the error begins, and words that its text must have: the key and what is allowed. */
static const struct {
	const char *recipe;
	int position; /* -1: two keys don't go together: anywhere in the stage */
	const char *words[3];
} errors[] = {
	{"kvcomp:rel_k=0.003", 13, {"rel_k", "0.003", "0.004"}},
	{"kvcomp:rel_v=0.003", 13, {"rel_v", "0.003", "0.004"}},
	{"kvcomp:rel_k=1.5", 13, {"rel_k", "1.5", "1"}},
	{"kvcomp:rel_v=-0.1", 13, {"rel_v", "-0.1", "0.004"}},
	{"kvcomp:rel_v=0", 13, {"rel_v", "0.004", NULL}},
	{"kvcomp:rel_k=nan", 13, {"rel_k", "0.004", NULL}},
	{"kvcomp:rel_k=inf", 13, {"rel_k", "0.004", NULL}},
	{"kvcomp:rel_k=0.1x", 13, {"rel_k", "0.1x", "0.004"}},
	{"kvcomp:rel_k=", 13, {"rel_k", "0.004", NULL}},
	{"kvcomp:abs_k=0", 13, {"abs_k", "0", NULL}},
	{"kvcomp:abs_v=-1", 13, {"abs_v", "-1", NULL}},
	{"kvcomp:abs_v=nan", 13, {"abs_v", NULL, NULL}},
	{"kvcomp:abs_k=inf", 13, {"abs_k", NULL, NULL}},
	{"kvcomp:rel_k=0.1,abs_k=0.5", -1, {"rel_k", "abs_k", NULL}},
	{"kvcomp:abs_v=0.5,rel_v=0.1", -1, {"rel_v", "abs_v", NULL}},
	{"kvcomp:rel_k=0.1,lmax=3", -1, {"lmax", "3", "4"}},
	{"kvcomp:rel_v=0.004,lmax=7", -1, {"lmax", "7", "8"}},
	{"kvcomp:abs_v=1,lmax=7", -1, {"lmax", "7", "8"}},
	{"kvcomp:lmax=13", 12, {"lmax", "13", "12"}},
	{"kvcomp:lmax=-1", 12, {"lmax", "-1", NULL}},
	{"kvcomp:lane_codes=32", 18, {"lane_codes", "32", "64|128|256"}},
	{"kvcomp:unit_k=token", 14, {"unit_k", "token", "channel|block"}},
	{"kvcomp:entropy=zip", 15, {"entropy", "zip", "huffman|pack|none"}},
	{"kvcomp:verify=2", 14, {"verify", "2", NULL}},
	{"kvcomp:exact=5", 13, {"exact", "5", "4"}},
	{"kvcomp:rel=0.1", 7, {"rel", "rel_k", "rel_v"}},
	{"kvcomp:rel_k=0.1,rel_k=0.2", 17, {"rel_k", "twice", NULL}},
	{"kvcmp", 0, {"kvcmp", "kvcomp", NULL}},
};

static void check_error(size_t i)
{
	const char *recipe = errors[i].recipe;
	clkv_geometry geometry = feed_usual(2);
	clkv_cache_options options = CLKV_INIT(clkv_cache_options);
	clkv_cache *cache = NULL;
	clkv_error error;
	clkv_error why;
	options.max_tokens = 256;
	memset(&error, 0xee, sizeof error);
	clkv_status status =
		clkv_cache_create(fixture.context, &geometry, recipe, &options, &cache, &error);
	ck_assert_msg(status == CLKV_ERROR_INVALID_RECIPE, "'%s': %s", recipe,
	              clkv_status_string(status));
	ck_assert_ptr_null(cache);
	ck_assert_int_eq(error.status, CLKV_ERROR_INVALID_RECIPE);
	ck_assert_ptr_nonnull(memchr(error.text, '\0', sizeof error.text));
	if (errors[i].position >= 0)
		ck_assert_msg(error.position == errors[i].position, "'%s': position %d: %s", recipe,
		              error.position, error.text);
	else
		ck_assert_msg(error.position >= 0 && error.position <= (int)strlen(recipe),
		              "'%s': position %d: %s", recipe, error.position, error.text);
	for (size_t w = 0; w < 3 && errors[i].words[w]; w++)
		ck_assert_msg(strstr(error.text, errors[i].words[w]) != NULL, "'%s': '%s' lacks '%s'",
		              recipe, error.text, errors[i].words[w]);
	ck_assert_int_eq(clkv_recipe_check(fixture.context, &geometry, recipe, &why),
	                 CLKV_ERROR_INVALID_RECIPE);
	ck_assert_str_eq(why.text, error.text);
}

START_TEST(test_errors_say_where_and_what_is_allowed)
{
	for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++)
		check_error(i);
}
END_TEST

/* The printed recipe names every key that counts, and printing it again changes nothing. */
START_TEST(test_recipes_print_in_full)
{
	static const struct {
		const char *recipe, *parts[6];
	} cases[] = {
		{"kvcomp ; seal=chunk",
	     {"unit_k=channel", "lane_codes=", "verify=0", "sinks=0", "exact=1", "seal=chunk"}},
		{"kvcomp:unit_k=block,abs_k=0.25,rel_v=0.004,entropy=pack,verify=1 ; seal=prompt",
	     {"unit_k=block", "abs_k=0.25", "rel_v=0.004", "entropy=pack", "verify=1", "seal=prompt"}},
		{"kvcomp:lmax=9,lane_codes=128,entropy=none",
	     {"lmax=9", "lane_codes=128", "entropy=none", "kvcomp", "sinks=0", "block=64"}},
	};
	char text[1024], again[1024];
	clkv_error error;
	ck_assert_msg(clkv_recipe_print(cases[_i].recipe, text, sizeof text, &error) == CLKV_OK,
	              "'%s': %s", cases[_i].recipe, error.text);
	for (size_t i = 0; i < 6; i++)
		ck_assert_msg(strstr(text, cases[_i].parts[i]) != NULL, "'%s' lacks '%s'", text,
		              cases[_i].parts[i]);
	ck_assert_msg(clkv_recipe_print(text, again, sizeof again, &error) == CLKV_OK, "'%s': %s", text,
	              error.text);
	ck_assert_str_eq(again, text);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("kvcomp");
	TCase *p5 = fixture_case(suite, "P5", 120), *p9 = fixture_case(suite, "P9", 120);
	TCase *figures = fixture_case(suite, "figures", 60), *bad = fixture_case(suite, "recipes", 60);
	fixture_some(p5, test_p5_attention_equals_that_over_decoded_rows, ATTEND_CASES, 0, 3, 6, 10);
	tcase_add_test(p5, test_p5_windows_caps_and_sinks_over_codes);
	if (fixture_full())
		tcase_add_test(p5, test_smaller_steps_come_closer);
	tcase_add_loop_test(p9, test_p9_chunks_of_a_prompt_leave_no_trace, 0, 2);
	fixture_some(figures, test_figures_of_bounds_and_checks, 3, 1);
	tcase_add_test(bad, test_errors_say_where_and_what_is_allowed);
	tcase_add_loop_test(bad, test_recipes_print_in_full, 0, 3);
	return fixture_run_shared(suite);
}
