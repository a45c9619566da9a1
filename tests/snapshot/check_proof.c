/* SPDX-License-Identifier: MIT */
/**
 * \file    check_proof.c
 * \brief   Files prove themselves before work is done for them: no program is made for a snapshot of another recipe that
 *          is damaged anywhere; and a write of code tables that failed is nobody's.
 */
#include "base/hash.h"
#include "snapshot/snapshot_format.h"
#include "store/cache.h"
#include "support/expect.h"
#include "support/fixture.h"
#include "support/inject.h"
#include "support/memory_file.h"

#include <stdlib.h>
#include <string.h>

#define THINK "think:keep=0.5/0.25/0.75/0.37 | q:k=5,v=3 ; window=8,block=32,seal=prompt,sinks=0"

/* No program can be made, so one that is tried shows as another status than the file's. */
static void forbid_programs(bool on)
{
	inject_refuse("clCreateProgramWithSource", 0, on ? 1 << 20 : 0, INJECT_CODE);
}

/* A header of 41 tokens of which 33 are sealed, with its checksum, and nothing behind it. */
static void put_header(struct memory_file *f, const char *recipe, size_t n)
{
	uint32_t words[CLKV__HEAD_WORDS] = {1, (uint32_t)n, 2, 2, 64, 64, 41, 33, 2, 0};
	unsigned char sum[CLKV__CHECKSUM_BYTES];
	memory_write(f, CLKV__SNAPSHOT_MAGIC, CLKV__MAGIC_BYTES);
	memory_write(f, words, sizeof words);
	memory_write(f, recipe, n);
	clkv__put_le(sum, clkv__hash(CLKV__HASH_START, f->bytes, f->n), sizeof sum);
	memory_write(f, sum, sizeof sum);
}

static void open_f16(struct feed *feed)
{
	clkv_cache_options o = CLKV_INIT(clkv_cache_options);
	*feed = (struct feed){.geometry = feed_usual(2), .append_only = true};
	o.max_tokens = 256;
	feed_open(feed, fixture.context, fixture.queue, "f16 ; block=32", &o);
}

static void expect_corrupt(const struct feed *feed, struct memory_file *f, const char *word)
{
	clkv_error error;
	forbid_programs(true);
	ck_assert_int_eq(memory_refused(feed, f, &error), CLKV_ERROR_CORRUPT);
	forbid_programs(false);
	ck_assert_msg(strstr(error.text, word) != NULL, "no '%s' in: %s", word, error.text);
}

START_TEST(test_a_header_alone_is_refused)
{
	char text[CLKV__RECIPE_TEXT];
	struct feed feed;
	struct memory_file f = {0};
	open_f16(&feed);
	ck_assert_int_eq(clkv_recipe_print(THINK, text, sizeof text, NULL), CLKV_OK);
	put_header(&f, text, strlen(text));
	expect_corrupt(&feed, &f, "it ends here");
	memory_close(&f);
	feed_close(&feed);
}
END_TEST

START_TEST(test_a_recipe_ends_where_it_ends)
{
	static const char recipe[] = "kivi ; block=32\0garbage";
	struct feed feed;
	struct memory_file f = {0};
	open_f16(&feed);
	put_header(&f, recipe, sizeof recipe - 1);
	expect_corrupt(&feed, &f, "zero byte");
	memory_close(&f);
	feed_close(&feed);
}
END_TEST

/* One bit in each part of a whole file: the last record counts as much as the first. */
START_TEST(test_damage_anywhere_is_found_before_a_program_is_made)
{
	static struct stream stream;
	struct feed feed, other = {.geometry = feed_usual(2), .append_only = true};
	struct memory_file f = {0};
	feed_open(&other, fixture.context, fixture.queue, "kivi:bits=4 ; window=8,block=32", NULL);
	stream_open(&other, &stream);
	feed_one(&other, &stream, 100, CLKV_PROMPT_END, 1, NULL);
	memory_save(&other, &stream, NULL, &f);
	feed_close(&other);
	open_f16(&feed);
	for (size_t at = f.n - 1; at > 100; at -= at > f.n / 9 ? f.n / 9 : at) {
		f.bytes[at] ^= 4;
		expect_corrupt(&feed, &f, "damaged");
		f.bytes[at] ^= 4;
	}
	for (size_t n = f.n, cut = 1; cut < n; cut = 3 * cut + 1) {
		f.n = n - cut;
		expect_corrupt(&feed, &f, "it ends here");
		f.n = n;
	}
	memory_close(&f);
	feed_close(&feed);
}
END_TEST

/* ---------------------------------------------------------------- code tables ---- */

static double narrow(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	double x = feed_normal(row, layer, side, head, d);
	return x * x * x; /* few codes are common */
}

/* Both sides want tables of what comes next. */
static void let_drift(struct feed *feed)
{
	for (int side = 0; side < 2; side++)
		feed->cache->code_tables.side[side].drifted = true;
}

/* Prompt and commit with the n-th write to the device refused; whether it was. */
static bool fail_write(struct feed *feed, int n)
{
	static struct stream stream;
	struct feed_item item = {&stream, 130, CLKV_PROMPT_END, 0, 3};
	clkv_error error;
	stream_open(feed, &stream);
	clkv_step *step = feed_begin(feed, &item, 1, NULL);
	inject_refuse("clEnqueueWriteBuffer", n, 1, INJECT_CODE);
	clkv_status status = clkv_step_commit(step, NULL, &error);
	inject_refuse("clEnqueueWriteBuffer", 0, 0, INJECT_CODE);
	if (status == CLKV_OK)
		feed_kept(&item, 1);
	else
		clkv_step_abort(step);
	stream_close(&stream);
	return status != CLKV_OK;
}

/* The file's tables were the live generation, which the next one writes over. Whichever write fails, the file
 * decodes to what it was made of. */
START_TEST(test_a_table_half_written_is_not_found_again)
{
	static struct stream first, loaded;
	struct feed feed = {.geometry = feed_usual(1), .append_only = true};
	struct memory_file f = {0};
	int n = 0;
	double k[130 * 128], v[130 * 128], again[130 * 128];
	feed_open(&feed, fixture.context, fixture.queue, "kvcomp:entropy=huffman ; window=0", NULL);
	for (bool failed = true; failed; n++) {
		ck_assert_int_lt(n, 200);
		feed.value = feed_normal;
		let_drift(&feed);
		stream_open(&feed, &first);
		feed_one(&feed, &first, 130, CLKV_PROMPT_END, 1, NULL);
		feed_read(&feed, &first, 0, 0, 130, k, v);
		memory_save(&feed, &first, NULL, &f);
		feed.value = narrow;
		let_drift(&feed);
		stream_close(&first);
		failed = fail_write(&feed, n);
		memory_load(&feed, &f, &first, &loaded);
		feed_read(&feed, &loaded, 0, 0, 130, again, NULL);
		ck_assert_msg(memcmp(k, again, sizeof k) == 0, "K differs after write %d failed", n);
		feed_read(&feed, &loaded, 0, 0, 130, NULL, again);
		ck_assert_msg(memcmp(v, again, sizeof v) == 0, "V differs after write %d failed", n);
		stream_close(&loaded);
	}
	ck_assert_int_gt(n, 4); /* two tables of each side, at least, had two writes each */
	memory_close(&f);
	feed_close(&feed);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("proof");
	TCase *snapshot = fixture_case(suite, "snapshot", 60),
		  *tables = fixture_case(suite, "tables", 60);
	tcase_add_test(snapshot, test_a_header_alone_is_refused);
	tcase_add_test(snapshot, test_a_recipe_ends_where_it_ends);
	tcase_add_test(snapshot, test_damage_anywhere_is_found_before_a_program_is_made);
	tcase_add_test(tables, test_a_table_half_written_is_not_found_again);
	return fixture_run(suite);
}
