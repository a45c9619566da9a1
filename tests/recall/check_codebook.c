/* SPDX-License-Identifier: MIT */
/** \file check_codebook.c \brief Codebooks that were trained before: saved, given to other caches, damaged, foreign. */
#include "ref/ref_half.h"
#include "support/bounds.h"
#include "support/expect.h"
#include "support/fixture.h"
#include "support/memory_file.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#define CODES 32
#define AROUND ",every=128,most=1024 ; window=32,sinks=4"
#define RECIPE "a2ats:recall=64,codes=32" AROUND
#define EVERYTHING "a2ats:recall=600,codes=32" AROUND
#define MODEL UINT64_C(0x0123456789abcdef)
/* Behind the magic: words, the model, entries; a checksum at the end. */
enum {
	WORDS_AT = 8,
	CODES_AT = WORDS_AT + 20,
	MODEL_AT = WORDS_AT + 28,
	ENTRIES_AT = MODEL_AT + 8
};

static clkv_cache_options room(const struct memory_file *book)
{
	clkv_cache_options o = CLKV_INIT(clkv_cache_options);
	o.max_tokens = 1200;
	o.max_seq_tokens = 600;
	o.max_sequences = 2;
	if (book) {
		o.codebook = book->bytes;
		o.codebook_size = book->n;
		o.model = MODEL;
	}
	return o;
}

static struct feed open_feed(const char *recipe, const struct memory_file *book)
{
	struct feed feed = {.geometry = feed_usual(2)};
	const clkv_cache_options o = room(book);
	feed_open(&feed, fixture.context, fixture.queue, recipe, &o);
	return feed;
}

static clkv_status save(const struct stream *stream, struct memory_file *file, clkv_error *error)
{
	return clkv_seq_save_codebook(stream->seq, MODEL, fixture.queue, memory_write, file, error);
}

/* A codebook of the recipe, trained on 400 tokens; *after gets what three rows of generation see then. */
static void train(struct memory_file *book, struct feed_result *after)
{
	static struct stream stream;
	struct feed feed = open_feed(RECIPE, NULL);
	clkv_error error;
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, 400, CLKV_PROMPT_END, 1, NULL);
	feed_ok(save(&stream, book, &error), &error, "save");
	if (after)
		feed_one(&feed, &stream, 3, CLKV_DECODE, 2, after);
	stream_close(&stream);
	feed_close(&feed);
}

/* The same prompt is labelled by the same entries: the same tokens are recalled, to the bit. */
START_TEST(test_a_given_codebook_is_the_one_that_was_trained)
{
	static struct stream stream;
	struct memory_file book = {0};
	struct feed_result trained, given;
	train(&book, &trained);
	struct feed feed = open_feed(RECIPE, &book);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, 400, CLKV_PROMPT_END, 1, NULL);
	feed_one(&feed, &stream, 3, CLKV_DECODE, 2, &given);
	ck_assert_uint_eq(trained.rows, given.rows);
	ck_assert_int_eq(
		memcmp(trained.out, given.out, 2 * trained.rows * trained.out_row * sizeof *trained.out),
		0);
	struct memory_file again = {0};
	clkv_error error;
	feed_ok(save(&stream, &again, &error), &error, "save");
	ck_assert_uint_eq(again.n, book.n);
	ck_assert_int_eq(memcmp(again.bytes, book.bytes, book.n), 0);
	feed_result_close(&trained);
	feed_result_close(&given);
	stream_close(&stream);
	feed_close(&feed);
	memory_close(&book);
	memory_close(&again);
}
END_TEST

/* Without one a prompt needs 4 keys for each code (128 here is `every`, too: so many are sealed at least); with one
 * `every` is enough from the first prompt on, in all sequences, which share it. */
START_TEST(test_all_sequences_share_it)
{
	static struct stream a, b;
	struct memory_file book = {0};
	struct feed_item items[2] = {{&a, 5, CLKV_DECODE, 0, 3}, {&b, 5, CLKV_DECODE, 0, 4}};
	struct feed_result result;
	train(&book, NULL);
	clkv_cache_options with = room(&book), without = room(NULL);
	clkv_bytes one = CLKV_INIT(clkv_bytes), each = CLKV_INIT(clkv_bytes);
	clkv_geometry g = feed_usual(2);
	clkv_error error;
	feed_ok(clkv_bytes_required(fixture.context, &g, EVERYTHING, &with, &one, &error), &error,
	        "bytes");
	feed_ok(clkv_bytes_required(fixture.context, &g, EVERYTHING, &without, &each, &error), &error,
	        "bytes");
	/* two sequences: one codebook less, of 2 layers and 2 KV heads */
	ck_assert_uint_eq(each.index - one.index, 2 * 2 * CODES * 64 * 2);
	struct feed feed = open_feed(EVERYTHING, &book);
	stream_open(&feed, &a);
	feed_one(&feed, &a, 300, CLKV_PROMPT_END, 1, NULL);
	stream_open(&feed, &b);
	feed_one(&feed, &b, 200, CLKV_PROMPT_END, 2, NULL);
	ck_assert_uint_eq(stream_info(&a).sealed, 300 - 36);
	ck_assert_uint_eq(stream_info(&b).sealed, 200 - 36);
	feed_step(&feed, items, 2, &result);
	feed_result_close(&result);
	expect_rows(&feed, &b, 1, CLKV_DECODE, 5, EXPECT_GIVEN, BOUND_ATTEND_HALF);
	stream_close(&a);
	expect_rows(&feed, &b, 1, CLKV_DECODE, 6, EXPECT_GIVEN, BOUND_ATTEND_HALF);
	stream_close(&b);
	feed_close(&feed);
	memory_close(&book);
}
END_TEST

static void expect_refusal(const struct memory_file *book, uint64_t model, const char *recipe,
                           clkv_status want, const char *word)
{
	clkv_cache_options o = room(book);
	clkv_geometry g = feed_usual(2);
	clkv_cache *cache = NULL;
	clkv_error error;
	o.model = model;
	clkv_status status = clkv_cache_create(fixture.context, &g, recipe, &o, &cache, &error);
	ck_assert_msg(status == want, "%s: %s", clkv_status_string(status), error.text);
	ck_assert_ptr_null(cache);
	ck_assert_msg(strstr(error.text, word) != NULL, "no '%s' in: %s", word, error.text);
}

START_TEST(test_foreign_codebooks_are_named)
{
	struct memory_file book = {0};
	train(&book, NULL);
	expect_refusal(&book, MODEL + 1, RECIPE, CLKV_ERROR_INVALID_ARGUMENT, "model");
	expect_refusal(&book, MODEL, "a2ats:recall=64,codes=64" AROUND, CLKV_ERROR_INVALID_ARGUMENT,
	               "codes is 32");
	expect_refusal(&book, MODEL, RECIPE ",skip=1", CLKV_ERROR_INVALID_ARGUMENT, "skip is 0");
	expect_refusal(&book, MODEL, "clusterkv:recall=64" AROUND, CLKV_ERROR_INVALID_ARGUMENT,
	               "a2ats");
	expect_refusal(&book, MODEL, "kivi", CLKV_ERROR_INVALID_ARGUMENT, "a2ats");
	memory_close(&book);
}
END_TEST

START_TEST(test_damage_is_noticed)
{
	struct memory_file book = {0};
	train(&book, NULL);
	const size_t places[] = {0, 7, ENTRIES_AT, ENTRIES_AT + 1001, book.n - 1};
	for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
		book.bytes[places[i]] ^= 1;
		expect_refusal(&book, MODEL, RECIPE, CLKV_ERROR_CORRUPT, "codebook");
		book.bytes[places[i]] ^= 1;
	}
	book.bytes[CODES_AT] ^= 64;
	expect_refusal(&book, MODEL, RECIPE, CLKV_ERROR_INVALID_ARGUMENT, "codes is 96");
	book.bytes[CODES_AT] ^= 64;
	for (size_t n = 0; n < book.n; n += n < 60 ? 1 : 997) {
		struct memory_file part = book;
		part.n = n;
		expect_refusal(&part, MODEL, RECIPE, CLKV_ERROR_CORRUPT, "bytes");
	}
	/* a file that someone has signed: entries that are no numbers would spoil every score */
	book.bytes[ENTRIES_AT] = 0;
	book.bytes[ENTRIES_AT + 1] = 0x7e;
	memory_sign(&book);
	expect_refusal(&book, MODEL, RECIPE, CLKV_ERROR_CORRUPT, "finite");
	memory_close(&book);
}
END_TEST

START_TEST(test_saving_says_what_is_missing)
{
	static struct stream stream;
	struct memory_file book = {0};
	clkv_error error;
	struct feed feed = open_feed(RECIPE, NULL);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, 100, CLKV_PROMPT_END, 1, NULL);
	ck_assert_int_eq(save(&stream, &book, &error), CLKV_ERROR_INVALID_STATE);
	ck_assert_msg(strstr(error.text, "128 tokens") != NULL, "%s", error.text);
	feed_one(&feed, &stream, 300, CLKV_DECODE, 1, NULL);
	book.fails = 1;
	ck_assert_int_eq(save(&stream, &book, &error), CLKV_ERROR_IO);
	book.fails = 0;
	feed_ok(save(&stream, &book, &error), &error, "save");
	ck_assert_int_eq(clkv_seq_save_codebook(stream.seq, MODEL, fixture.queue, NULL, NULL, &error),
	                 CLKV_ERROR_INVALID_ARGUMENT);
	stream_close(&stream);
	feed_close(&feed);
	feed = open_feed("kivi", NULL);
	stream_open(&feed, &stream);
	ck_assert_int_eq(save(&stream, &book, &error), CLKV_ERROR_INVALID_STATE);
	ck_assert_msg(strstr(error.text, "a2ats") != NULL, "%s", error.text);
	stream_close(&stream);
	feed_close(&feed);
	memory_close(&book);
}
END_TEST

enum { KINDS = 4 };

/* Keys of few kinds, so that each entry of a codebook is one of them. */
static double of_kinds(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	return feed_normal(side == FEED_K ? row % KINDS : row, layer, side, head, d);
}

static double half_at(const unsigned char *at)
{
	return ref_from_half((uint16_t)(at[0] | at[1] << 8));
}

/* Whether 64 halves are the key of a kind. It was rounded to half as it was rotated, as it was turned back and as a mean,
 * by 2^-12 of the pair's length each, the first in both channels: 3.5 of these, and what sines add. */
static bool is_kind(const unsigned char *entry, int layer, size_t head, uint64_t kind)
{
	for (size_t i = 0; i < 64; i++) {
		double x = of_kinds(kind, layer, FEED_K, head, i);
		double y = of_kinds(kind, layer, FEED_K, head, (i + 32) % 64);
		if (fabs(half_at(entry + 2 * i) - x) > 4 * 0x1p-12 * hypot(x, y))
			return false;
	}
	return true;
}

/* Windowed RoPE: keys that the library has rotated, each by its own position, are indexed as they were before. */
START_TEST(test_keys_are_turned_back)
{
	static struct stream stream;
	struct memory_file book = {0};
	struct feed feed = {.geometry = feed_usual(2), .value = of_kinds};
	const clkv_cache_options o = room(NULL);
	clkv_error error;
	size_t found[KINDS] = {0};
	feed.geometry.rope.kind = CLKV_ROPE_HALVES;
	feed.geometry.rope.by_library = 1;
	feed_open(&feed, fixture.context, fixture.queue, "a2ats:recall=64,codes=32,wrope=64" AROUND,
	          &o);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, 400, CLKV_PROMPT_END, 1, NULL);
	feed_ok(save(&stream, &book, &error), &error, "save");
	for (size_t i = 0; i < 4 * CODES; i++) {
		const unsigned char *entry = book.bytes + ENTRIES_AT + i * 128;
		uint64_t kind = 0;
		while (kind < KINDS && !is_kind(entry, (int)(i / CODES / 2), i / CODES % 2, kind))
			kind++;
		ck_assert_msg(kind < KINDS, "entry %zu is no key", i);
		found[kind]++;
	}
	for (size_t i = 0; i < KINDS; i++)
		ck_assert_uint_gt(found[i], 0);
	stream_close(&stream);
	feed_close(&feed);
	memory_close(&book);
}
END_TEST

START_TEST(test_turning_back_needs_the_rope)
{
	static const char *const words[] = {"wrope", "rope.kind"};
	const clkv_geometry unknown = feed_usual(1);
	clkv_geometry known = unknown;
	static const char *const hadamard[] = {"wrope", "hadamard"};
	known.rope.kind = CLKV_ROPE_PAIRS;
	expect_refused(fixture.context, &unknown, "a2ats:wrope=64", words, 2);
	expect_refused(fixture.context, &known, "q:rot=hadamard | a2ats:wrope=64", hadamard, 2);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("codebook");
	TCase *tcase = fixture_case(suite, "codebook", 60);
	tcase_add_test(tcase, test_a_given_codebook_is_the_one_that_was_trained);
	tcase_add_test(tcase, test_all_sequences_share_it);
	tcase_add_test(tcase, test_foreign_codebooks_are_named);
	tcase_add_test(tcase, test_damage_is_noticed);
	tcase_add_test(tcase, test_saving_says_what_is_missing);
	tcase_add_test(tcase, test_keys_are_turned_back);
	tcase_add_test(tcase, test_turning_back_needs_the_rope);
	return fixture_run_shared(suite);
}
