/* SPDX-License-Identifier: MIT */
/** \file check_attend.c \brief The f16 recipe equals dense attention: shapes, types, masks. */
#include "support/bounds.h"
#include "support/expect.h"
#include "support/fixture.h"

#include <math.h>

struct shape {
	int q_heads, kv_heads, dk, dv;
};

/* Every head size, one query head per key head (MHA), all on one (MQA) and groups of 1, 3, 4, 8. */
static const struct shape shapes[] = {
	{6, 2, 64, 64},   {4, 4, 80, 80},   {4, 1, 96, 96},   {8, 1, 112, 112},
	{4, 1, 128, 128}, {3, 1, 192, 128}, {8, 1, 256, 256}, {3, 3, 16, 48},
};

/* Types and strides take turns, so that each meets several shapes. */
static const struct tensor_layout layouts[] = {
	{.dtype = CLKV_F32, .offset = 0, .head_gap = 0, .token_gap = 0},
	{.dtype = CLKV_F16, .offset = 5, .head_gap = 3, .token_gap = 11},
	{.dtype = CLKV_BF16, .offset = 2, .head_gap = 0, .token_gap = 7},
	{.dtype = CLKV_F32, .offset = 1, .head_gap = 16, .token_gap = 0},
};
#define LAYOUTS (sizeof layouts / sizeof layouts[0])

START_TEST(test_f16_equals_dense_attention)
{
	const struct shape *s = &shapes[_i];
	struct feed feed = {.geometry = feed_geometry(1, s->q_heads, s->kv_heads, s->dk, s->dv)};
	static struct stream stream;
	static const size_t chunks[] = {1, 62, 1, 1, 7, 64, 1, 100};
	feed.in = layouts[(size_t)_i % LAYOUTS];
	feed.out = layouts[((size_t)_i + 1) % LAYOUTS];
	feed.lse = true;
	feed_open(&feed, fixture.context, fixture.queue, "f16", NULL);
	stream_open(&feed, &stream);
	for (size_t i = 0; i < sizeof chunks / sizeof chunks[0]; i++)
		expect_rows(&feed, &stream, chunks[i], i % 2 ? CLKV_PROMPT : CLKV_DECODE, 7 + i,
		            EXPECT_GIVEN, BOUND_ATTEND_HALF);
	feed_close(&feed);
}
END_TEST

START_TEST(test_every_type_and_stride)
{
	struct feed feed = {.geometry = feed_usual(1)};
	static struct stream stream;
	feed.in = layouts[(size_t)_i % LAYOUTS];
	feed.out = layouts[(size_t)_i / LAYOUTS];
	feed_open(&feed, fixture.context, fixture.queue, "f16", NULL);
	stream_open(&feed, &stream);
	expect_rows(&feed, &stream, 66, CLKV_PROMPT_END, 1, EXPECT_GIVEN, BOUND_ATTEND_HALF);
	expect_rows(&feed, &stream, 1, CLKV_DECODE, 2, EXPECT_GIVEN, BOUND_ATTEND_HALF);
	feed_close(&feed);
}
END_TEST

/* Layers see all, fewer and more than a block of tokens; the feature is chosen by the loop. */
START_TEST(test_masks_caps_and_sinks)
{
	static const float sinks[] = {-3.0f, 0.5f, 2.0f, 6.0f, 0.0f, 1.0f};
	struct feed feed = {.geometry = feed_usual(4), .lse = true};
	static struct stream stream;
	const int windows[] = {0, 1, 20, 70};
	for (int layer = 0; layer < 4; layer++)
		feed.window[layer] = windows[layer];
	if (_i & 1)
		feed.geometry.window = feed.window;
	if (_i & 2)
		feed.geometry.softcap = 2.5f;
	if (_i & 4)
		feed.sinks = sinks;
	if (_i == 7)
		feed.geometry.scale = 0.3f;
	feed_open(&feed, fixture.context, fixture.queue, "f16", NULL);
	stream_open(&feed, &stream);
	expect_rows(&feed, &stream, 100, CLKV_PROMPT, 1, EXPECT_GIVEN, BOUND_ATTEND_HALF);
	expect_rows(&feed, &stream, 1, CLKV_DECODE, 2, EXPECT_GIVEN, BOUND_ATTEND_HALF);
	expect_rows(&feed, &stream, 70, CLKV_DECODE, 3, EXPECT_GIVEN, BOUND_ATTEND_HALF);
	feed_close(&feed);
}
END_TEST

static double large_logits(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	double value = feed_normal(row, layer, side, head, d);
	return side == FEED_Q ? 30.0 * value : value;
}

START_TEST(test_large_logits_stay_finite)
{
	struct feed feed = {.geometry = feed_usual(1), .value = large_logits, .lse = true};
	static struct stream stream;
	feed_open(&feed, fixture.context, fixture.queue, "f16", NULL);
	stream_open(&feed, &stream);
	expect_rows(&feed, &stream, 130, CLKV_PROMPT, 1, EXPECT_GIVEN, BOUND_ATTEND_HALF);
	expect_rows(&feed, &stream, 1, CLKV_DECODE, 2, EXPECT_GIVEN, BOUND_ATTEND_HALF);
	feed_close(&feed);
}
END_TEST

/* Many blocks: the splits of a decode row and their merge. */
START_TEST(test_long_sequences_split_and_merge)
{
	struct feed feed = {.geometry = feed_usual(1), .lse = true};
	static struct stream stream;
	feed_open(&feed, fixture.context, fixture.queue, "f16", NULL);
	stream_open(&feed, &stream);
	for (uint64_t i = 0; i < 3; i++)
		feed_one(&feed, &stream, 500, CLKV_PROMPT, i, NULL);
	expect_rows(&feed, &stream, 1, CLKV_DECODE, 4, EXPECT_GIVEN, BOUND_ATTEND_HALF);
	expect_rows(&feed, &stream, 3, CLKV_DECODE, 5, EXPECT_GIVEN, BOUND_ATTEND_HALF);
	feed_close(&feed);
}
END_TEST

START_TEST(test_read_returns_the_rows_in_half)
{
	struct feed feed = {.geometry = feed_geometry(2, 4, 4, 80, 80), .append_only = true};
	static struct stream stream, twin;
	feed.in = layouts[_i];
	feed_open(&feed, fixture.context, fixture.queue, "f16", NULL);
	stream_open(&feed, &stream);
	stream_open(&feed, &twin);
	feed_one(&feed, &stream, 131, CLKV_PROMPT, 1, NULL);
	feed_one(&feed, &twin, 60, CLKV_PROMPT, 1, NULL);
	feed_one(&feed, &twin, 71, CLKV_PROMPT_END, 1, NULL);
	expect_given(&feed, &stream);
	expect_same_cache(&feed, &stream, &twin);
	feed_close(&feed);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("attend");
	TCase *shape = fixture_case(suite, "shapes", 120), *form = fixture_case(suite, "forms", 120);
	fixture_some(shape, test_f16_equals_dense_attention, sizeof shapes / sizeof shapes[0], 0, 1, 5,
	             7);
	fixture_some(form, test_every_type_and_stride, LAYOUTS * LAYOUTS, 3, 4, 9, 14);
	fixture_some(form, test_masks_caps_and_sinks, 8, 0, 3, 5, 6, 7);
	tcase_add_test(form, test_large_logits_stay_finite);
	tcase_add_test(form, test_long_sequences_split_and_merge);
	tcase_add_loop_test(form, test_read_returns_the_rows_in_half, 0, LAYOUTS);
	return fixture_run_shared(suite);
}
