/* SPDX-License-Identifier: MIT */
/** \file check_sliding.c \brief Layers that slide keep their window alone. */
#include "cache/bands.h"
#include "support/bounds.h"
#include "support/expect.h"
#include "support/memory_file.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define SLIDING "layers=sliding: f16 ; full: f16"

/* Two layers of one window are a band; window 100 and 37 are two. */
static void open_sliding(struct feed *feed, const char *recipe, const clkv_cache_options *o)
{
	static const int windows[LAYERS] = {100, 0, 37, 100};
	*feed = (struct feed){.geometry = feed_usual(LAYERS), .lse = true};
	memcpy(feed->window, windows, sizeof windows);
	feed->geometry.window = feed->window;
	feed_open(feed, fixture.context, fixture.queue, recipe, o);
}

/* Half blocks that a stream of a layer has with so many tokens behind a window's. */
static size_t held(size_t tokens, size_t window)
{
	size_t gone = tokens > window ? (tokens - window) / 64 : 0;
	return (tokens + 63) / 64 - gone;
}

static uint64_t want_open(size_t tokens)
{
	size_t blocks = 2 * held(tokens, 100) + held(tokens, 37) + (tokens + 63) / 64;
	return blocks * 2 * 64 * (64 + 64) * 2;
}

START_TEST(test_layers_that_slide_keep_their_window)
{
	static struct stream stream, fork;
	struct feed feed;
	clkv_error error;
	clkv_bytes_used used = CLKV_INIT(clkv_bytes_used);
	clkv_cache_options o = feed_room(2048, 3);
	open_sliding(&feed, SLIDING, &o);
	stream_open(&feed, &stream);
	const struct {
		size_t n;
		clkv_phase phase;
	} steps[] = {{90, CLKV_PROMPT}, {111, CLKV_PROMPT_END}, {1, CLKV_DECODE},
	             {1, CLKV_DECODE},  {300, CLKV_PROMPT},     {65, CLKV_DECODE},
	             {1, CLKV_DECODE},  {70, CLKV_PROMPT_END},  {130, CLKV_PROMPT_END}};
	for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
		expect_rows(&feed, &stream, steps[i].n, steps[i].phase, i, EXPECT_GIVEN, BOUND_ATTEND_HALF);
		ck_assert_uint_eq(feed_stats(&feed).used_open, want_open(stream.n));
		for (int sealed = 0; sealed < 2; sealed++) {
			feed_ok(clkv_bytes_at(fixture.context, &feed.geometry, SLIDING, &o, stream.n, 1, sealed,
			                      &used, &error),
			        &error, "bytes at");
			ck_assert_uint_eq(used.open, want_open(stream.n));
			ck_assert_uint_eq(used.sequence, stream_info(&stream).bytes);
			ck_assert_int_eq(used.exact, 1);
		}
	}
	/* what is left of a draft, a fork and a cut sees its whole window */
	struct feed_item draft = {&stream, 80, CLKV_DECODE, 77, 50};
	feed_step(&feed, &draft, 1, NULL);
	expect_rows(&feed, &stream, 2, CLKV_DECODE, 51, EXPECT_GIVEN, BOUND_ATTEND_HALF);
	stream_fork(&feed, &stream, &fork);
	expect_rows(&feed, &fork, 3, CLKV_DECODE, 52, EXPECT_GIVEN, BOUND_ATTEND_HALF);
	expect_rows(&feed, &stream, 140, CLKV_DECODE, 53, EXPECT_GIVEN, BOUND_ATTEND_HALF);
	expect_rows(&feed, &fork, 1, CLKV_DECODE, 54, EXPECT_GIVEN, BOUND_ATTEND_HALF);
	size_t least = stream_info(&stream).min_length;
	size_t far = (stream.n - 100) / 64 * 64 + 100, near = (stream.n - 37) / 64 * 64 + 37;
	ck_assert_uint_eq(least, far > near ? far : near);
	ck_assert_int_eq(clkv_seq_truncate(stream.seq, least - 1, &error), CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_uint_eq(stream_info(&stream).length, stream.n);
	feed_ok(clkv_seq_truncate(stream.seq, least, &error), &error, "truncate");
	stream.n = least;
	expect_rows(&feed, &stream, 5, CLKV_DECODE, 55, EXPECT_GIVEN, BOUND_ATTEND_HALF);
	feed_ok(clkv_seq_truncate(stream.seq, 0, &error), &error, "truncate");
	stream.n = 0;
	ck_assert_uint_eq(stream_info(&stream).min_length, 0);
	expect_rows(&feed, &stream, 150, CLKV_PROMPT_END, 56, EXPECT_GIVEN, BOUND_ATTEND_HALF);
	stream_close(&stream);
	stream_close(&fork);
	expect_nothing_used(&feed);
	feed_close(&feed);
}
END_TEST

/* A cache for eight times the tokens takes no more blocks of layers that slide; rounds of forks and prompts fit in. */
START_TEST(test_memory_of_layers_that_slide_is_bounded)
{
	static struct stream streams[3];
	static const int windows[2] = {70, 70};
	struct feed feed = {.geometry = feed_usual(2), .append_only = true};
	clkv_cache_options small = feed_room(2048, 3), large = feed_room(16384, 3);
	feed.geometry.window = windows;
	clkv_bytes a = feed_required(fixture.context, &feed.geometry, "layers=0-: f16", &small);
	clkv_bytes b = feed_required(fixture.context, &feed.geometry, "layers=0-: f16", &large);
	ck_assert_uint_eq(a.open, b.open);
	ck_assert_double_eq(b.per_token, 2 * 2 * 4 / 64.0);
	feed_open(&feed, fixture.context, fixture.queue, "layers=0-: f16", &large);
	stream_open(&feed, &streams[0]);
	for (int i = 0; i < 3; i++)
		feed_one(&feed, &streams[0], 512, CLKV_PROMPT, (uint64_t)i, NULL);
	stream_fork(&feed, &streams[0], &streams[1]);
	stream_fork(&feed, &streams[0], &streams[2]);
	for (size_t i = 0; i < 3; i++) { /* all rows that a step may have, of all sequences */
		struct feed_item items[3];
		for (size_t j = 0; j < 3; j++)
			items[j] = (struct feed_item){&streams[j], i < 2 ? 170 - 60 * i * (j > 0) : 1,
			                              CLKV_DECODE, i == 1 ? 3 : 0, 10 * i + j};
		feed_step(&feed, items, 3, NULL);
	}
	for (int j = 0; j < 3; j++)
		stream_close(&streams[j]);
	expect_nothing_used(&feed);
	feed_close(&feed);
}
END_TEST

/* Rows that have left aren't read or saved; stages that encode keep them. */
START_TEST(test_what_layers_that_slide_refuse)
{
	static struct stream stream;
	struct feed feed;
	clkv_error error;
	struct memory_file file = {0};
	open_sliding(&feed, SLIDING, NULL);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, 200, CLKV_PROMPT_END, 1, NULL);
	double *k = calloc(200 * 2 * 64, sizeof *k);
	ck_assert_ptr_nonnull(k);
	feed_read(&feed, &stream, 0, 64, 136, k, NULL);
	feed_read(&feed, &stream, 1, 0, 200, k, NULL);
	clkv_tensor none = {0};
	ck_assert_int_eq(clkv_seq_read(stream.seq, 0, 63, 1, &none, NULL, feed.queue, &error),
	                 CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_ptr_nonnull(strstr(error.text, "window of layer 0"));
	ck_assert_int_eq(clkv_seq_save(stream.seq, NULL, feed.queue, memory_write, &file, &error),
	                 CLKV_ERROR_UNSUPPORTED);
	ck_assert_ptr_nonnull(strstr(error.text, "window of 100"));
	feed_close(&feed);
	open_sliding(&feed, "layers=sliding: kivi:bits=4 ; full: f16", NULL);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, 200, CLKV_PROMPT_END, 1, NULL);
	feed_read(&feed, &stream, 0, 0, 200, k, NULL);
	ck_assert_uint_eq(stream_info(&stream).min_length, 0);
	feed_close(&feed);
	memory_close(&file);
	free(k);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sliding");
	TCase *slide = fixture_case(suite, "slide", 20);
	tcase_add_test(slide, test_layers_that_slide_keep_their_window);
	tcase_add_test(slide, test_memory_of_layers_that_slide_is_bounded);
	tcase_add_test(slide, test_what_layers_that_slide_refuse);
	return fixture_run(suite);
}
