/* SPDX-License-Identifier: MIT */
/** \file check_snapshot.c \brief Sequences saved and loaded: the same bits, or another recipe's. */
#include "ref/ref_half.h"
#include "support/bounds.h"
#include "support/expect.h"
#include "support/fixture.h"
#include "support/memory_file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The first few stand for all where a test is long. */
static const char *const recipes[] = {
	"f16 ; block=32",
	"kivi:bits=4 ; window=40,sinks=3",
	"q:k=8,v=4 ; window=0,skip=1",
	"kvcomp:rel_k=0.02,rel_v=0.3,unit_k=block,entropy=huffman ; window=3,sinks=2,skip=1,block=32",
	"kvcomp:rel_k=0.1,rel_v=0.1",
	"kvcomp:entropy=pack,abs_v=0.001 ; window=0",
	"kvcomp:entropy=none ; seal=prompt",
	"f16",
	"kivi:bits=2 ; seal=prompt,sinks=70",
	"q:k=3,v=5,rot=hadamard ; block=128",
	"q:k=4,v=5,rot=file,clip_k=0.96,clip_v=0.92 ; block=32,skip=1",
	"q:k=16,v=2,axis_v=channel ; block=32,sinks=1",
	"kitty:boost=0.2 ; window=40,sinks=3",
	"kvquant:k=2,v=4,group=32 ; window=40,sinks=3",
	"qtc ; window=40,sinks=3,skip=1",
	"qaq ; window=40,sinks=3",
	"qtc:entropy=pack ; window=40,sinks=3,skip=1",
};
#define RECIPES (sizeof recipes / sizeof recipes[0])
#define FEW 4
#define KIVI "kivi:bits=4 ; window=40,sinks=3"

/* Whether a recipe's rows are turned by a file, without which nobody can read its pages. */
static bool is_given(const char *recipe)
{
	return strstr(recipe, "rot=file") || strstr(recipe, "qtc");
}

static clkv_geometry geometry(void)
{
	return feed_usual(2);
}

static void open_feed(struct feed *feed, const char *recipe)
{
	feed->geometry = geometry();
	clkv_cache_options room = CLKV_INIT(clkv_cache_options);
	room.max_tokens = 1024;
	room.max_sequences = 4;
	feed->lse = true;
	feed_open(feed, fixture.context, fixture.queue, recipe, &room);
}

/* Steps of all kinds from here on give the same bits in both. */
static void expect_same_future(struct feed *fa, struct stream *a, struct feed *fb, struct stream *b)
{
	static const struct {
		size_t n;
		clkv_phase phase;
	} steps[] = {{1, CLKV_DECODE},
	             {1, CLKV_DECODE},
	             {70, CLKV_PROMPT},
	             {61, CLKV_PROMPT_END},
	             {3, CLKV_DECODE}};
	expect_same_cache(fa, a, b);
	for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
		struct feed_result ra, rb;
		feed_one(fa, a, steps[i].n, steps[i].phase, 100 + i, &ra);
		feed_one(fb, b, steps[i].n, steps[i].phase, 100 + i, &rb);
		ck_assert_double_eq(expect_difference(fa, &ra, &rb), 0.0);
		feed_result_close(&ra);
		feed_result_close(&rb);
		ck_assert_uint_eq(stream_info(a).sealed, stream_info(b).sealed);
	}
	expect_same_cache(fa, a, b);
}

static void expect_same_file(const struct memory_file *a, const struct memory_file *b)
{
	ck_assert_uint_eq(a->n, b->n);
	ck_assert_int_eq(memcmp(a->bytes, b->bytes, a->n), 0);
}

/* Through a file into another cache; the copy saves to the same bytes and goes on as the first does. */
static void expect_carried(struct feed *feed, struct stream *stream, const char *recipe)
{
	static struct stream copy;
	struct feed other = {0};
	struct memory_file file = {0}, again = {0};
	memory_save(feed, stream, NULL, &file);
	open_feed(&other, recipe);
	memory_load(&other, &file, stream, &copy);
	ck_assert_uint_eq(file.at, file.n);
	ck_assert_uint_eq(stream_info(&copy).sealed, stream_info(stream).sealed);
	memory_save(&other, &copy, NULL, &again);
	expect_same_file(&file, &again);
	expect_same_future(feed, stream, &other, &copy);
	memory_close(&file);
	memory_close(&again);
	feed_close(&other);
}

/* ---------------------------------------------------------------- the same recipe ---- */

START_TEST(test_prompt_and_generation)
{
	static struct stream stream;
	struct feed feed = {0};
	open_feed(&feed, recipes[_i]);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, 233, CLKV_PROMPT_END, 1, NULL);
	feed_one(&feed, &stream, 1, CLKV_DECODE, 2, NULL);
	feed_one(&feed, &stream, 90, CLKV_DECODE, 3, NULL);
	expect_carried(&feed, &stream, recipes[_i]);
	feed_close(&feed);
}
END_TEST

START_TEST(test_every_short_length)
{
	static const size_t lengths[] = {0, 1, 3, 33, 65};
	static struct stream stream;
	struct feed feed = {0};
	open_feed(&feed, recipes[_i]);
	for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
		stream_open(&feed, &stream);
		if (lengths[i] > 0)
			feed_one(&feed, &stream, lengths[i], CLKV_PROMPT_END, 1, NULL);
		expect_carried(&feed, &stream, recipes[_i]);
		stream_close(&stream);
	}
	feed_close(&feed);
}
END_TEST

START_TEST(test_within_a_prompt)
{
	static struct stream stream;
	struct feed feed = {0};
	open_feed(&feed, recipes[_i]);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, 150, CLKV_PROMPT, 1, NULL);
	feed_one(&feed, &stream, 77, CLKV_PROMPT, 2, NULL);
	expect_carried(&feed, &stream, recipes[_i]);
	feed_close(&feed);
}
END_TEST

/* Cut inside blocks again and again, which leaves short blocks behind. */
START_TEST(test_truncated)
{
	static struct stream stream;
	struct feed feed = {0};
	clkv_error error;
	open_feed(&feed, recipes[_i]);
	stream_open(&feed, &stream);
	for (uint64_t i = 0; i < 4; i++) {
		feed_one(&feed, &stream, 140, CLKV_PROMPT_END, i, NULL);
		stream.n -= 117 + 2 * (size_t)i;
		feed_ok(clkv_seq_truncate(stream.seq, stream.n, &error), &error, "truncate");
		static struct stream copy;
		stream_fork(&feed, &stream, &copy);
		expect_carried(&feed, &copy, recipes[_i]);
		stream_close(&copy);
	}
	feed_close(&feed);
}
END_TEST

/* Forks share blocks; each is saved whole, and comes back into the cache it came from. */
START_TEST(test_forks)
{
	static struct stream first, second, loaded;
	struct feed feed = {0};
	struct memory_file file = {0};
	open_feed(&feed, recipes[_i]);
	stream_open(&feed, &first);
	feed_one(&feed, &first, 200, CLKV_PROMPT_END, 1, NULL);
	stream_fork(&feed, &first, &second);
	feed_one(&feed, &second, 80, CLKV_DECODE, 2, NULL);
	feed_one(&feed, &first, 30, CLKV_DECODE, 3, NULL);
	memory_save(&feed, &second, NULL, &file);
	stream_close(&first);
	memory_load(&feed, &file, &second, &loaded);
	expect_same_future(&feed, &second, &feed, &loaded);
	stream_close(&second);
	stream_close(&loaded);
	clkv_stats stats = feed_stats(&feed);
	ck_assert_uint_eq(stats.used_sealed, 0);
	ck_assert_uint_eq(stats.used_open, 0);
	memory_close(&file);
	feed_close(&feed);
}
END_TEST

/* Slots that other tokens had before: what they left there is nobody's and isn't in the file. */
START_TEST(test_files_hold_nothing_else)
{
	static struct stream stream, other;
	struct feed feed = {0};
	struct memory_file file[2] = {{0}, {0}};
	open_feed(&feed, recipes[_i]);
	for (uint64_t i = 0; i < 2; i++) {
		stream_open(&feed, &stream);
		feed_one(&feed, &stream, 201, CLKV_PROMPT_END, 1, NULL);
		feed_one(&feed, &stream, 9, CLKV_DECODE, 2, NULL);
		memory_save(&feed, &stream, NULL, &file[i]);
		stream_close(&stream);
		stream_open(&feed, &other);
		feed_one(&feed, &other, 500, CLKV_PROMPT_END, 50, NULL);
		stream_close(&other);
	}
	expect_same_file(&file[0], &file[1]);
	memory_close(&file[0]);
	memory_close(&file[1]);
	feed_close(&feed);
}
END_TEST

/* Several in one file, read in bits and pieces; each reads no byte too many. */
START_TEST(test_one_behind_the_other)
{
	static struct stream stream[3], loaded;
	struct feed feed = {0};
	struct memory_file file = {0};
	clkv_error error;
	open_feed(&feed, KIVI);
	for (size_t i = 0; i < 3; i++) {
		stream_open(&feed, &stream[i]);
		feed_one(&feed, &stream[i], 100 + 50 * i, CLKV_PROMPT_END, i, NULL);
		feed_ok(clkv_seq_save(stream[i].seq, NULL, feed.queue, memory_write, &file, &error), &error,
		        "clkv_seq_save");
	}
	file.chunk = 13;
	for (size_t i = 0; i < 3; i++) {
		loaded = stream[i];
		feed_ok(clkv_seq_load(feed.cache, feed.queue, memory_read, &file, &loaded.seq, &error),
		        &error, "clkv_seq_load");
		expect_same_cache(&feed, &stream[i], &loaded);
		stream_close(&loaded);
	}
	ck_assert_uint_eq(file.at, file.n);
	memory_close(&file);
	feed_close(&feed);
}
END_TEST

/* Steps on one queue, saved on a second, loaded on a third that runs commands in any order. */
START_TEST(test_other_queues)
{
	static struct stream stream, copy;
	struct feed feed = {0};
	struct memory_file file = {0};
	cl_command_queue plain = fixture_queue(0);
	cl_command_queue any = fixture_queue(CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE);
	open_feed(&feed, recipes[_i]);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, 210, CLKV_PROMPT_END, 1, NULL);
	feed.queue = plain;
	memory_save(&feed, &stream, NULL, &file);
	feed.queue = any ? any : plain;
	memory_load(&feed, &file, &stream, &copy);
	stream_close(&copy);
	memory_save(&feed, &stream, recipes[(size_t)(_i + 1) % RECIPES], &file);
	memory_save(&feed, &stream, NULL, &file);
	memory_load(&feed, &file, &stream, &copy);
	feed.queue = fixture.queue;
	expect_same_future(&feed, &stream, &feed, &copy);
	memory_close(&file);
	feed_close(&feed);
	clReleaseCommandQueue(plain);
	if (any)
		clReleaseCommandQueue(any);
}
END_TEST

/* Keys that don't shape blocks may differ, and so may words for the same. */
START_TEST(test_a_larger_window_takes_pages_as_they_are)
{
	static struct stream stream, copy;
	struct feed feed = {0}, other = {0};
	struct memory_file file = {0};
	open_feed(&feed, "kivi ; window=40");
	open_feed(&other, "kivi:bits=4,group=32 ; sinks=0,window=100,seal=prompt");
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, 210, CLKV_PROMPT_END, 1, NULL);
	memory_save(&feed, &stream, NULL, &file);
	memory_load(&other, &file, &stream, &copy);
	ck_assert_uint_eq(stream_info(&copy).sealed, 170);
	expect_same_cache(&feed, &stream, &copy);
	feed_one(&other, &copy, 300, CLKV_DECODE, 2, NULL);
	expect_rows(&other, &copy, 3, CLKV_DECODE, 3, EXPECT_DECODED, BOUND_ATTEND_CODES);
	memory_close(&file);
	feed_close(&feed);
	feed_close(&other);
}
END_TEST

/* ---------------------------------------------------------------- other recipes ---- */

/* Rows of K and V of layer 1 as they decode. */
static double *decoded(const struct feed *feed, const struct stream *stream)
{
	size_t row = feed_heads(feed, FEED_K) * 64, n = stream->n * row;
	double *x = calloc(2 * n, sizeof *x);
	ck_assert_ptr_nonnull(x);
	feed_read(feed, stream, 1, 0, stream->n, x, x + n);
	return x;
}

/* The one holds what the other decodes to, rounded to half. */
static void expect_rounded(const struct feed *codes, const struct stream *a,
                           const struct feed *half, const struct stream *b)
{
	double *want = decoded(codes, a), *got = decoded(half, b);
	for (size_t i = 0; i < 2 * a->n * 128; i++)
		ck_assert_msg(got[i] == ref_half(want[i]), "value %zu: %g instead of %g", i, got[i],
		              want[i]);
	free(want);
	free(got);
}

/* A prompt that went through half sealed as if it had come now: the same bits. */
START_TEST(test_half_to_codes)
{
	static const char *const to[] = {"kivi:bits=4 ; window=40,sinks=3",
	                                 "q:k=8,v=4 ; window=0",
	                                 "kivi:bits=2 ; skip=1",
	                                 "f16 ; block=128",
	                                 "kvcomp:entropy=huffman",
	                                 "kvcomp:entropy=pack ; window=0",
	                                 "kitty ; window=40"};
	static struct stream stream, want, loaded, cold, back;
	struct feed half = {0}, codes = {0};
	struct memory_file file = {0};
	open_feed(&half, "f16");
	open_feed(&codes, to[_i]);
	stream_open(&half, &stream);
	stream_open(&codes, &want);
	feed_one(&half, &stream, 300, CLKV_PROMPT_END, 1, NULL);
	feed_one(&codes, &want, 300, CLKV_PROMPT_END, 1, NULL);
	memory_save(&half, &stream, NULL, &file);
	memory_load(&codes, &file, &stream, &loaded);
	memory_save(&half, &stream, to[_i], &file);
	memory_load(&codes, &file, &stream, &cold);
	memory_load(&half, &file, &stream, &back);
	expect_same_cache(&codes, &want, &cold);
	expect_rounded(&codes, &cold, &half, &back);
	expect_same_future(&codes, &want, &codes, &loaded);
	expect_given(&half, &stream);
	memory_close(&file);
	feed_close(&half);
	feed_close(&codes);
}
END_TEST

/* Longer than one step of the target: sealed chunk by chunk, which gives the same blocks. */
START_TEST(test_half_to_codes_in_chunks)
{
	static struct stream stream, want, loaded;
	struct feed half = {0}, codes = {.geometry = geometry()};
	struct memory_file file = {0};
	clkv_cache_options room = CLKV_INIT(clkv_cache_options);
	room.max_tokens = 1200;
	room.max_step_tokens = 70;
	room.max_sequences = 2;
	open_feed(&half, "f16");
	feed_open(&codes, fixture.context, fixture.queue, KIVI, &room);
	stream_open(&half, &stream);
	stream_open(&codes, &want);
	for (uint64_t i = 0; i < 8; i++) {
		feed_one(&half, &stream, 70, i < 7 ? CLKV_PROMPT : CLKV_PROMPT_END, i, NULL);
		feed_one(&codes, &want, 70, i < 7 ? CLKV_PROMPT : CLKV_PROMPT_END, i, NULL);
	}
	memory_save(&half, &stream, NULL, &file);
	memory_load(&codes, &file, &stream, &loaded);
	expect_same_cache(&codes, &want, &loaded);
	memory_close(&file);
	feed_close(&half);
	feed_close(&codes);
}
END_TEST

/* Half keeps what codes decode to, up to its own rounding. */
START_TEST(test_codes_to_half)
{
	static struct stream stream, loaded, cold;
	struct feed half = {0}, codes = {0};
	struct memory_file file = {0};
	open_feed(&half, "f16");
	open_feed(&codes, recipes[_i]);
	stream_open(&codes, &stream);
	feed_one(&codes, &stream, 300, CLKV_PROMPT_END, 1, NULL);
	memory_save(&codes, &stream, "f16 ; block=32", &file);
	memory_load(&half, &file, &stream, &cold);
	expect_rounded(&codes, &stream, &half, &cold);
	if (!is_given(recipes[_i])) {
		memory_save(&codes, &stream, NULL, &file);
		memory_load(&half, &file, &stream, &loaded);
		expect_same_cache(&half, &loaded, &cold);
	}
	memory_close(&file);
	feed_close(&half);
	feed_close(&codes);
}
END_TEST

/* Codes through half to codes again: each value is off by half a step more at most. A step of kivi:bits=4 is
 * a 15th of a range that is at most that of all decoded values of the channel (K) or the token (V); the
 * scale is rounded to half, and so is what passes between. */
START_TEST(test_there_and_back)
{
	static struct stream stream, half, back;
	struct feed codes = {0}, plain = {0};
	struct memory_file file = {0};
	open_feed(&codes, KIVI);
	open_feed(&plain, "f16");
	stream_open(&codes, &stream);
	feed_one(&codes, &stream, 300, CLKV_PROMPT_END, 1, NULL);
	memory_save(&codes, &stream, NULL, &file);
	memory_load(&plain, &file, &stream, &half);
	memory_save(&plain, &half, _i ? KIVI : NULL, &file);
	memory_load(&codes, &file, &stream, &back);
	double *a = decoded(&codes, &stream), *b = decoded(&codes, &back);
	for (size_t side = 0; side < 2; side++)
		for (size_t i = 0; i < stream.n * 128; i++) {
			const double *x = a + side * stream.n * 128;
			size_t first = side ? i / 64 * 64 : i % 128, step = side ? 1 : 128;
			size_t n = side ? 64 : stream.n;
			double low = INFINITY, high = -INFINITY;
			for (size_t j = 0; j < n; j++) {
				low = fmin(low, x[first + j * step]);
				high = fmax(high, x[first + j * step]);
			}
			double most = fmax(fabs(low), fabs(high));
			double bound = (high - low) / 15 * (0.5 + 15 * 0x1p-11) + most * 0x1p-9;
			ck_assert_msg(fabs(b[side * stream.n * 128 + i] - x[i]) <= bound,
			              "side %zu, value %zu: %g instead of %g", side, i,
			              b[side * stream.n * 128 + i], x[i]);
		}
	free(a);
	free(b);
	memory_close(&file);
	feed_close(&codes);
	feed_close(&plain);
}
END_TEST

/* A window too small for the file's open tokens, other sinks, other layers left out: sealed anew. */
START_TEST(test_keys_that_shape_blocks)
{
	static const char *const to[] = {
		"kivi:bits=4 ; window=0,sinks=3",         "kivi:bits=4 ; window=40",
		"kivi:bits=4 ; window=40,sinks=3,skip=1", "kivi:bits=4 ; window=40,sinks=3,block=32",
		"kivi:bits=3 ; window=40,sinks=3",        "kitty ; window=40,sinks=3"};
	static struct stream stream, loaded;
	struct feed feed = {0}, other = {0};
	struct memory_file file = {0};
	open_feed(&feed, KIVI);
	open_feed(&other, to[_i]);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, 300, CLKV_PROMPT_END, 1, NULL);
	feed_one(&feed, &stream, 63, CLKV_DECODE, 2, NULL);
	memory_save(&feed, &stream, NULL, &file);
	memory_load(&other, &file, &stream, &loaded);
	ck_assert_uint_eq(stream_info(&loaded).sealed, _i == 0 ? 360 : _i == 1 ? 323 : 320);
	expect_rows(&other, &loaded, 3, CLKV_DECODE, 3, EXPECT_DECODED, BOUND_ATTEND_CODES);
	memory_close(&file);
	feed_close(&feed);
	feed_close(&other);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("snapshot");
	TCase *same = fixture_case(suite, "same", 60), *other = fixture_case(suite, "other", 60);
	fixture_some(same, test_prompt_and_generation, RECIPES, 1, 2, 3, 5, 9, 13, 14, 15, 16);
	tcase_add_loop_test(same, test_every_short_length, 0, FEW);
	tcase_add_loop_test(same, test_within_a_prompt, 0, FEW);
	fixture_some(same, test_truncated, RECIPES, 1, 2, 3, 5, 9, 13, 14, 15, 16);
	tcase_add_loop_test(same, test_forks, 0, FEW);
	tcase_add_loop_test(same, test_files_hold_nothing_else, 0, FEW);
	tcase_add_test(same, test_one_behind_the_other);
	tcase_add_loop_test(same, test_other_queues, 0, FEW);
	tcase_add_test(same, test_a_larger_window_takes_pages_as_they_are);
	fixture_some(other, test_half_to_codes, 7, 0, 2, 4, 6);
	tcase_add_test(other, test_half_to_codes_in_chunks);
	fixture_some(other, test_codes_to_half, RECIPES, 1, 3, 5, 13, 14, 15);
	tcase_add_loop_test(other, test_there_and_back, 0, 2);
	fixture_some(other, test_keys_that_shape_blocks, 6, 0, 2, 5);
	return fixture_run_shared(suite);
}
