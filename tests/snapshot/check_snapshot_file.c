/* SPDX-License-Identifier: MIT */
/** \file check_snapshot_file.c \brief The format of snapshots, and files that are damaged or lie. */
#include "ref/ref_half.h"
#include "support/fixture.h"
#include "support/random.h"
#include "support/snap.h"

#include <stdlib.h>
#include <string.h>

/* Columns of K, each of n tokens, then rows of V. */
static void expect_halves(const struct snap *snap, const unsigned char *x, int layer, size_t pos,
                          size_t n)
{
	double k[16], v[32];
	for (size_t t = 0; t < n; t++) {
		feed_rows(&snap->feed, layer, FEED_K, &snap->stream.row[pos + t], 1, k);
		feed_rows(&snap->feed, layer, FEED_V, &snap->stream.row[pos + t], 1, v);
		for (size_t c = 0; c < 16; c++)
			ck_assert_uint_eq(snap_word(x + 2 * (c * n + t)) & 0xffff, ref_to_half(k[c]));
		for (size_t d = 0; d < 32; d++)
			ck_assert_uint_eq(snap_word(x + 2 * (16 * n + t * 32 + d)) & 0xffff, ref_to_half(v[d]));
	}
}

/* Written from doc/file-format.md, not from the library: a file of f16 holds the rows as they came. */
START_TEST(test_the_format_is_as_described)
{
	static struct snap snap;
	snap_open(&snap, SNAP_HALVES);
	const unsigned char *b = snap.file.bytes;
	const char *recipe = "f16 ; window=0,sinks=0,block=32,skip=0,seal=chunk";
	const uint32_t head[SNAP_WORDS] = {1, (uint32_t)strlen(recipe), 2, 1, 16, 32, 55, 0, 0, 0};
	ck_assert_int_eq(memcmp(b,
	                        "\x89"
	                        "CLKV\r\n\x1a",
	                        8),
	                 0);
	for (size_t i = 0; i < SNAP_WORDS; i++)
		ck_assert_uint_eq(snap_word(b + 8 + 4 * i), head[i]);
	ck_assert_int_eq(memcmp(b + SNAP_HEAD, recipe, strlen(recipe)), 0);
	size_t part = 1;
	for (uint32_t layer = 0; layer < 2; layer++)
		for (uint32_t pos = 0; pos < 55; pos += 32) {
			uint32_t n = pos + 32 < 55 ? 32 : 55 - pos;
			const uint32_t words[8] = {SNAP_HALF, layer, 0, pos, n, 0, n * 48 * 2, 0};
			for (size_t i = 0; i < 8; i++)
				ck_assert_uint_eq(snap_word(b + snap_record(&snap, part) + 4 * i), words[i]);
			expect_halves(&snap, b + snap_contents(&snap, part++), (int)layer, pos, n);
		}
	ck_assert_uint_eq(part + 1, snap.parts);
	ck_assert_uint_eq(snap_word(b + snap_record(&snap, part)), SNAP_END);
	ck_assert_uint_eq(snap.ends[part], snap_contents(&snap, part));
	unsigned char *copy = malloc(snap.file.n);
	memcpy(copy, b, snap.file.n);
	snap_seal(&snap);
	ck_assert_int_eq(memcmp(copy, snap.file.bytes, snap.file.n), 0);
	free(copy);
	snap_close(&snap);
}
END_TEST

/* What a stage chooses by itself stands in the file: another version may choose otherwise. An empty sequence has it too. */
START_TEST(test_defaults_are_written_out)
{
	static struct stream stream;
	struct feed feed = {.geometry = feed_usual(2)};
	struct memory_file file = {0};
	char recipe[1024];
	feed_open(&feed, fixture.context, fixture.queue, "kvcomp", NULL);
	stream_open(&feed, &stream);
	memory_save(&feed, &stream, NULL, &file);
	size_t n = snap_word(file.bytes + 8 + 4 * SNAP_RECIPE_BYTES);
	ck_assert_uint_lt(n, sizeof recipe);
	memcpy(recipe, file.bytes + SNAP_HEAD, n);
	recipe[n] = '\0';
	ck_assert_msg(strstr(recipe, "rel_k=") && strstr(recipe, "rel_v=") &&
	                  strstr(recipe, "entropy=") && strstr(recipe, "window="),
	              "%s", recipe);
	memory_close(&file);
	feed_close(&feed);
}
END_TEST

/* ---------------------------------------------------------------- damage ---- */

static const char *const damaged[] = {SNAP_KIVI,
                                      SNAP_HALVES,
                                      "q:k=16,v=8,group=16 ; window=1",
                                      SNAP_KITTY,
                                      SNAP_KVQUANT,
                                      SNAP_KVCOMP,
                                      "kvcomp:entropy=pack,abs_k=0.001 ; window=3,block=32",
                                      "qtc ; window=3,sinks=2,block=32",
                                      "qaq:n=2 ; window=3,block=32",
                                      SNAP_PACK};
#define DAMAGED 10
#define FIXED 5 /* of pages that begin with halves */

/* Whether a file is of a version that the library knows. */
static bool is_known(const struct snap *snap)
{
	uint32_t version = snap_word(snap->file.bytes + 8);
	return version >= 1 && version <= 6;
}

/* Each fourth byte changed, and the file ended before each of them, into a cache of the same recipe; four rows of a recipe
 * are all bytes. */
START_TEST(test_every_damaged_byte_is_found)
{
	static struct snap snap;
	size_t first = (size_t)_i % 4;
	snap_open(&snap, damaged[_i / 4]);
	for (size_t i = first; i < snap.file.n; i += 4) {
		clkv_error error;
		unsigned char before = snap.file.bytes[i];
		snap.file.bytes[i] = (unsigned char)(before ^ 1u << i / 4 % 8);
		clkv_status status = memory_refused(&snap.feed, &snap.file, &error);
		ck_assert_msg(status == (is_known(&snap) ? CLKV_ERROR_CORRUPT : CLKV_ERROR_UNSUPPORTED),
		              "byte %zu: %s: %s", i, clkv_status_string(status), error.text);
		snap.file.bytes[i] = before;
		size_t n = snap.file.n;
		snap.file.n = i;
		ck_assert_int_eq(memory_refused(&snap.feed, &snap.file, &error), CLKV_ERROR_CORRUPT);
		snap.file.n = n;
	}
	snap_close(&snap);
}
END_TEST

/* The last byte of a part is another one, or the file ends behind it. */
START_TEST(test_damage_is_named)
{
	enum { LAST = -1 };
	static const struct {
		int part;
		bool ends;
		const char *words[2];
	} rows[] = {
		{0, false, {"header", ""}},
		{2, false, {"page of layer 0, head 0, token 34", ""}},
		{LAST, true, {"end mark", "ends here"}},
	};
	static struct snap snap;
	clkv_error error;
	snap_open(&snap, SNAP_KIVI);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		size_t end = snap.ends[rows[i].part == LAST ? snap.parts - 1 : (size_t)rows[i].part];
		size_t n = snap.file.n;
		if (rows[i].ends)
			snap.file.n = end;
		else
			snap.file.bytes[end - 1] ^= 1;
		memory_refused(&snap.feed, &snap.file, &error);
		for (size_t j = 0; j < 2; j++)
			ck_assert_msg(strstr(error.text, rows[i].words[j]) != NULL, "'%s' isn't in: %s",
			              rows[i].words[j], error.text);
		if (!rows[i].ends)
			snap.file.bytes[end - 1] ^= 1;
		snap.file.n = n;
	}
	snap_close(&snap);
}
END_TEST

/* Records of another snapshot, whole and with right checksums of their own. */
START_TEST(test_snapshots_cannot_be_mixed)
{
	static struct snap a, b;
	snap_open(&a, SNAP_HALVES);
	snap_open(&b, SNAP_HALVES);
	stream_close(&b.stream);
	stream_open(&b.feed, &b.stream);
	feed_one(&b.feed, &b.stream, 55, CLKV_PROMPT_END, 2, NULL);
	memory_save(&b.feed, &b.stream, NULL, &b.file);
	for (size_t i = 1; i + 1 < a.parts; i++) {
		size_t from = snap_record(&a, i), size = a.ends[i] + SNAP_SUM - from;
		unsigned char *kept = malloc(size);
		memcpy(kept, a.file.bytes + from, size);
		memcpy(a.file.bytes + from, b.file.bytes + from, size);
		ck_assert_int_eq(memory_refused(&a.feed, &a.file, NULL), CLKV_ERROR_CORRUPT);
		memcpy(a.file.bytes + from, kept, size);
		free(kept);
	}
	snap_close(&a);
	snap_close(&b);
}
END_TEST

/* ---------------------------------------------------------------- lies ---- */

/* Loads what may be right or not. If it is taken, all of it can be read, and steps go on from there. */
static bool is_taken(struct snap *snap, clkv_error *error)
{
	static struct stream loaded;
	loaded = snap->stream;
	loaded.seq = NULL;
	snap->file.at = 0;
	clkv_status status = clkv_seq_load(snap->feed.cache, snap->feed.queue, memory_read, &snap->file,
	                                   &loaded.seq, error);
	ck_assert((status == CLKV_OK) == (loaded.seq != NULL));
	if (status != CLKV_OK)
		return false;
	double values[FEED_TOKENS * 32];
	for (int layer = 0; layer < 2; layer++)
		feed_read(&snap->feed, &loaded, layer, 0, loaded.n, values, values + FEED_TOKENS * 16);
	feed_one(&snap->feed, &loaded, 1, CLKV_DECODE, 9, NULL);
	feed_one(&snap->feed, &loaded, 64, CLKV_PROMPT, 9, NULL);
	stream_close(&loaded);
	return true;
}

/* A word of the header or a record is another one, and all checksums are right. Flags may say that one
 * table is another that is there. */
static void lie(struct snap *snap, size_t at, uint32_t value, bool are_flags)
{
	clkv_error error;
	uint32_t before = snap_word(snap->file.bytes + at);
	if (value == before)
		return;
	snap_set_word(snap->file.bytes + at, value);
	snap_seal(snap);
	if (!are_flags || !is_taken(snap, &error)) {
		clkv_status status = memory_refused(&snap->feed, &snap->file, &error);
		ck_assert_msg(status == CLKV_ERROR_CORRUPT || status == CLKV_ERROR_UNSUPPORTED ||
		                  status == CLKV_ERROR_POOL_FULL,
		              "byte %zu is %u instead of %u: %s: %s", at, value, before,
		              clkv_status_string(status), error.text);
	}
	snap_set_word(snap->file.bytes + at, before);
	snap_seal(snap);
}

/* Contents that nobody wrote, with right checksums: refused, or numbers like others. P4 of qtc: whatever its streams say, decoding them
 * ends within their blocks. */
START_TEST(test_contents_may_say_anything)
{
	static struct snap snap;
	clkv_error error;
	uint64_t random = 7;
	size_t taken = 0;
	snap_open(&snap, damaged[_i]);
	for (size_t part = 1; part + 1 < snap.parts; part++) {
		size_t from = snap_contents(&snap, part), size = snap.ends[part] - from;
		unsigned char *contents = snap.file.bytes + from, *kept = malloc(size + 1);
		memcpy(kept, contents, size);
		for (size_t i = 0; i < 24 && size > 0; i++) {
			/* the first bytes, where sizes stand, more often than others */
			size_t most = i % 3 == 0 ? 16 : i % 3 == 1 ? 400 : size, changes = 1 + i % 4;
			for (size_t j = 0; j < changes; j++)
				contents[random_below(random_next(&random), most < size ? most : size)] =
					(unsigned char)random_next(&random);
			snap_seal(&snap);
			taken += is_taken(&snap, &error);
			memcpy(contents, kept, size);
		}
		free(kept);
	}
	ck_assert_uint_gt(taken, 0);
	snap_seal(&snap);
	snap_close(&snap);
}
END_TEST

/* The file's pages pass through a cache of the file's recipe, whose size follows from its header. */
START_TEST(test_lies_to_another_recipe)
{
	static struct snap snap;
	struct feed half = {.geometry = snap_geometry()};
	snap_open(&snap, SNAP_KIVI);
	feed_open(&half, fixture.context, fixture.queue, "f16", NULL);
	clkv_cache *cache = snap.feed.cache;
	snap.feed.cache = half.cache;
	for (size_t w = 0; w < SNAP_WORDS; w++) {
		uint32_t is = snap_word(snap.file.bytes + 8 + 4 * w);
		const uint32_t values[] = {0, 1, is + 1, is - 1, is + 32, 0xffffffff};
		for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
			lie(&snap, 8 + 4 * w, values[i], w == SNAP_FLAGS);
	}
	snap.feed.cache = cache;
	feed_close(&half);
	snap_close(&snap);
}
END_TEST

START_TEST(test_lies_are_found)
{
	static struct snap snap;
	snap_open(&snap, damaged[_i]);
	for (size_t part = 0; part < snap.parts; part++) {
		size_t at = part ? snap_record(&snap, part) : 8, words = part ? 8 : SNAP_WORDS;
		for (size_t w = 0; w < words; w++) {
			uint32_t is = snap_word(snap.file.bytes + at + 4 * w);
			const uint32_t values[] = {0,        1,        2,          is + 1,
			                           is - 1,   is + 32,  0x7fffffff, 0x80000000,
			                           1u << 28, 1u << 16, 0xffffffff, is * 2};
			for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
				lie(&snap, at + 4 * w, values[i], w == (part ? SNAP_ENTRY_FLAGS : SNAP_FLAGS));
		}
	}
	snap_close(&snap);
}
END_TEST

/* Two bytes are others, and all checksums are right. */
static void refuse_half(struct snap *snap, size_t at, uint32_t value, const char *text)
{
	clkv_error error;
	uint32_t before = snap_word(snap->file.bytes + at);
	snap_set_word(snap->file.bytes + at, (before & 0xffff0000) | value);
	snap_seal(snap);
	ck_assert_int_eq(memory_refused(&snap->feed, &snap->file, &error), CLKV_ERROR_CORRUPT);
	ck_assert_msg(strstr(error.text, text) != NULL, "byte %zu is %x: %s", at, value, error.text);
	snap_set_word(snap->file.bytes + at, before);
	snap_seal(snap);
}

/* Infinities and NaNs in open tokens, scales and minimums. */
START_TEST(test_numbers_that_are_none_are_found)
{
	static const uint32_t bad[] = {0x7c00, 0xfc00, 0x7e00, 0xfc01};
	static struct snap snap;
	snap_open(&snap, damaged[_i]);
	for (size_t part = 1; part + 1 < snap.parts; part++)
		for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
			refuse_half(&snap, snap_contents(&snap, part), bad[i], "finite");
	snap_close(&snap);
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
	static struct snap snap;
	snap_open(&snap, SNAP_KVCOMP);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		refuse_half(&snap, snap_contents(&snap, bad[i].part) + bad[i].at, bad[i].value,
		            bad[i].text);
	snap_close(&snap);
}
END_TEST

/* Kernels read K's channels by the list of boosted ones: numbers of channels, each once, ascending. It lies behind scales,
 * minimums, codes and the plane of high bits, in a block of 16 channels and 32 tokens in groups of 16. */
START_TEST(test_bad_lists_of_channels)
{
	enum { BOOSTED = 8, LIST = 4 * 16 * 2 + 16 * 32 / 4 + BOOSTED * 32 / 4 };
	static struct snap snap;
	snap_open(&snap, SNAP_KITTY);
	for (size_t part = 1; part + 1 < snap.parts; part++) {
		if (snap_word(snap.file.bytes + snap_record(&snap, part)) == SNAP_HALF)
			continue;
		const unsigned char *list = snap.file.bytes + snap_contents(&snap, part) + LIST;
		for (size_t i = 1; i < BOOSTED; i++)
			ck_assert(list[i] > list[i - 1] && list[i] < 16);
		for (size_t i = 0; i + 1 < BOOSTED; i++) {
			size_t at = snap_contents(&snap, part) + LIST + i;
			uint32_t first = list[i], second = list[i + 1];
			refuse_half(&snap, at, first | 16 << 8, "boosted channels");
			refuse_half(&snap, at, first | 255 << 8, "boosted channels");
			refuse_half(&snap, at, first | first << 8, "boosted channels");
			refuse_half(&snap, at, second | first << 8, "boosted channels");
		}
	}
	snap_close(&snap);
}
END_TEST

/* Kernels look for outliers by halving their list, and write where it says. Lists lie behind scales, minimums and codes, 2 % of 32
 * tokens of 16 channels of K, and of 32 of V. None is missing, not even in a partial block, which has as many values. */
START_TEST(test_bad_lists_of_outliers)
{
	enum { K = 4 * 16 * 2 + 16 * 32 * 3 / 8, V = 4 * 32 * 2 + 32 * 32 * 2 / 8 };
	static const size_t n[2] = {10, 20}, at[2] = {K + V, K + V + 4 * 10};
	static const char wrong[] = "outliers' places";
	static struct snap snap;
	snap_open(&snap, SNAP_KVQUANT);
	for (size_t part = 1; part + 1 < snap.parts; part++) {
		if (snap_word(snap.file.bytes + snap_record(&snap, part)) == SNAP_HALF)
			continue;
		for (size_t side = 0; side < 2; side++) {
			size_t list = snap_contents(&snap, part) + at[side];
			const unsigned char *places = snap.file.bytes + list;
			uint32_t first = snap_word(places) & 0xffff, second = snap_word(places) >> 16;
			ck_assert_uint_lt(first, second);
			ck_assert_uint_lt(snap_word(places + 2 * n[side] - 4) >> 16, 512u << side);
			refuse_half(&snap, list, second, wrong);
			refuse_half(&snap, list + 2, first, wrong);
			refuse_half(&snap, list, 0xffff, wrong);
			refuse_half(&snap, list + 2 * n[side] - 2, 512u << side, wrong);
			refuse_half(&snap, list + 2 * n[side], 0x7c00, "outlier isn't finite");
		}
	}
	snap_close(&snap);
}
END_TEST

/* Kernels read planes by their lanes' bits, and write where escapes say. In a block of 32 tokens of 16 and 32 channels bits of
 * 4 lanes of K and 8 of V lie behind 8 bytes of classes, then two numbers of escapes, the last of which end K's and V's payload. */
START_TEST(test_bad_planes)
{
	enum { LANES = 8, K = 4, V = 8, COUNTS = LANES + K + V, PAYLOAD = 32 };
	static struct snap snap;
	size_t seen = 0;
	snap_open(&snap, SNAP_PACK);
	for (size_t part = 1; part + 1 < snap.parts; part++) {
		if (snap_word(snap.file.bytes + snap_record(&snap, part)) == SNAP_HALF)
			continue;
		size_t page = snap_contents(&snap, part);
		const unsigned char *bits = snap.file.bytes + page + LANES;
		size_t n = snap_word(snap.file.bytes + page + COUNTS) & 0xffff, end = page + PAYLOAD;
		for (size_t i = 0; i < K; i++)
			end += bits[i] * 16;
		/* their sum stays */
		refuse_half(&snap, page + LANES, 1 | (bits[0] + bits[1] - 1u) << 8, "bits");
		refuse_half(&snap, page + COUNTS, 0xffff, "don't fit");
		for (size_t i = 0; i < n; i++, seen++)
			refuse_half(&snap, end + 3 * i, 16 * 32, "escape");
	}
	ck_assert_uint_gt(seen, 0);
	snap_close(&snap);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("snapshot_file");
	TCase *format = fixture_case(suite, "format", 60), *damage = fixture_case(suite, "damage", 120);
	tcase_add_test(format, test_the_format_is_as_described);
	tcase_add_test(format, test_defaults_are_written_out);
	fixture_some(damage, test_every_damaged_byte_is_found, 4 * DAMAGED, 0, 5, 10, 15, 18, 23, 24,
	             29, 34, 39);
	tcase_add_test(damage, test_damage_is_named);
	tcase_add_test(damage, test_snapshots_cannot_be_mixed);
	fixture_some(damage, test_lies_are_found, DAMAGED, 0, 3, 4, 5, 6, 7, 8, 9);
	tcase_add_test(damage, test_lies_to_another_recipe);
	tcase_add_loop_test(damage, test_contents_may_say_anything, 0, DAMAGED);
	tcase_add_loop_test(damage, test_numbers_that_are_none_are_found, 0, FIXED);
	tcase_add_test(damage, test_bad_pages_of_streams);
	tcase_add_test(damage, test_bad_lists_of_channels);
	tcase_add_test(damage, test_bad_lists_of_outliers);
	tcase_add_test(damage, test_bad_planes);
	return fixture_run_shared(suite);
}
