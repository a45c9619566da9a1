/* SPDX-License-Identifier: MIT */
/** \file check_range.c \brief Ranges of a sequence saved, and appended to the sequence that lies before them. */
#include "ref/ref_half.h"
#include "support/expect.h"
#include "support/faults.h"
#include "support/fixture.h"
#include "support/memory_file.h"

#include <stdlib.h>
#include <string.h>

#define SKIPS "kivi:bits=4 ; window=40,sinks=3,skip=1"

/* Of all ways that tokens are stored: half blocks that a range begins inside (sinks and skip), tables, pages of their own size,
 * several recipes. The first few stand for all where a test is long. */
static const char *const recipes[] = {
	"f16",
	SKIPS,
	"kvcomp:rel_k=0.1,rel_v=0.1 ; window=3,sinks=2,block=32",
	"layers=0: f16 ; 1: kivi:bits=2 ; window=30,sinks=5",
	"q:k=3,v=5,rot=hadamard ; block=128",
	"layers=0: kivi:bits=4 ; window=70,sinks=4 ; 1: q:k=8,v=4 ; window=9,sinks=4,block=128",
	"kvcomp:entropy=none ; seal=prompt",
	"kitty:boost=0.2 ; window=40",
	"kvquant:group=16 ; window=40",
	"qtc ; window=40,sinks=3,skip=1",
};
#define RECIPES (sizeof recipes / sizeof recipes[0])
#define FEW 4

enum { TOKENS = 601, PROMPT = 523, MOST_CHUNKS = 8 };

static void open_feed(struct feed *feed, const char *recipe)
{
	clkv_cache_options room = feed_room(2000, 4);
	feed->geometry = feed_usual(2);
	feed->lse = true;
	feed_open(feed, fixture.context, fixture.queue, recipe, &room);
}

/* A prompt in two parts, and generation, so that pages end where they like. */
static void open_stream(struct feed *feed, const char *recipe, struct stream *stream)
{
	open_feed(feed, recipe);
	stream_open(feed, stream);
	feed_one(feed, stream, 300, CLKV_PROMPT, 1, NULL);
	feed_one(feed, stream, PROMPT - 300, CLKV_PROMPT_END, 2, NULL);
	feed_one(feed, stream, TOKENS - PROMPT, CLKV_DECODE, 3, NULL);
}

static void save_range(const struct feed *feed, const struct stream *stream, size_t from, size_t to,
                       struct memory_file *file)
{
	clkv_error error;
	file->n = file->at = file->calls = 0;
	feed_ok(clkv_seq_save_range(stream->seq, from, to, feed->queue, memory_write, file, &error),
	        &error, "clkv_seq_save_range");
}

static clkv_status load_range(const struct feed *feed, struct memory_file *file,
                              struct stream *stream, clkv_error *error)
{
	file->at = file->calls = 0;
	return clkv_seq_load_range(stream->seq, feed->queue, memory_read, file, error);
}

static void append_range(const struct feed *feed, struct memory_file *file,
                         const struct stream *from, size_t to, struct stream *stream)
{
	clkv_error error;
	feed_ok(load_range(feed, file, stream, &error), &error, "clkv_seq_load_range");
	ck_assert_uint_eq(file->at, file->n);
	memcpy(stream->row, from->row, sizeof from->row);
	stream->n = to;
	ck_assert_uint_eq(stream_info(stream).length, to);
}

/* Chunks of 128 tokens as far as they may begin there; the last is what is left. */
static size_t cut(const struct stream *stream, size_t ends[MOST_CHUNKS])
{
	clkv_ranges ranges = CLKV_INIT(clkv_ranges);
	clkv_error error;
	size_t n = 0;
	feed_ok(clkv_seq_get_ranges(stream->seq, &ranges, &error), &error, "clkv_seq_get_ranges");
	ck_assert_uint_eq(128 % ranges.every, 0);
	for (size_t end = ranges.first + 128; end < stream->n; end += 128) {
		if (clkv_seq_range_start(stream->seq, end) == end)
			ends[n++] = end;
	}
	ends[n++] = stream->n;
	return n;
}

static void expect_same_file(const struct memory_file *a, const struct memory_file *b)
{
	ck_assert_uint_eq(a->n, b->n);
	ck_assert_int_eq(memcmp(a->bytes, b->bytes, a->n), 0);
}

/* Both go on to the same bits. */
static void expect_same_future(struct feed *fa, struct stream *a, struct feed *fb, struct stream *b)
{
	static const size_t rows[] = {1, 70};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct feed_result ra, rb;
		feed_one(fa, a, rows[i], CLKV_DECODE, 100 + i, &ra);
		feed_one(fb, b, rows[i], CLKV_DECODE, 100 + i, &rb);
		ck_assert_double_eq(expect_difference(fa, &ra, &rb), 0.0);
		feed_result_close(&ra);
		feed_result_close(&rb);
		ck_assert_uint_eq(stream_info(a).sealed, stream_info(b).sealed);
	}
	expect_same_cache(fa, a, b);
}

/* ---------------------------------------------------------------- the same recipe ---- */

/* A sequence, and in another cache what chunks of it make. */
static void open_copy(const char *recipe, struct feed *feed, struct stream *stream,
                      struct feed *other, struct stream *copy)
{
	struct memory_file chunk = {0};
	size_t ends[MOST_CHUNKS], at = 0;
	open_stream(feed, recipe, stream);
	open_feed(other, recipe);
	stream_open(other, copy);
	size_t n = cut(stream, ends);
	ck_assert_uint_ge(n, 3);
	for (size_t i = 0; i < n; at = ends[i++]) {
		save_range(feed, stream, at, ends[i], &chunk);
		append_range(other, &chunk, stream, ends[i], copy);
		expect_same_prefix(feed, copy, stream);
	}
	memory_close(&chunk);
}

START_TEST(test_chunks_make_the_same_sequence)
{
	static struct stream stream, copy;
	struct feed feed = {0}, other = {0};
	struct memory_file whole = {0}, again = {0};
	open_copy(recipes[_i], &feed, &stream, &other, &copy);
	memory_save(&feed, &stream, NULL, &whole);
	memory_save(&other, &copy, NULL, &again);
	expect_same_file(&whole, &again);
	expect_same_future(&feed, &stream, &other, &copy);
	memory_close(&whole);
	memory_close(&again);
	feed_close(&other);
	feed_close(&feed);
}
END_TEST

/* Where queries judge tokens that will be sealed, chunks have the rows and none of the queries. */
START_TEST(test_chunks_have_no_queries)
{
	static struct stream stream, copy;
	struct feed feed = {0}, other = {0};
	struct memory_file whole = {0}, again = {0};
	open_copy("qaq ; window=40,sinks=3", &feed, &stream, &other, &copy);
	memory_save(&feed, &stream, NULL, &whole);
	memory_save(&other, &copy, NULL, &again);
	ck_assert_uint_gt(whole.n, again.n);
	feed_one(&other, &copy, 70, CLKV_DECODE, 100, NULL);
	ck_assert_uint_gt(stream_info(&copy).sealed, stream_info(&stream).sealed);
	memory_close(&whole);
	memory_close(&again);
	feed_close(&feed);
	feed_close(&other);
}
END_TEST

/* From 0 on a range is what is saved of the sequence cut there: within sinks, inside a page, behind the last. */
START_TEST(test_beginnings_are_snapshots)
{
	static const size_t ends[] = {2, 100, 131, TOKENS - 20, TOKENS};
	static struct stream stream, shorter, loaded;
	struct feed feed = {0};
	struct memory_file a = {0}, b = {0};
	open_stream(&feed, recipes[_i], &stream);
	for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
		clkv_error error;
		save_range(&feed, &stream, 0, ends[i], &a);
		stream_fork(&feed, &stream, &shorter);
		feed_ok(clkv_seq_truncate(shorter.seq, ends[i], &error), &error, "clkv_seq_truncate");
		shorter.n = ends[i];
		memory_save(&feed, &shorter, NULL, &b);
		expect_same_file(&a, &b);
		memory_load(&feed, &a, &shorter, &loaded);
		expect_same_cache(&feed, &shorter, &loaded);
		stream_close(&loaded);
		stream_close(&shorter);
	}
	memory_close(&a);
	memory_close(&b);
	feed_close(&feed);
}
END_TEST

/* A range's first block may be one that a fork shares: it gets one of its own. */
START_TEST(test_forks_stay_as_they_are)
{
	static struct stream stream, first, fork;
	struct feed feed = {0};
	struct memory_file whole = {0}, again = {0}, chunk = {0};
	open_stream(&feed, SKIPS, &stream);
	save_range(&feed, &stream, 0, 131, &whole);
	stream_open(&feed, &first);
	append_range(&feed, &whole, &stream, 131, &first);
	stream_fork(&feed, &first, &fork);
	save_range(&feed, &stream, 131, 259, &chunk);
	append_range(&feed, &chunk, &stream, 259, &fork);
	expect_same_prefix(&feed, &fork, &stream);
	memory_save(&feed, &first, NULL, &again);
	expect_same_file(&whole, &again);
	memory_close(&whole);
	memory_close(&again);
	memory_close(&chunk);
	feed_close(&feed);
}
END_TEST

/* ---------------------------------------------------------------- another recipe ---- */

/* Pages are decoded, and half holds what that gives. */
START_TEST(test_pages_into_half)
{
	enum { ROW = 2 * 64 };
	static double a[TOKENS * ROW], b[TOKENS * ROW];
	static struct stream stream, copy;
	struct feed feed = {0}, other = {0};
	struct memory_file chunk = {0};
	size_t ends[MOST_CHUNKS], at = 0;
	open_stream(&feed, SKIPS, &stream);
	open_feed(&other, "f16");
	stream_open(&other, &copy);
	size_t n = cut(&stream, ends);
	for (size_t i = 0; i < n; at = ends[i++]) {
		save_range(&feed, &stream, at, ends[i], &chunk);
		append_range(&other, &chunk, &stream, ends[i], &copy);
	}
	for (int l = 0; l < 2; l++) {
		feed_read(&feed, &stream, l, 0, TOKENS, a, NULL);
		feed_read(&other, &copy, l, 0, TOKENS, b, NULL);
		for (size_t i = 0; i < TOKENS * ROW; i++)
			ck_assert_double_eq(b[i], ref_half(a[i]));
	}
	memory_close(&chunk);
	feed_close(&other);
	feed_close(&feed);
}
END_TEST

/* Rows in half are a prompt's: sealed as if they had come from the model. */
START_TEST(test_half_into_pages)
{
	static struct stream stream, copy, direct;
	struct feed feed = {0}, other = {0};
	struct memory_file chunk = {0};
	clkv_error error;
	open_stream(&feed, "f16", &stream);
	open_feed(&other, SKIPS);
	stream_open(&other, &copy);
	stream_open(&other, &direct);
	for (size_t at = 0; at < 500; at += 100) {
		save_range(&feed, &stream, at, at + 100, &chunk);
		append_range(&other, &chunk, &stream, at + 100, &copy);
	}
	feed_ok(clkv_seq_end_prompt(copy.seq, other.queue, &error), &error, "clkv_seq_end_prompt");
	feed_named(&other, &direct, stream.row, 500, CLKV_PROMPT_END);
	expect_same_cache(&other, &direct, &copy);
	ck_assert_uint_eq(stream_info(&direct).sealed, stream_info(&copy).sealed);
	memory_close(&chunk);
	feed_close(&other);
	feed_close(&feed);
}
END_TEST

/* ---------------------------------------------------------------- what is refused ---- */

/* Loads what can't be loaded: sequence and pool stay as they are. */
static clkv_status refused(const struct feed *feed, struct memory_file *file, struct stream *stream,
                           clkv_error *error)
{
	struct memory_file before = {0}, after = {0};
	clkv_stats was = feed_stats(feed);
	memory_save(feed, stream, NULL, &before);
	clkv_status status = load_range(feed, file, stream, error);
	clkv_stats is = feed_stats(feed);
	ck_assert_msg(status != CLKV_OK, "a bad range of %zu bytes was loaded", file->n);
	ck_assert_int_eq(error->status, status);
	memory_save(feed, stream, NULL, &after);
	expect_same_file(&before, &after);
	ck_assert_uint_eq(is.used_sealed, was.used_sealed);
	ck_assert_uint_eq(is.used_open, was.used_open);
	ck_assert_uint_eq(is.used_tables, was.used_tables);
	ck_assert_uint_eq(is.sequences, was.sequences);
	memory_close(&before);
	memory_close(&after);
	return status;
}

/* The first 130 tokens in a cache of their own, and the 128 behind them in a file. */
static void open_pair(struct feed *feed, const char *recipe, struct stream *begun,
                      struct memory_file *chunk)
{
	static struct stream stream;
	struct feed whole = {0};
	struct memory_file first = {0};
	size_t ends[MOST_CHUNKS];
	open_stream(&whole, recipe, &stream);
	cut(&stream, ends);
	save_range(&whole, &stream, 0, ends[0], &first);
	save_range(&whole, &stream, ends[0], ends[1], chunk);
	open_feed(feed, recipe);
	stream_open(feed, begun);
	append_range(feed, &first, &stream, ends[0], begun);
	memory_close(&first);
	feed_close(&whole);
}

START_TEST(test_other_places)
{
	static struct stream begun, empty;
	struct feed feed = {0};
	struct memory_file chunk = {0}, first = {0};
	clkv_error error;
	open_pair(&feed, SKIPS, &begun, &chunk);
	stream_open(&feed, &empty);
	ck_assert_int_eq(refused(&feed, &chunk, &empty, &error), CLKV_ERROR_INVALID_STATE);
	ck_assert_ptr_nonnull(strstr(error.text, "begins at token 131"));
	memory_expect_refused(&feed, &chunk, "clkv_seq_load_range");
	save_range(&feed, &begun, 0, 131, &first);
	ck_assert_int_eq(refused(&feed, &first, &begun, &error), CLKV_ERROR_INVALID_STATE);
	memory_close(&chunk);
	memory_close(&first);
	feed_close(&feed);
}
END_TEST

/* Each byte changed in turn, some at a time where there are many, and each early end. */
START_TEST(test_damage)
{
	static struct stream begun;
	struct feed feed = {0};
	struct memory_file chunk = {0};
	clkv_error error;
	open_pair(&feed, recipes[_i], &begun, &chunk);
	const size_t step = chunk.n / 97 + 1, whole = chunk.n;
	for (size_t i = 0; i < whole; i += i < 200 ? 1 : step) {
		chunk.bytes[i] ^= 0x10;
		clkv_status status = refused(&feed, &chunk, &begun, &error);
		ck_assert(status == CLKV_ERROR_CORRUPT || status == CLKV_ERROR_UNSUPPORTED ||
		          status == CLKV_ERROR_INVALID_STATE);
		chunk.bytes[i] ^= 0x10;
	}
	for (chunk.n = 0; chunk.n < whole; chunk.n += chunk.n < 200 ? 1 : step)
		ck_assert_int_eq(refused(&feed, &chunk, &begun, &error), CLKV_ERROR_CORRUPT);
	chunk.n = whole;
	feed_ok(load_range(&feed, &chunk, &begun, &error), &error, "clkv_seq_load_range");
	memory_close(&chunk);
	feed_close(&feed);
}
END_TEST

/* A file by a later version of the format. */
START_TEST(test_newer_version)
{
	static struct stream begun;
	struct feed feed = {0};
	struct memory_file chunk = {0};
	clkv_error error;
	open_pair(&feed, "f16", &begun, &chunk);
	ck_assert_uint_eq(chunk.bytes[8], 3);
	chunk.bytes[8] = 7;
	ck_assert_int_eq(refused(&feed, &chunk, &begun, &error), CLKV_ERROR_UNSUPPORTED);
	ck_assert_ptr_nonnull(strstr(error.text, "version 7"));
	memory_close(&chunk);
	feed_close(&feed);
}
END_TEST

/* Each allocation and each OpenCL call fails in turn. */
START_TEST(test_failures)
{
	static struct stream begun;
	struct feed feed = {0};
	struct memory_file chunk = {0};
	clkv_error error;
	enum fault fault = (enum fault)_i;
	open_pair(&feed, SKIPS, &begun, &chunk);
	for (int n = 0;; n++) {
		ck_assert_int_lt(n, 2000);
		fault_arm(fault, n);
		clkv_status status = load_range(&feed, &chunk, &begun, &error);
		if (!fault_disarm(fault)) {
			ck_assert_int_eq(status, CLKV_OK);
			break;
		}
		if (status == CLKV_OK)
			break;
		fault_expect(fault, status, &error);
		ck_assert_uint_eq(stream_info(&begun).length, begun.n);
		ck_assert_uint_eq(feed_stats(&feed).sequences, 1);
	}
	memory_close(&chunk);
	feed_close(&feed);
}
END_TEST

START_TEST(test_no_room_for_another_sequence)
{
	static struct stream stream, begun;
	struct feed feed = {.geometry = feed_usual(2)}, whole = {0};
	struct memory_file chunk = {0};
	clkv_cache_options room = feed_room(1000, 1);
	clkv_error error;
	open_stream(&whole, "f16", &stream);
	save_range(&whole, &stream, 0, 128, &chunk);
	feed_open(&feed, fixture.context, fixture.queue, "f16", &room);
	stream_open(&feed, &begun);
	ck_assert_int_eq(refused(&feed, &chunk, &begun, &error), CLKV_ERROR_POOL_FULL);
	ck_assert_ptr_nonnull(strstr(error.text, "max_sequences (1)"));
	memory_close(&chunk);
	feed_close(&feed);
	feed_close(&whole);
}
END_TEST

START_TEST(test_places_where_ranges_begin)
{
	static struct stream stream;
	struct feed feed = {0};
	clkv_error error;
	struct memory_file file = {0};
	open_stream(&feed, SKIPS, &stream);
	/* pages of 64 from 3 on; the prompt's end left one of 32, [451, 483) */
	static const size_t places[][2] = {{0, 0},     {2, 0},     {3, 3},     {66, 3},
	                                   {67, 67},   {482, 451}, {483, 483}, {546, 483},
	                                   {547, 547}, {601, 547}, {9999, 547}};
	for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
		ck_assert_uint_eq(clkv_seq_range_start(stream.seq, places[i][0]), places[i][1]);
	ck_assert_uint_eq(clkv_seq_range_start(NULL, 7), 0);
	static const size_t bad[][2] = {{68, 100}, {67, 67}, {67, 3}, {0, TOKENS + 1}, {600, 601}};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		ck_assert_int_eq(clkv_seq_save_range(stream.seq, bad[i][0], bad[i][1], feed.queue,
		                                     memory_write, &file, &error),
		                 CLKV_ERROR_INVALID_ARGUMENT);
		ck_assert_uint_eq(file.n, 0);
	}
	feed_close(&feed);
}
END_TEST

START_TEST(test_recipes_without_ranges)
{
	static const struct {
		const char *recipe, *word;
	} rows[] = {
		{"streaming:budget=96 ; window=32", "streaming"},
		{"layers=0: kivi ; sinks=4 ; 1: kivi ; sinks=5", "sinks=5"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct feed feed = {0};
		clkv_ranges ranges = CLKV_INIT(clkv_ranges);
		clkv_error error;
		static struct stream stream;
		open_feed(&feed, rows[i].recipe);
		stream_open(&feed, &stream);
		ck_assert_int_eq(clkv_seq_get_ranges(stream.seq, &ranges, &error), CLKV_ERROR_UNSUPPORTED);
		ck_assert_msg(strstr(error.text, rows[i].word), "%s", error.text);
		feed_close(&feed);
	}
}
END_TEST

/* ---------------------------------------------------------------- rows of no sequence ---- */

enum { ROWS = 256, ROW = 2 * 64 };

/* [layers][side][rows][heads][dim] */
static void tensors_of(float *values, clkv_tensor k[2], clkv_tensor v[2])
{
	for (int l = 0; l < 2; l++) {
		k[l] = (clkv_tensor){.host = values + (size_t)(2 * l) * ROWS * ROW};
		v[l] = (clkv_tensor){.host = values + (size_t)(2 * l + 1) * ROWS * ROW};
	}
}

static const char *const encodings[] = {
	"f16",
	"kivi:bits=4 ; window=0,sinks=0",
	"q:k=8,v=4 ; window=30,sinks=5",
	"kvcomp:rel_k=0.1,rel_v=0.1 ; window=0",
	"layers=0: f16 ; 1: kivi:bits=2 ; window=0",
	"kivi:bits=4 | clusterkv:recall=64,per=8 ; window=32",
};
#define ENCODINGS (sizeof encodings / sizeof encodings[0])

/* The bytes are a sequence's whose prompt these rows are, and no more than was promised; decoded, rows read as its. */
START_TEST(test_encode_is_a_prompt)
{
	static float rows[4 * ROWS * ROW], back[4 * ROWS * ROW];
	static double values[ROWS * ROW], read[ROWS * ROW];
	static struct stream stream;
	clkv_tensor k[2], v[2];
	struct feed feed = {0};
	struct memory_file encoded = {0}, saved = {0};
	clkv_error error;
	uint64_t most = 0;
	open_feed(&feed, encodings[_i]);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, ROWS, CLKV_PROMPT_END, 1, NULL);
	for (int t = 0; t < 4; t++) {
		feed_rows(&feed, t / 2, t % 2 ? FEED_V : FEED_K, stream.row, ROWS, values);
		for (size_t i = 0; i < ROWS * ROW; i++)
			rows[(size_t)t * ROWS * ROW + i] = (float)values[i];
	}
	tensors_of(rows, k, v);
	feed_ok(clkv_encode_bound(feed.context, &feed.geometry, encodings[_i], ROWS, &most, &error),
	        &error, "clkv_encode_bound");
	feed_ok(clkv_encode(feed.context, &feed.geometry, encodings[_i], NULL, ROWS, k, v, feed.queue,
	                    memory_write, &encoded, &error),
	        &error, "clkv_encode");
	ck_assert_uint_le(encoded.n, most);
	if (_i != 5) { /* what is indexed seals later than what goes to a file */
		memory_save(&feed, &stream, NULL, &saved);
		expect_same_file(&encoded, &saved);
	}
	tensors_of(back, k, v);
	feed_ok(clkv_decode(feed.context, &feed.geometry, NULL, ROWS, k, v, feed.queue, memory_read,
	                    &encoded, &error),
	        &error, "clkv_decode");
	for (int t = 0; t < 4 && _i != 5; t++) {
		feed_read(&feed, &stream, t / 2, 0, ROWS, t % 2 ? NULL : read, t % 2 ? read : NULL);
		for (size_t i = 0; i < ROWS * ROW; i++)
			ck_assert_double_eq(back[(size_t)t * ROWS * ROW + i], read[i]);
	}
	memory_close(&encoded);
	memory_close(&saved);
	feed_close(&feed);
}
END_TEST

START_TEST(test_decode_refuses)
{
	static float rows[4 * ROWS * ROW];
	clkv_tensor k[2], v[2];
	clkv_geometry g = feed_usual(2), other = feed_usual(3);
	struct memory_file file = {0};
	clkv_error error;
	tensors_of(rows, k, v);
	feed_ok(clkv_encode(fixture.context, &g, "kivi ; window=0", NULL, ROWS, k, v, fixture.queue,
	                    memory_write, &file, &error),
	        &error, "clkv_encode");
#define DECODE(geometry, n)                                                                        \
	(file.at = 0, clkv_decode(fixture.context, geometry, NULL, n, k, v, fixture.queue,             \
	                          memory_read, &file, &error))
	ck_assert_int_eq(DECODE(&g, ROWS - 1), CLKV_ERROR_UNSUPPORTED);
	ck_assert_ptr_nonnull(strstr(error.text, "0 to 256"));
	ck_assert_int_eq(DECODE(&other, ROWS), CLKV_ERROR_UNSUPPORTED);
	file.bytes[file.n / 2] ^= 1;
	ck_assert_int_eq(DECODE(&g, ROWS), CLKV_ERROR_CORRUPT);
	file.bytes[file.n / 2] ^= 1;
	file.n--;
	ck_assert_int_eq(DECODE(&g, ROWS), CLKV_ERROR_CORRUPT);
	ck_assert_int_eq(DECODE(&g, 0), CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_int_eq(DECODE(NULL, ROWS), CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_int_eq(clkv_encode(fixture.context, &g, "h2o:budget=96", NULL, ROWS, k, v,
	                             fixture.queue, memory_write, &file, &error),
	                 CLKV_ERROR_UNSUPPORTED);
	uint64_t most;
	ck_assert_int_eq(clkv_encode_bound(fixture.context, &g, "kivi:bits=99", ROWS, &most, &error),
	                 CLKV_ERROR_INVALID_RECIPE);
	ck_assert_int_eq(clkv_encode_bound(fixture.context, &g, "kivi", 0, &most, &error),
	                 CLKV_ERROR_INVALID_ARGUMENT);
	memory_close(&file);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("range");
	TCase *t = fixture_case(s, "same", 120);
	tcase_add_loop_test(t, test_chunks_make_the_same_sequence, 0,
	                    fixture_full() ? (int)RECIPES : (int)RECIPES - 2);
	tcase_add_test(t, test_chunks_have_no_queries);
	tcase_add_loop_test(t, test_beginnings_are_snapshots, 0, FEW);
	tcase_add_test(t, test_forks_stay_as_they_are);
	t = fixture_case(s, "other", 120);
	tcase_add_test(t, test_pages_into_half);
	tcase_add_test(t, test_half_into_pages);
	t = fixture_case(s, "refused", 240);
	tcase_add_test(t, test_other_places);
	tcase_add_loop_test(t, test_damage, 0, FEW);
	tcase_add_test(t, test_newer_version);
	tcase_add_loop_test(t, test_failures, 0, FAULTS);
	tcase_add_test(t, test_no_room_for_another_sequence);
	tcase_add_test(t, test_places_where_ranges_begin);
	tcase_add_test(t, test_recipes_without_ranges);
	t = fixture_case(s, "rows", 120);
	tcase_add_loop_test(t, test_encode_is_a_prompt, 0, (int)ENCODINGS);
	tcase_add_test(t, test_decode_refuses);
	return fixture_run(s);
}
