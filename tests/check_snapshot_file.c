/* SPDX-License-Identifier: MIT */
/** \file check_snapshot_file.c \brief Snapshots that are damaged, lie, don't fit, or can't be written. */
#include "ref/ref_half.h"
#include "support/expect.h"
#include "support/fixture.h"
#include "support/inject.h"
#include "support/memory_file.h"
#include "support/random.h"

#include <stdlib.h>
#include <string.h>

#define RECIPE "kivi:bits=2,group=16 ; window=3,sinks=2,block=32"
#define STREAMS "kvcomp:rel_k=0.1,rel_v=0.1,entropy=huffman ; window=3,block=32"
#define TRIES 2000 /* far above the calls of any operation */

/* Numbers of doc/file-format.md. */
enum { HEAD_WORDS = 10, HEAD_BYTES = 8 + 4 * HEAD_WORDS, RECORD_BYTES = 32, SUM_BYTES = 8 };
enum { VERSION, RECIPE_BYTES, LAYERS, KV_HEADS, DIM_K, DIM_V, LENGTH, TAIL, BLOCKS, FLAGS };
enum { CODEC = 1, SEALED = 2, HALF = 3, END = 4 };
enum { KIND, LAYER, HEAD, POS, COUNT, ENTRY_FLAGS, BYTES, ZERO };

static clkv_geometry tiny(void)
{
	return feed_geometry(2, 1, 1, 16, 32);
}

struct shop {
	struct feed feed;
	struct stream stream;
	struct memory_file file;
};

/* A cache with a saved sequence: 2 sinks, two sealed pages, the second of them partial, 3 tokens open. */
static void shop_open(struct shop *shop, const char *recipe)
{
	memset(shop, 0, sizeof *shop);
	shop->feed.geometry = tiny();
	feed_open(&shop->feed, fixture.context, fixture.queue, recipe, NULL);
	stream_open(&shop->feed, &shop->stream);
	feed_one(&shop->feed, &shop->stream, 55, CLKV_PROMPT_END, 1, NULL);
	memory_save(&shop->feed, &shop->stream, NULL, &shop->file);
}

static void shop_close(struct shop *shop)
{
	static struct stream again;
	memory_load(&shop->feed, &shop->file, &shop->stream, &again);
	expect_same_cache(&shop->feed, &shop->stream, &again);
	memory_close(&shop->file);
	feed_close(&shop->feed);
}

static uint32_t word(const unsigned char *at)
{
	return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static void set_word(unsigned char *at, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		at[i] = (unsigned char)(value >> 8 * i);
}

/* ---------------------------------------------------------------- the format ---- */

struct walk {
	struct memory_file *file;
	size_t at; /* of the record, or of the header's end */
	size_t bytes;
};

/* The first record; each has its bytes and a checksum behind it. */
static struct walk walk_begin(struct memory_file *file)
{
	struct walk w = {file, HEAD_BYTES + word(file->bytes + 8 + 4 * RECIPE_BYTES) + SUM_BYTES, 0};
	w.bytes = word(file->bytes + w.at + 4 * BYTES);
	return w;
}

static bool walk_next(struct walk *w)
{
	w->at += RECORD_BYTES + w->bytes + SUM_BYTES;
	if (w->at >= w->file->n)
		return false;
	w->bytes = word(w->file->bytes + w->at + 4 * BYTES);
	return true;
}

static uint64_t fnv(uint64_t hash, const unsigned char *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
	return hash;
}

/* Puts right checksums behind the header and all records, as far as sizes[] says where they are. */
static void seal(struct memory_file *file, const size_t *ends, size_t n)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);
	size_t at = 0;
	for (size_t i = 0; i < n; i++) {
		hash = fnv(hash, file->bytes + at, ends[i] - at);
		set_word(file->bytes + ends[i], (uint32_t)hash);
		set_word(file->bytes + ends[i] + 4, (uint32_t)(hash >> 32));
		at = ends[i] + SUM_BYTES;
	}
}

enum { MAX_PARTS = 64 };

/* Where the checksums are. */
static size_t list_ends(struct memory_file *file, size_t ends[MAX_PARTS])
{
	struct walk w = walk_begin(file);
	size_t n = 0;
	ends[n++] = w.at - SUM_BYTES;
	do {
		ck_assert_uint_lt(n, MAX_PARTS);
		ends[n++] = w.at + RECORD_BYTES + w.bytes;
	} while (walk_next(&w));
	ck_assert_uint_eq(ends[n - 1] + SUM_BYTES, file->n);
	return n;
}

/* Written from doc/file-format.md, not from the library: a file of f16 holds the rows as they came. */
START_TEST(test_the_format_is_as_described)
{
	static struct shop shop;
	shop_open(&shop, "f16 ; block=32");
	const unsigned char *b = shop.file.bytes;
	const char *recipe = "f16 ; window=0,sinks=0,block=32,skip=0,seal=chunk";
	const uint32_t head[HEAD_WORDS] = {1, (uint32_t)strlen(recipe), 2, 1, 16, 32, 55, 0, 0, 0};
	ck_assert_int_eq(memcmp(b,
	                        "\x89"
	                        "CLKV\r\n\x1a",
	                        8),
	                 0);
	for (size_t i = 0; i < HEAD_WORDS; i++)
		ck_assert_uint_eq(word(b + 8 + 4 * i), head[i]);
	ck_assert_int_eq(memcmp(b + HEAD_BYTES, recipe, strlen(recipe)), 0);
	struct walk w = walk_begin(&shop.file);
	for (uint32_t layer = 0; layer < 2; layer++)
		for (uint32_t pos = 0; pos < 55; pos += 32) {
			const unsigned char *r = b + w.at, *x = r + RECORD_BYTES;
			uint32_t n = pos + 32 < 55 ? 32 : 55 - pos;
			const uint32_t words[8] = {HALF, layer, 0, pos, n, 0, n * 48 * 2, 0};
			double k[16], v[32];
			for (size_t i = 0; i < 8; i++)
				ck_assert_uint_eq(word(r + 4 * i), words[i]);
			for (size_t t = 0; t < n; t++) {
				feed_rows(&shop.feed, (int)layer, FEED_K, &shop.stream.row[pos + t], 1, k);
				feed_rows(&shop.feed, (int)layer, FEED_V, &shop.stream.row[pos + t], 1, v);
				for (size_t c = 0; c < 16; c++)
					ck_assert_uint_eq(word(x + 2 * (c * n + t)) & 0xffff, ref_to_half(k[c]));
				for (size_t d = 0; d < 32; d++)
					ck_assert_uint_eq(word(x + 2 * (16 * n + t * 32 + d)) & 0xffff,
					                  ref_to_half(v[d]));
			}
			ck_assert(walk_next(&w));
		}
	ck_assert_uint_eq(word(b + w.at), END);
	ck_assert_uint_eq(w.bytes, 0);
	ck_assert(!walk_next(&w));
	size_t ends[MAX_PARTS], n = list_ends(&shop.file, ends);
	unsigned char *copy = malloc(shop.file.n);
	memcpy(copy, b, shop.file.n);
	seal(&shop.file, ends, n);
	ck_assert_int_eq(memcmp(copy, shop.file.bytes, shop.file.n), 0);
	free(copy);
	shop_close(&shop);
}
END_TEST

/* What a stage chooses by itself stands in the file: another version may choose otherwise. */
START_TEST(test_defaults_are_written_out)
{
	static struct shop shop;
	char recipe[1024];
	shop_open(&shop, "kvcomp ; block=32");
	size_t n = word(shop.file.bytes + 8 + 4 * RECIPE_BYTES);
	ck_assert_uint_lt(n, sizeof recipe);
	memcpy(recipe, shop.file.bytes + HEAD_BYTES, n);
	recipe[n] = '\0';
	ck_assert_msg(strstr(recipe, "rel_k=") && strstr(recipe, "rel_v=") &&
	                  strstr(recipe, "entropy=") && strstr(recipe, "window="),
	              "%s", recipe);
	shop_close(&shop);
}
END_TEST

/* ---------------------------------------------------------------- damage ---- */

static const char *const damaged[] = {RECIPE, "f16 ; block=32", "q:k=16,v=8,group=16 ; window=1",
                                      STREAMS,
                                      "kvcomp:entropy=pack,abs_k=0.001 ; window=3,block=32"};
#define DAMAGED 5
#define FIXED 3 /* of pages that begin with halves */

/* Each byte changed, and the file ended at each length, into a cache of the same recipe. */
START_TEST(test_every_damaged_byte_is_found)
{
	static struct shop shop;
	size_t first = (size_t)_i % 4;
	shop_open(&shop, damaged[_i / 4]);
	for (size_t i = first; i < shop.file.n; i += 4) {
		clkv_error error;
		unsigned char before = shop.file.bytes[i];
		shop.file.bytes[i] = (unsigned char)(before ^ 1u << i / 4 % 8);
		clkv_status status = memory_refused(&shop.feed, &shop.file, &error);
		bool version = i >= 8 && i < 12;
		ck_assert_msg(status == (version ? CLKV_ERROR_UNSUPPORTED : CLKV_ERROR_CORRUPT),
		              "byte %zu: %s: %s", i, clkv_status_string(status), error.text);
		shop.file.bytes[i] = before;
		size_t n = shop.file.n;
		shop.file.n = i;
		ck_assert_int_eq(memory_refused(&shop.feed, &shop.file, &error), CLKV_ERROR_CORRUPT);
		shop.file.n = n;
	}
	shop_close(&shop);
}
END_TEST

START_TEST(test_damage_is_named)
{
	static struct shop shop;
	clkv_error error;
	shop_open(&shop, RECIPE);
	size_t ends[MAX_PARTS], n = list_ends(&shop.file, ends);
	shop.file.bytes[ends[0] - 1] ^= 1;
	memory_refused(&shop.feed, &shop.file, &error);
	ck_assert_ptr_nonnull(strstr(error.text, "header"));
	shop.file.bytes[ends[0] - 1] ^= 1;
	shop.file.bytes[ends[2] - 1] ^= 1;
	memory_refused(&shop.feed, &shop.file, &error);
	ck_assert_msg(strstr(error.text, "page of layer 0, head 0, token 34") != NULL, "%s",
	              error.text);
	shop.file.bytes[ends[2] - 1] ^= 1;
	shop.file.n = ends[n - 1];
	memory_refused(&shop.feed, &shop.file, &error);
	ck_assert_msg(strstr(error.text, "end mark") && strstr(error.text, "ends here"), "%s",
	              error.text);
	shop.file.n += SUM_BYTES;
	shop_close(&shop);
}
END_TEST

/* Records of another snapshot, whole and with right checksums of their own. */
START_TEST(test_snapshots_cannot_be_mixed)
{
	static struct shop a, b;
	shop_open(&a, "f16 ; block=32");
	shop_open(&b, "f16 ; block=32");
	stream_close(&b.stream);
	stream_open(&b.feed, &b.stream);
	feed_one(&b.feed, &b.stream, 55, CLKV_PROMPT_END, 2, NULL);
	memory_save(&b.feed, &b.stream, NULL, &b.file);
	size_t ends[MAX_PARTS], n = list_ends(&a.file, ends);
	for (size_t i = 1; i + 1 < n; i++) {
		size_t from = ends[i - 1] + SUM_BYTES, size = ends[i] + SUM_BYTES - from;
		unsigned char *kept = malloc(size);
		memcpy(kept, a.file.bytes + from, size);
		memcpy(a.file.bytes + from, b.file.bytes + from, size);
		ck_assert_int_eq(memory_refused(&a.feed, &a.file, NULL), CLKV_ERROR_CORRUPT);
		memcpy(a.file.bytes + from, kept, size);
		free(kept);
	}
	shop_close(&a);
	shop_close(&b);
}
END_TEST

/* ---------------------------------------------------------------- lies ---- */

/* Loads what may be right or not. If it is taken, all of it can be read, and steps go on from there. */
static bool is_taken(struct shop *shop, clkv_error *error)
{
	static struct stream loaded;
	loaded = shop->stream;
	loaded.seq = NULL;
	shop->file.at = 0;
	clkv_status status =
		clkv_load(shop->feed.cache, shop->feed.queue, memory_read, &shop->file, &loaded.seq, error);
	ck_assert((status == CLKV_OK) == (loaded.seq != NULL));
	if (status != CLKV_OK)
		return false;
	double values[FEED_TOKENS * 32];
	for (int layer = 0; layer < 2; layer++)
		feed_read(&shop->feed, &loaded, layer, 0, loaded.n, values, values + FEED_TOKENS * 16);
	feed_one(&shop->feed, &loaded, 1, CLKV_DECODE, 9, NULL);
	feed_one(&shop->feed, &loaded, 64, CLKV_PROMPT, 9, NULL);
	stream_close(&loaded);
	return true;
}

/* A word of the header or a record is another one, and all checksums are right. Flags may say that one
 * table is another that is there. */
static void lie(struct shop *shop, size_t at, uint32_t value, bool are_flags)
{
	clkv_error error;
	size_t ends[MAX_PARTS], n = list_ends(&shop->file, ends);
	uint32_t before = word(shop->file.bytes + at);
	if (value == before)
		return;
	set_word(shop->file.bytes + at, value);
	seal(&shop->file, ends, n);
	if (!are_flags || !is_taken(shop, &error)) {
		clkv_status status = memory_refused(&shop->feed, &shop->file, &error);
		ck_assert_msg(status == CLKV_ERROR_CORRUPT || status == CLKV_ERROR_UNSUPPORTED ||
		                  status == CLKV_ERROR_POOL_FULL,
		              "byte %zu is %u instead of %u: %s: %s", at, value, before,
		              clkv_status_string(status), error.text);
	}
	set_word(shop->file.bytes + at, before);
	seal(&shop->file, ends, n);
}

/* Contents that nobody wrote, with right checksums: refused, or numbers like others. */
START_TEST(test_contents_may_say_anything)
{
	static struct shop shop;
	clkv_error error;
	uint64_t random = 7;
	size_t taken = 0, tries = 0;
	shop_open(&shop, damaged[_i]);
	size_t ends[MAX_PARTS], n = list_ends(&shop.file, ends);
	for (size_t part = 1; part + 1 < n; part++) {
		size_t from = ends[part - 1] + SUM_BYTES + RECORD_BYTES, size = ends[part] - from;
		unsigned char *kept = malloc(size + 1);
		memcpy(kept, shop.file.bytes + from, size);
		for (size_t i = 0; i < 24 && size > 0; i++, tries++) {
			/* the first bytes, where sizes stand, more often than others */
			size_t most = i % 3 == 0 ? 16 : i % 3 == 1 ? 400 : size, changes = 1 + i % 4;
			for (size_t j = 0; j < changes; j++)
				shop.file
					.bytes[from + random_below(random_next(&random), most < size ? most : size)] =
					(unsigned char)random_next(&random);
			seal(&shop.file, ends, n);
			taken += is_taken(&shop, &error);
			memcpy(shop.file.bytes + from, kept, size);
		}
		free(kept);
	}
	ck_assert_uint_gt(taken, 0);
	seal(&shop.file, ends, n);
	shop_close(&shop);
}
END_TEST

/* The file's pages pass through a cache of the file's recipe, whose size follows from its header. */
START_TEST(test_lies_to_another_recipe)
{
	static struct shop shop;
	struct feed half = {.geometry = tiny()};
	shop_open(&shop, RECIPE);
	feed_open(&half, fixture.context, fixture.queue, "f16", NULL);
	clkv_cache *cache = shop.feed.cache;
	shop.feed.cache = half.cache;
	for (size_t w = 0; w < HEAD_WORDS; w++) {
		uint32_t is = word(shop.file.bytes + 8 + 4 * w);
		const uint32_t values[] = {0, 1, is + 1, is - 1, is + 32, 0xffffffff};
		for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
			lie(&shop, 8 + 4 * w, values[i], w == FLAGS);
	}
	shop.feed.cache = cache;
	feed_close(&half);
	shop_close(&shop);
}
END_TEST

START_TEST(test_lies_are_found)
{
	static struct shop shop;
	shop_open(&shop, damaged[_i]);
	size_t ends[MAX_PARTS], n = list_ends(&shop.file, ends);
	for (size_t part = 0; part < n; part++) {
		size_t at = part ? ends[part - 1] + SUM_BYTES : 8, words = part ? 8 : HEAD_WORDS;
		for (size_t w = 0; w < words; w++) {
			uint32_t is = word(shop.file.bytes + at + 4 * w);
			const uint32_t values[] = {0,        1,        2,          is + 1,
			                           is - 1,   is + 32,  0x7fffffff, 0x80000000,
			                           1u << 28, 1u << 16, 0xffffffff, is * 2};
			for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
				lie(&shop, at + 4 * w, values[i], w == (part ? ENTRY_FLAGS : FLAGS));
		}
	}
	shop_close(&shop);
}
END_TEST

/* Infinities and NaNs in open tokens, scales and minimums. */
START_TEST(test_numbers_that_are_none_are_found)
{
	static const uint32_t bad[] = {0x7c00, 0xfc00, 0x7e00, 0xfc01};
	static struct shop shop;
	clkv_error error;
	shop_open(&shop, damaged[_i]);
	size_t ends[MAX_PARTS], n = list_ends(&shop.file, ends);
	for (size_t part = 1; part + 1 < n; part++) {
		size_t at = ends[part - 1] + SUM_BYTES + RECORD_BYTES;
		for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
			uint32_t before = word(shop.file.bytes + at);
			set_word(shop.file.bytes + at, (before & 0xffff0000) | bad[i]);
			seal(&shop.file, ends, n);
			ck_assert_int_eq(memory_refused(&shop.feed, &shop.file, &error), CLKV_ERROR_CORRUPT);
			ck_assert_ptr_nonnull(strstr(error.text, "finite"));
			set_word(shop.file.bytes + at, before);
			seal(&shop.file, ends, n);
		}
	}
	shop_close(&shop);
}
END_TEST

/* Error-bounded pages: scales in bfloat16, minimums, lengths of lanes, and the tables they need. */
START_TEST(test_bad_pages_of_streams)
{
	static const struct {
		size_t part, at; /* record; byte of its contents */
		uint32_t value;  /* of the two bytes there */
		const char *text;
	} bad[] = {
		{2, 0, 0x7f80, "finite"},      {2, 2, 0x7fc0, "finite"},      {2, 4, 0xff80, "finite"},
		{2, 4, 0x8001, "finite"},      {2, 32, 0x7c00, "finite"},     {2, 62, 0x7e00, "finite"},
		{2, 64, 0x7f80, "finite"},     {2, 128, 0x7c00, "finite"},    {2, 192, 0xffff, "don't fit"},
		{1, 0, 16, "too many tables"}, {1, 0, 0, "another number"},   {1, 4, 2, "another number"},
		{1, 8, 12, "symbols"},         {1, 12, 0x0101, "is no code"}, {1, 12, 0xff07, "is no code"},
		{1, 12, 0, "is no code"},
	};
	static struct shop shop;
	clkv_error error;
	shop_open(&shop, STREAMS);
	size_t ends[MAX_PARTS], n = list_ends(&shop.file, ends);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		unsigned char *at = shop.file.bytes + ends[bad[i].part - 1] + SUM_BYTES + RECORD_BYTES;
		uint32_t before = word(at + bad[i].at);
		set_word(at + bad[i].at, (before & 0xffff0000) | bad[i].value);
		seal(&shop.file, ends, n);
		ck_assert_int_eq(memory_refused(&shop.feed, &shop.file, &error), CLKV_ERROR_CORRUPT);
		ck_assert_msg(strstr(error.text, bad[i].text) != NULL, "%zu: %s", i, error.text);
		set_word(at + bad[i].at, before);
		seal(&shop.file, ends, n);
	}
	shop_close(&shop);
}
END_TEST

/* ---------------------------------------------------------------- what doesn't fit ---- */

START_TEST(test_other_geometries_are_refused)
{
	static struct shop shop;
	struct feed other = {.geometry = feed_geometry(3, 1, 1, 16, 32)};
	clkv_error error;
	shop_open(&shop, RECIPE);
	feed_open(&other, fixture.context, fixture.queue, RECIPE, NULL);
	ck_assert_int_eq(memory_refused(&other, &shop.file, &error), CLKV_ERROR_UNSUPPORTED);
	ck_assert_msg(strstr(error.text, "2 layers") && strstr(error.text, "has 3, 1, 16 and 32"), "%s",
	              error.text);
	feed_close(&other);
	shop_close(&shop);
}
END_TEST

/* Query heads, scale and windows aren't part of what is stored. */
START_TEST(test_other_queries_are_welcome)
{
	static struct shop shop;
	static struct stream loaded;
	struct feed other = {.geometry = tiny(), .window = {7, 0}};
	shop_open(&shop, RECIPE);
	other.geometry.q_heads = 2;
	other.geometry.scale = 0.5f;
	other.geometry.window = other.window;
	feed_open(&other, fixture.context, fixture.queue, RECIPE, NULL);
	memory_load(&other, &shop.file, &shop.stream, &loaded);
	expect_same_cache(&other, &shop.stream, &loaded);
	feed_close(&other);
	shop_close(&shop);
}
END_TEST

/* No room: for the sequence, its length, its blocks; in the file's recipe and in another. */
START_TEST(test_no_room)
{
	static const char *const into[] = {RECIPE, "f16 ; block=32"};
	static struct shop shop;
	static struct stream a, b;
	clkv_cache_options room = CLKV_INIT(clkv_cache_options);
	struct feed small = {.geometry = tiny()};
	shop_open(&shop, RECIPE);
	room.max_tokens = 54;
	feed_open(&small, fixture.context, fixture.queue, into[_i], &room);
	ck_assert_int_eq(memory_refused(&small, &shop.file, NULL), CLKV_ERROR_POOL_FULL);
	feed_close(&small);
	room.max_tokens = 96;
	room.max_sequences = 2;
	feed_open(&small, fixture.context, fixture.queue, into[_i], &room);
	stream_open(&small, &a);
	feed_one(&small, &a, 70, CLKV_PROMPT_END, 3, NULL);
	feed_one(&small, &a, 26, CLKV_DECODE, 3, NULL);
	stream_open(&small, &b);
	ck_assert_int_eq(memory_refused(&small, &shop.file, NULL), CLKV_ERROR_POOL_FULL);
	feed_one(&small, &b, 17, CLKV_PROMPT_END, 4, NULL);
	stream_close(&b);
	stream_close(&a);
	memory_load(&small, &shop.file, &shop.stream, &a);
	feed_one(&small, &a, 5, CLKV_DECODE, 3, NULL);
	feed_close(&small);
	shop_close(&shop);
}
END_TEST

/* Blocks run out while pages come in: a fork-heavy cache that is nearly full. */
START_TEST(test_the_pool_runs_out_underway)
{
	static const char *const into[] = {RECIPE, "f16 ; block=32"};
	static struct shop shop;
	static struct stream s[4];
	clkv_cache_options room = CLKV_INIT(clkv_cache_options);
	struct feed small = {.geometry = tiny()};
	size_t n = 0;
	bool full = false;
	shop_open(&shop, RECIPE);
	room.max_tokens = 64;
	room.max_sequences = 4;
	feed_open(&small, fixture.context, fixture.queue, into[_i], &room);
	for (; n < 4 && !full; n += !full) {
		clkv_error error;
		clkv_stats before = feed_stats(&small), after;
		shop.file.at = 0;
		s[n] = shop.stream;
		clkv_status status =
			clkv_load(small.cache, small.queue, memory_read, &shop.file, &s[n].seq, &error);
		full = status == CLKV_ERROR_POOL_FULL;
		ck_assert_msg(status == CLKV_OK || full, "%s", error.text);
		after = feed_stats(&small);
		if (full)
			ck_assert_uint_eq(after.used_open + after.used_sealed + after.sequences,
			                  before.used_open + before.used_sealed + before.sequences);
	}
	ck_assert_uint_gt(n, 0);
	ck_assert(full);
	for (size_t i = 1; i < n; i++)
		expect_same_cache(&small, &s[0], &s[i]);
	feed_close(&small);
	shop_close(&shop);
}
END_TEST

/* Each file brings tables of its own, until all numbers are taken; they come back with the sequences. */
START_TEST(test_code_tables_run_out)
{
	static struct shop shop;
	static struct stream loaded;
	struct feed many = {.geometry = tiny()};
	clkv_cache_options room = CLKV_INIT(clkv_cache_options);
	clkv_error error;
	clkv_seq *seqs[20] = {NULL};
	uint64_t tables = 0;
	shop_open(&shop, STREAMS);
	room.max_tokens = 4096;
	room.max_sequences = 21;
	feed_open(&many, fixture.context, fixture.queue, STREAMS, &room);
	size_t ends[MAX_PARTS], n = list_ends(&shop.file, ends), i = 0;
	unsigned char *lengths = shop.file.bytes + ends[0] + SUM_BYTES + RECORD_BYTES + 12, first;
	for (clkv_status status = CLKV_OK; status == CLKV_OK && i < 20; i++) {
		ck_assert_uint_ge(feed_stats(&many).used_code_tables, tables);
		tables = feed_stats(&many).used_code_tables;
		size_t from = i % 5, last = word(lengths - 4) - 1;
		first = lengths[from]; /* another order of the same lengths is a code too */
		memmove(lengths + from, lengths + from + 1, last - from);
		lengths[last] = first;
		seal(&shop.file, ends, n);
		shop.file.at = 0;
		status = clkv_load(many.cache, many.queue, memory_read, &shop.file, &seqs[i], &error);
		if (status == CLKV_OK)
			continue;
		ck_assert_msg(status == CLKV_ERROR_POOL_FULL && strstr(error.text, "code tables"), "%s",
		              error.text);
		ck_assert_int_eq(memory_refused(&many, &shop.file, NULL), CLKV_ERROR_POOL_FULL);
	}
	ck_assert_uint_gt(i, 5);
	ck_assert_uint_lt(i, 20);
	for (i = 0; i < 20; i++)
		ck_assert_int_eq(clkv_seq_destroy(seqs[i]), CLKV_OK);
	memory_save(&shop.feed, &shop.stream, NULL, &shop.file);
	memory_load(&many, &shop.file, &shop.stream, &loaded);
	expect_same_cache(&many, &shop.stream, &loaded);
	feed_close(&many);
	shop_close(&shop);
}
END_TEST

START_TEST(test_arguments_and_open_steps)
{
	static struct shop shop;
	clkv_error error;
	clkv_seq *seq = NULL;
	shop_open(&shop, RECIPE);
	struct feed *f = &shop.feed;
	clkv_context *context = fixture_open();
	cl_command_queue queue = fixture_queue_of(context);
	clkv_step_item item = {shop.stream.seq, 1, CLKV_DECODE};
	clkv_step *step = NULL;
#define SAVE(...) clkv_save(__VA_ARGS__, &error)
#define LOAD(...) (shop.file.at = 0, clkv_load(__VA_ARGS__, &error))
	ck_assert_int_eq(SAVE(NULL, NULL, f->queue, memory_write, NULL), CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_int_eq(SAVE(shop.stream.seq, NULL, f->queue, NULL, NULL),
	                 CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_int_eq(SAVE(shop.stream.seq, NULL, NULL, memory_write, NULL),
	                 CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_int_eq(SAVE(shop.stream.seq, NULL, queue, memory_write, NULL),
	                 CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_int_eq(SAVE(shop.stream.seq, "f16:", queue, memory_write, NULL),
	                 CLKV_ERROR_INVALID_RECIPE);
	ck_assert_int_eq(error.position, 4);
	ck_assert_int_eq(SAVE(shop.stream.seq, "f16", NULL, memory_write, NULL),
	                 CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_int_eq(LOAD(NULL, f->queue, memory_read, &shop.file, &seq),
	                 CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_int_eq(LOAD(f->cache, f->queue, NULL, &shop.file, &seq), CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_int_eq(LOAD(f->cache, f->queue, memory_read, &shop.file, NULL),
	                 CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_int_eq(LOAD(f->cache, NULL, memory_read, &shop.file, &seq),
	                 CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_int_eq(LOAD(f->cache, queue, memory_read, &shop.file, &seq),
	                 CLKV_ERROR_INVALID_ARGUMENT);
	feed_ok(clkv_step_begin(f->cache, &item, 1, f->queue, &step, &error), &error, "begin");
	ck_assert_int_eq(SAVE(shop.stream.seq, NULL, f->queue, memory_write, NULL), CLKV_ERROR_BUSY);
	ck_assert_int_eq(SAVE(shop.stream.seq, "f16", f->queue, memory_write, NULL), CLKV_ERROR_BUSY);
	ck_assert_int_eq(LOAD(f->cache, f->queue, memory_read, &shop.file, &seq), CLKV_ERROR_BUSY);
	clkv_step_abort(step);
	ck_assert_ptr_null(seq);
	ck_assert_uint_eq(feed_stats(f).sequences, 1);
	clReleaseCommandQueue(queue);
	clkv_context_destroy(context);
	shop_close(&shop);
}
END_TEST

/* ---------------------------------------------------------------- failures ---- */

static const char *const forms[] = {NULL, "f16 ; block=32"};

START_TEST(test_every_write_may_fail)
{
	static struct shop shop;
	clkv_error error;
	clkv_status status = CLKV_ERROR_IO;
	shop_open(&shop, RECIPE);
	size_t n = 1;
	for (; status != CLKV_OK; n++) {
		struct memory_file file = {.fails = n};
		status =
			clkv_save(shop.stream.seq, forms[_i], shop.feed.queue, memory_write, &file, &error);
		if (status != CLKV_OK)
			ck_assert_int_eq(status, CLKV_ERROR_IO);
		memory_close(&file);
	}
	ck_assert_uint_gt(n, 10);
	shop_close(&shop);
}
END_TEST

static size_t greedy_read(void *opaque, void *data, size_t size)
{
	(void)opaque;
	memset(data, 0, size);
	return size + 1;
}

START_TEST(test_every_read_may_fail)
{
	static struct shop shop;
	clkv_error error;
	clkv_seq *seq = NULL;
	shop_open(&shop, RECIPE);
	shop.file.calls = 0;
	struct stream again = shop.stream;
	memory_load(&shop.feed, &shop.file, &shop.stream, &again);
	stream_close(&again);
	size_t calls = shop.file.calls;
	for (shop.file.fails = 1; shop.file.fails <= calls; shop.file.fails++)
		ck_assert_int_eq(memory_refused(&shop.feed, &shop.file, NULL), CLKV_ERROR_CORRUPT);
	shop.file.fails = 0;
	ck_assert_int_eq(clkv_load(shop.feed.cache, shop.feed.queue, greedy_read, NULL, &seq, &error),
	                 CLKV_ERROR_IO);
	shop.file.chunk = 1;
	shop_close(&shop);
}
END_TEST

static void arm(bool alloc, int n)
{
	if (alloc)
		inject_alloc_arm(n);
	else
		inject_cl_arm(n);
}

static bool disarm(bool alloc)
{
	return alloc ? inject_alloc_disarm() : inject_cl_disarm();
}

static void check_status(clkv_status status, const clkv_error *error, bool alloc)
{
	ck_assert_int_eq(error->status, status);
	if (alloc)
		ck_assert_int_eq(status, CLKV_ERROR_NO_HOST_MEMORY);
	else
		ck_assert_msg(status == CLKV_ERROR_OPENCL || status == CLKV_ERROR_NO_DEVICE_MEMORY ||
		                  status == CLKV_ERROR_BUILD,
		              "%s: %s", clkv_status_string(status), error->text);
}

/* Every allocation and every OpenCL call of a save and of a load fails in turn, in the cache's recipe and
 * through another one. */
START_TEST(test_every_call_may_fail)
{
	static struct shop shop;
	static struct stream loaded;
	static const struct {
		const char *recipe, *form;
	} pairs[] = {{RECIPE, NULL}, {RECIPE, "f16 ; block=32"}, {STREAMS, NULL}, {RECIPE, STREAMS}};
	bool alloc = _i % 2, happened = true;
	const char *form = pairs[_i / 2].form;
	struct memory_file file = {0};
	clkv_error error;
	int failed = 0;
	shop_open(&shop, pairs[_i / 2].recipe);
	memory_save(&shop.feed, &shop.stream, form, &file);
	for (int n = 0; happened && n < TRIES; n++) {
		struct memory_file again = {0};
		clkv_seq *seq = NULL;
		clkv_stats before = feed_stats(&shop.feed), after;
		uint64_t device = inject_device_bytes();
		arm(alloc, n);
		clkv_status saved =
			clkv_save(shop.stream.seq, form, shop.feed.queue, memory_write, &again, &error);
		happened = disarm(alloc);
		if (saved != CLKV_OK)
			check_status(saved, &error, alloc);
		file.at = 0;
		arm(alloc, n);
		clkv_status read =
			clkv_load(shop.feed.cache, shop.feed.queue, memory_read, &file, &seq, &error);
		happened = disarm(alloc) || happened;
		failed += read != CLKV_OK;
		if (read != CLKV_OK)
			check_status(read, &error, alloc);
		ck_assert((read == CLKV_OK) == (seq != NULL));
		ck_assert_int_eq(clkv_seq_destroy(seq), CLKV_OK);
		after = feed_stats(&shop.feed);
		ck_assert_uint_eq(after.used_open, before.used_open);
		ck_assert_uint_eq(after.used_sealed, before.used_sealed);
		ck_assert_uint_eq(after.sequences, before.sequences);
		ck_assert_uint_eq(inject_device_bytes(), device);
		memory_close(&again);
	}
	ck_assert_msg(!happened && failed > 2, "%d failures", failed);
	if (!form) {
		memory_load(&shop.feed, &file, &shop.stream, &loaded);
		expect_same_cache(&shop.feed, &shop.stream, &loaded);
	}
	memory_close(&file);
	shop_close(&shop);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("snapshot_file");
	TCase *format = fixture_case(suite, "format", 60), *damage = fixture_case(suite, "damage", 120);
	TCase *fit = fixture_case(suite, "fit", 60), *fail = fixture_case(suite, "fail", 120);
	tcase_add_test(format, test_the_format_is_as_described);
	tcase_add_test(format, test_defaults_are_written_out);
	tcase_add_loop_test(damage, test_every_damaged_byte_is_found, 0, 4 * DAMAGED);
	tcase_add_test(damage, test_damage_is_named);
	tcase_add_test(damage, test_snapshots_cannot_be_mixed);
	tcase_add_loop_test(damage, test_lies_are_found, 0, DAMAGED);
	tcase_add_test(damage, test_lies_to_another_recipe);
	tcase_add_loop_test(damage, test_contents_may_say_anything, 0, DAMAGED);
	tcase_add_loop_test(damage, test_numbers_that_are_none_are_found, 0, FIXED);
	tcase_add_test(damage, test_bad_pages_of_streams);
	tcase_add_test(fit, test_other_geometries_are_refused);
	tcase_add_test(fit, test_other_queries_are_welcome);
	tcase_add_loop_test(fit, test_no_room, 0, 2);
	tcase_add_loop_test(fit, test_the_pool_runs_out_underway, 0, 2);
	tcase_add_test(fit, test_code_tables_run_out);
	tcase_add_test(fit, test_arguments_and_open_steps);
	tcase_add_loop_test(fail, test_every_write_may_fail, 0, 2);
	tcase_add_test(fail, test_every_read_may_fail);
	tcase_add_loop_test(fail, test_every_call_may_fail, 0, 8);
	return fixture_run(suite);
}
