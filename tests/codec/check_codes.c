/* SPDX-License-Identifier: MIT */
/** \file check_codes.c \brief Attention straight from codes equals attention over the decoded rows. */
#include "ref/ref_attend.h"
#include "support/bounds.h"
#include "support/expect.h"
#include "support/fixture.h"
#include "support/pairs.h"

/* Every width on each side, both axes, groups that don't divide the head, both kinds of scale. */
static const char *const recipes[] = {
	"kivi",
	"kivi:k=2,v=3,group=16 ; window=33,sinks=5",
	"kivi:bits=8,group=64 ; block=128,skip=1",
	"q",
	"q:k=5,v=6 ; window=1,block=32",
	"q:k=3,v=4,axis_k=channel,axis_v=channel",
	"q:k=4,v=8,sym=1,group=128",
	"q:k=2,v=5,sym=1,axis_k=channel,axis_v=channel ; sinks=70",
	"q:k=6,v=2,group=64 ; window=7",
	"q:k=16,v=2",
	"q:k=2,v=16 ; window=0",
	"q:k=3,v=3,rot=hadamard,sym=1 ; window=20,sinks=2",
	"kitty",
	"kitty:boost=0.3,group=16 ; window=33,sinks=5",
	"q:k=3,v=3,rot=file,sym=1 ; window=20,sinks=2,skip=1",
	"kvquant:k=4,v=3,outliers=0.03 ; window=33,sinks=5",
};
enum { RECIPES = sizeof recipes / sizeof recipes[0] };

struct shape {
	int layers, q_heads, kv_heads, dk, dv;
};
static const struct tensor_layout layouts[] = {
	{.dtype = CLKV_F32, .offset = 0, .head_gap = 0, .token_gap = 0},
	{.dtype = CLKV_F16, .offset = 3, .head_gap = 5, .token_gap = 1},
	{.dtype = CLKV_BF16, .offset = 1, .head_gap = 0, .token_gap = 7}};

static void check_recipe(const char *recipe, const struct shape *x, struct tensor_layout in)
{
	struct feed feed = {.lse = true, .in = in};
	static struct stream stream;
	feed.geometry = feed_geometry(x->layers, x->q_heads, x->kv_heads, x->dk, x->dv);
	feed_open(&feed, fixture.context, fixture.queue, recipe, NULL);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, 211, CLKV_PROMPT_END, 1, NULL);
	expect_rows(&feed, &stream, 1, CLKV_DECODE, 2, EXPECT_DECODED, BOUND_ATTEND_CODES);
	for (uint64_t i = 0; i < 2; i++)
		feed_one(&feed, &stream, 100, CLKV_PROMPT, 10 + i, NULL);
	expect_rows(&feed, &stream, 1, CLKV_DECODE, 3, EXPECT_DECODED, BOUND_ATTEND_CODES);
	feed_close(&feed);
}

START_TEST(test_attention_equals_that_over_decoded_rows)
{
	static const struct shape usual = {2, 6, 2, 64, 64};
	check_recipe(recipes[_i], &usual, layouts[0]);
}
END_TEST

START_TEST(test_other_head_sizes)
{
	static const struct {
		const char *recipe;
		struct shape shape;
	} rows[] = {
		{"kivi:bits=4", {1, 4, 4, 80, 80}},
		{"kivi:bits=2", {1, 8, 1, 112, 112}},
		{"q:k=4,v=4,rot=hadamard", {1, 4, 1, 128, 128}},
		{"kivi:k=4,v=2", {1, 3, 1, 192, 128}},
		{"q:k=4,v=4,rot=file", {1, 4, 2, 80, 112}},
		{"q:k=8,v=4", {1, 8, 1, 256, 256}},
		{"kitty", {1, 3, 1, 192, 128}},
	};
	check_recipe(rows[_i].recipe, &rows[_i].shape, layouts[1]);
}
END_TEST

/* Recipes, shapes of heads and layouts of what is given: a cover of them where everything is asked for, as each recipe and
 * shape compiles kernels of its own. */
static const struct shape shapes[] = {{1, 8, 2, 128, 64}, {1, 3, 1, 64, 128}, {1, 2, 2, 256, 256}};
static struct pairs crossed;
enum { CROSSED_SEED = 1 };

START_TEST(test_recipes_in_other_shapes)
{
	const unsigned char *row = crossed.row[_i];
	check_recipe(recipes[row[0]], &shapes[row[1]], layouts[row[2]]);
}
END_TEST

/* A prompt, then steps of 1, 1 + more and 1 + 2 * more rows. */
static void expect_growing(struct feed *feed, const char *recipe, clkv_phase prompt,
                           clkv_phase phase, size_t more)
{
	static struct stream stream;
	feed_open(feed, fixture.context, fixture.queue, recipe, NULL);
	stream_open(feed, &stream);
	feed_one(feed, &stream, 300, prompt, 1, NULL);
	for (uint64_t i = 0; i < 3; i++)
		expect_rows(feed, &stream, 1 + (size_t)i * more, phase, 2 + i, EXPECT_DECODED,
		            BOUND_ATTEND_CODES);
	feed_close(feed);
}

/* Chunks of several rows attend to codes through the same tiles as a prompt over half. */
START_TEST(test_chunks_attend_to_codes)
{
	struct feed feed = {.geometry = feed_usual(1), .lse = true};
	expect_growing(&feed, "kivi:bits=4", CLKV_PROMPT, CLKV_PROMPT, 50);
}
END_TEST

START_TEST(test_masks_and_sinks_over_codes)
{
	static const float sinks[] = {-3.0f, 0.5f, 2.0f, 6.0f, 0.0f, 1.0f};
	struct feed feed = {.geometry = feed_usual(4), .lse = true, .sinks = sinks};
	const int windows[] = {0, 1, 150, 230};
	for (int layer = 0; layer < 4; layer++)
		feed.window[layer] = windows[layer];
	feed.geometry.window = feed.window;
	feed.geometry.softcap = 3.0f;
	expect_growing(&feed, "kivi:bits=4 ; window=40,sinks=6", CLKV_PROMPT_END, CLKV_DECODE, 15);
}
END_TEST

/* Error of one decode row over codes against dense attention over what was given. */
static double quality(const char *recipe, feed_value value)
{
	struct feed feed = {.geometry = feed_usual(1), .value = value};
	struct feed exact = feed;
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
	double error = ref_relative_error(result.out, want.out, result.rows * result.out_row);
	feed_result_close(&result);
	feed_result_close(&want);
	feed_close(&feed);
	feed_close(&exact);
	return error;
}

/* A step of b bits is range / (2^b - 1): 17 times smaller at 8 bits than at 4, 5 times at 4 than at 2. */
START_TEST(test_more_bits_come_closer_to_f16)
{
	double two = quality("kivi:bits=2 ; window=0", feed_normal);
	double mixed = quality("kitty:boost=0.5 ; window=0", feed_normal);
	double four = quality("kivi:bits=4 ; window=0", feed_normal);
	double eight = quality("kivi:bits=8 ; window=0", feed_normal);
	ck_assert_double_lt(eight, 0.01);
	ck_assert_double_gt(four, 8.0 * eight);
	ck_assert_double_gt(two, 2.5 * four);
	ck_assert(mixed < two && mixed > four);
}
END_TEST

/* One channel a hundred times the others spends all of a per-token range; turned, it doesn't. */
START_TEST(test_rotation_helps_with_an_outlier_channel)
{
	double plain = quality("q:k=4,v=4 ; window=0", feed_outlier);
	double turned = quality("q:k=4,v=4,rot=hadamard ; window=0", feed_outlier);
	ck_assert_msg(turned < plain, "error %g with the rotation, %g without", turned, plain);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("codes");
	TCase *equal = fixture_case(suite, "equal", 120), *better = fixture_case(suite, "better", 120);
	fixture_some(equal, test_attention_equals_that_over_decoded_rows, RECIPES, 0, 1, 2, 4, 7, 10,
	             13, 14, 15);
	fixture_some(equal, test_other_head_sizes, 7, 0, 3, 4);
	pairs_draw(&crossed, 3, (const size_t[]){RECIPES, 3, 3}, false, CROSSED_SEED);
	tcase_add_loop_test(equal, test_recipes_in_other_shapes, 0,
	                    fixture_full() ? (int)crossed.rows : 0);
	tcase_add_test(equal, test_chunks_attend_to_codes);
	tcase_add_test(equal, test_masks_and_sinks_over_codes);
	tcase_add_test(better, test_more_bits_come_closer_to_f16);
	tcase_add_test(better, test_rotation_helps_with_an_outlier_channel);
	return fixture_run_shared(suite);
}
