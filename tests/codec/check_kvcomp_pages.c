/* SPDX-License-Identifier: MIT */
/**
 * \file    check_kvcomp_pages.c
 * \brief   kvcomp's memory (P7): pages as large as their codes, release, drifting data.
 */
#include "support/bounds.h"
#include "support/expect.h"
#include "support/fixture.h"
#include "support/given.h"
#include "support/inject.h"
#include "support/random.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A page of 64 tokens and 64 + 64 channels: 2 bytes of step and of minimum per unit (a channel of K, a
 * token of V), a byte per lane of 64 codes, 4 bits per code with 16 symbols; a multiple of 64. */
#define BLOCK 64
#define VALUES (2 * 64 * BLOCK)
#define UNIT_BYTES (4 * (64 + BLOCK))
#define LANE_BYTES (VALUES / 64)
#define FLAT_BYTES (UNIT_BYTES + LANE_BYTES + VALUES / 2)
#define STREAMS 2 /* KV heads of feed_usual */

static double all_equal(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	(void)row, (void)layer, (void)side, (void)head, (void)d;
	return -0.3125;
}

/* ---------------------------------------------------------------- P7: bytes ---- */

START_TEST(test_p7_the_estimate_is_the_allocation)
{
	/* what check_kvcomp has compiled, and one that differs from all of it */
	static const char *const recipes[] = {
		"kvcomp",
		"kvcomp:verify=1,exact=0,entropy=pack,unit_k=block,rel_k=0.05,abs_v=0.25 ; window=20",
		("kvcomp:rel_k=0.004,abs_v=1,lane_codes=256,entropy=huffman ; "
	     "window=33,sinks=5,skip=1,seal=prompt,block=128"),
		"kvcomp:entropy=none ; window=40,skip=1"};
	const char *recipe = recipes[_i];
	struct feed feed = {.geometry = feed_usual(2)};
	static struct stream stream;
	clkv_cache_options o = feed_room(1000, 3);
	clkv_bytes want = CLKV_INIT(clkv_bytes), got;
	clkv_error error;
	uint64_t before = inject_device_bytes();
	feed_ok(clkv_bytes_required(fixture.context, &feed.geometry, recipe, &o, &want, &error), &error,
	        recipe);
	ck_assert_uint_eq(want.device,
	                  want.sealed + want.open + want.tables + want.scratch + want.code_tables);
	feed_open(&feed, fixture.context, fixture.queue, recipe, &o);
	ck_assert_uint_eq(inject_device_bytes() - before, want.device);
	got = feed_stats(&feed).allocated;
	ck_assert_int_eq(memcmp(&got, &want, sizeof got), 0);
	stream_open(&feed, &stream);
	feed.value = given_low; /* nothing is taken later, not for other tables either */
	feed_one(&feed, &stream, 200, CLKV_PROMPT_END, 1, NULL);
	feed.value = given_high;
	for (uint64_t i = 0; i < 4; i++)
		feed_one(&feed, &stream, 150, CLKV_DECODE, 2 + i, NULL);
	ck_assert_uint_eq(inject_device_bytes() - before, want.device);
	feed_close(&feed);
	ck_assert_uint_eq(inject_device_bytes(), before);
	o.max_bytes = (size_t)want.device - 1;
	ck_assert_int_eq(
		clkv_cache_create(fixture.context, &feed.geometry, recipe, &o, &feed.cache, &error),
		CLKV_ERROR_NO_DEVICE_MEMORY);
}
END_TEST

/* What a sequence holds beside its blocks: entries of tables, as many for any codec. */
static uint64_t table_share(const char *recipe, size_t n)
{
	struct feed feed = {.geometry = feed_usual(2), .append_only = true};
	static struct stream stream;
	feed_open(&feed, fixture.context, fixture.queue, recipe, NULL);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, n, CLKV_PROMPT_END, 1, NULL);
	clkv_stats stats = feed_stats(&feed);
	uint64_t bytes = stream_info(&stream).bytes;
	feed_close(&feed);
	ck_assert_uint_gt(bytes, stats.used_sealed + stats.used_open);
	return bytes - stats.used_sealed - stats.used_open;
}

START_TEST(test_p7_sequences_and_statistics_agree)
{
	static const char *const recipes[] = {"kvcomp:entropy=huffman ; window=20",
	                                      "kvcomp:entropy=pack ; window=20",
	                                      "kvcomp:entropy=none ; window=20"};
	struct feed feed = {.geometry = feed_usual(2), .append_only = true};
	static struct stream stream[3];
	static const size_t lengths[] = {300, 64, 451};
	static const feed_value values[] = {given_low, given_high, given_uniform};
	uint64_t bytes = 0, tables = 0;
	feed_open(&feed, fixture.context, fixture.queue, recipes[_i], NULL);
	for (size_t i = 0; i < 3; i++) {
		stream_open(&feed, &stream[i]);
		feed.value = values[i];
		feed_one(&feed, &stream[i], lengths[i], CLKV_PROMPT_END, i, NULL);
		bytes += stream_info(&stream[i]).bytes;
		tables += table_share("kivi ; window=20", lengths[i]);
		clkv_stats stats = feed_stats(&feed);
		ck_assert_uint_eq(stats.used_sealed % 64, 0);
		ck_assert_uint_eq(stats.used_sealed + stats.used_open + tables, bytes);
	}
	feed_close(&feed);
}
END_TEST

/* Bytes of a page, on average: whole blocks only, two layers and heads. The bound is that of a block that
 * doesn't shrink, with its entry of 16 bytes in a table. */
static double page_bytes(const char *recipe, const struct given_codec *codec, feed_value value,
                         double *bound, struct given_sizes *reference)
{
	struct feed feed = {.geometry = feed_usual(2), .append_only = true, .in = {.dtype = CLKV_F16}};
	static struct stream stream;
	struct given given;
	size_t blocks = 8, pages = blocks * 2 * STREAMS;
	clkv_cache_options room = feed_room(blocks * BLOCK, 1);
	feed_open(&feed, fixture.context, fixture.queue, recipe, &room);
	stream_open(&feed, &stream);
	given_open(&given, codec);
	given_feed(&given, &feed, &stream, value, blocks * BLOCK, CLKV_PROMPT_END, 1);
	given_check(&given, &feed, &stream);
	if (reference)
		*reference = given_sizes(&given, &feed, 6, 64);
	clkv_stats stats = feed_stats(&feed);
	*bound = stats.allocated.per_token * BLOCK / (2 * STREAMS);
	ck_assert_double_le((double)stats.used_sealed, *bound * (double)pages);
	ck_assert_uint_ge(stats.allocated.sealed, stats.used_sealed);
	ck_assert_uint_gt(stats.used_sealed, 0);
	given_close(&given);
	feed_close(&feed);
	return (double)stats.used_sealed / (double)pages;
}

#define HUFFMAN ",lane_codes=64,entropy=huffman ; window=0"
#define FLAT ",lane_codes=64,entropy=none ; window=0"
#define PLANES ",entropy=pack ; window=0"

/* 16 symbols that are equally likely: flat words are the best ones, and a page takes the bound; chance may save a symbol's
 * bit here and there, planes need no lengths of lanes. Skewed codes: Huffman's words as the reference finds them, of 6
 * bits at most with 11 symbols, though the library may share a table among layers that are alike; planes of the block's
 * least width. */
START_TEST(test_p7_pages_follow_their_codes)
{
	static const double by_chance = FLAT_BYTES - LANE_BYTES - 0.01 * VALUES / 2;
	const struct {
		const char *recipe;
		const struct given_codec *codec;
		feed_value value;
		double least, most; /* 0: by the reference */
	} rows[] = {
		{GIVEN_16 HUFFMAN, &given_16, given_uniform, by_chance, FLAT_BYTES},
		{GIVEN_16 FLAT, &given_16, given_uniform, by_chance, FLAT_BYTES},
		{GIVEN_16 PLANES, &given_16, given_uniform, by_chance, FLAT_BYTES},
		{GIVEN_11 FLAT, &given_11, given_low, FLAT_BYTES - LANE_BYTES, FLAT_BYTES},
		{GIVEN_11 HUFFMAN, &given_11, given_low, 0, 0.6 * FLAT_BYTES},
		/* a bit for each */
		{GIVEN_11 HUFFMAN, &given_11, all_equal, UNIT_BYTES + LANE_BYTES + VALUES / 8.0,
	     UNIT_BYTES + LANE_BYTES + VALUES / 8.0},
		/* 2 bits are the least */
		{GIVEN_11 PLANES, &given_11, all_equal, UNIT_BYTES + VALUES * 2 / 8.0,
	     UNIT_BYTES + VALUES * 2 / 8.0},
	};
	struct given_sizes want;
	double bound, pages = 8 * 2 * STREAMS, least = rows[_i].least, most = rows[_i].most;
	ck_assert_int_eq(ref_bounded_symbols(&rows[_i].codec->k), _i < 3 ? 16 : 11);
	ck_assert_int_eq(ref_bounded_symbols(&rows[_i].codec->v), _i < 3 ? 16 : 11);
	double bytes = page_bytes(rows[_i].recipe, rows[_i].codec, rows[_i].value, &bound,
	                          least == 0.0 ? &want : NULL);
	if (least == 0.0) {
		least = 0.995 * want.least / pages;
		most = fmin(most, 1.005 * want.most / pages);
	}
	ck_assert_double_le(bytes, bound);
	ck_assert_double_le(bound, FLAT_BYTES + 64 + 16);
	ck_assert_double_ge(bytes, least);
	ck_assert_double_le(bytes, most);
}
END_TEST

/* ---------------------------------------------------------------- release ---- */

static void truncate_to(struct stream *stream, size_t n)
{
	clkv_error error;
	feed_ok(clkv_seq_truncate(stream->seq, n, &error), &error, "clkv_seq_truncate");
	stream->n = n;
}

/* Forks share pages, cuts give back those of their own, the last holder gives back all. */
START_TEST(test_pages_are_released)
{
	struct feed feed = {.geometry = feed_usual(2), .append_only = true, .value = given_low};
	static struct stream first, second;
	uint64_t rounds[3], tables[3];
	feed_open(&feed, fixture.context, fixture.queue, "kvcomp:entropy=huffman ; window=0", NULL);
	for (size_t round = 0; round < 3; round++) {
		stream_open(&feed, &first);
		feed_one(&feed, &first, 300, CLKV_PROMPT_END, 1, NULL);
		uint64_t used = rounds[round] = feed_stats(&feed).used_sealed;
		tables[round] = feed_stats(&feed).used_code_tables;
		ck_assert_uint_gt(tables[round], 0);
		stream_fork(&feed, &first, &second);
		ck_assert_uint_eq(feed_stats(&feed).used_sealed, used);
		feed_one(&feed, &second, 70, CLKV_DECODE, 2, NULL);
		ck_assert_uint_gt(feed_stats(&feed).used_sealed, used);
		truncate_to(&second, 100);
		ck_assert_uint_eq(feed_stats(&feed).used_sealed, used);
		expect_same_prefix(&feed, &second, &first);
		stream_close(&first);
		uint64_t left = feed_stats(&feed).used_sealed; /* two blocks of five */
		ck_assert_uint_ge(10 * left, 3 * used);
		ck_assert_uint_lt(2 * left, used);
		stream_close(&second);
		expect_nothing_used(&feed);
		ck_assert_uint_eq(used, rounds[0]);
		ck_assert_uint_eq(tables[round], tables[0]);
	}
	feed_close(&feed);
}
END_TEST

/* Pages of all sizes come and go in any order: what is left reads right, and nothing is lost. */
START_TEST(test_pages_of_many_sizes_come_and_go)
{
	enum { SEQUENCES = 6 };
	static struct stream stream[SEQUENCES];
	static struct given given[SEQUENCES];
	static const feed_value values[] = {given_low, given_uniform, all_equal, given_high};
	struct feed feed = {.geometry = feed_usual(1), .append_only = true, .in = {.dtype = CLKV_F16}};
	clkv_cache_options room = feed_room(1200, SEQUENCES);
	uint64_t state = 1;
	feed_open(&feed, fixture.context, fixture.queue, GIVEN_11 HUFFMAN, &room);
	for (size_t round = 0; round < 60; round++) {
		size_t i = random_below(random_next(&state), SEQUENCES);
		size_t n = 1 + random_below(random_next(&state), 90);
		bool full = stream[i].seq && stream[i].n + n > 200;
		if (full || (stream[i].seq && random_below(random_next(&state), 6) == 0)) {
			given_check(&given[i], &feed, &stream[i]);
			given_close(&given[i]);
			stream_close(&stream[i]);
			continue;
		}
		if (!stream[i].seq) {
			stream_open(&feed, &stream[i]);
			given_open(&given[i], &given_11);
		}
		given_feed(&given[i], &feed, &stream[i], values[random_below(random_next(&state), 4)], n,
		           random_below(random_next(&state), 3) ? CLKV_DECODE : CLKV_PROMPT_END, round);
	}
	for (size_t i = 0; i < SEQUENCES; i++)
		if (stream[i].seq) {
			given_check(&given[i], &feed, &stream[i]);
			given_close(&given[i]);
			stream_close(&stream[i]);
		}
	expect_nothing_used(&feed);
	feed_close(&feed);
}
END_TEST

/* ---------------------------------------------------------------- drift ---- */

/* Tables were built from one distribution, then its mirror image comes: dear at first, then there are
 * new tables, and it costs what the first one did. Old blocks still decode, also inside attention. */
START_TEST(test_tables_follow_data_that_drifts)
{
	enum { ROUNDS = 16 };
	struct feed feed = {.geometry = feed_usual(2), .append_only = true, .in = {.dtype = CLKV_F16}};
	static struct stream stream;
	struct given given;
	uint64_t cost[ROUNDS], used;
	feed_open(&feed, fixture.context, fixture.queue, GIVEN_11 HUFFMAN, NULL);
	stream_open(&feed, &stream);
	given_open(&given, &given_11);
	given_feed(&given, &feed, &stream, given_low, 4 * BLOCK, CLKV_PROMPT_END, 1);
	used = feed_stats(&feed).used_sealed;
	double first = (double)used / 4.0;
	uint64_t tables = feed_stats(&feed).used_code_tables;
	for (size_t i = 0; i < ROUNDS; i++) {
		given_feed(&given, &feed, &stream, given_high, BLOCK, CLKV_DECODE, 2 + i);
		cost[i] = feed_stats(&feed).used_sealed - used;
		used += cost[i];
	}
	double last = (double)cost[ROUNDS - 1];
	ck_assert_msg((double)cost[0] > 1.2 * first, "%.0f bytes, then %u: no drift to see", first,
	              (unsigned)cost[0]);
	ck_assert_msg(last <= 1.1 * first, "%.0f bytes at first, %.0f at last", first, last);
	uint64_t both = feed_stats(&feed).used_code_tables;
	ck_assert_uint_gt(both, tables);
	given_check(&given, &feed, &stream);
	feed.append_only = false;
	expect_rows(&feed, &stream, 3, CLKV_DECODE, 40, EXPECT_DECODED, BOUND_ATTEND_CODES);
	given_close(&given);
	stream_close(&stream);
	expect_nothing_used(&feed);
	ck_assert_uint_lt(feed_stats(&feed).used_code_tables, both); /* the first ones went */
	feed_close(&feed);
}
END_TEST

/* More distributions than there are tables: peaks at other places, sharp and blunt. */
static size_t peak;

static double peaked(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	double u = given_uniform(row, layer, side, head, d), centre = (double)(peak % 12) / 11.0;
	if (d == row % 64 || d == (row + 1) % 64)
		return d == row % 64 ? 0.0 : 1.0; /* the whole range, in every unit */
	double x = centre + (peak / 12 ? 0.1 : 0.3) * (u - 0.5);
	return fmin(fmax(x, 0.0), 1.0);
}

START_TEST(test_more_distributions_than_tables)
{
	enum { TURNS = 24, SEQUENCES = 4 };
	static struct stream stream[SEQUENCES];
	static struct given given[SEQUENCES];
	struct feed feed = {.geometry = feed_usual(1), .append_only = true, .in = {.dtype = CLKV_F16}};
	clkv_cache_options room = feed_room(4096, SEQUENCES);
	struct given_codec codec = {
		{REF_UNIT_CHANNEL, 0.03, 0}, {REF_UNIT_TOKEN, 0.03, 0}, 0, 0, BLOCK};
	feed_open(&feed, fixture.context, fixture.queue,
	          "kvcomp:rel_k=0.03,rel_v=0.03,exact=0,entropy=huffman ; window=0", &room);
	for (size_t i = 0; i < SEQUENCES; i++) {
		stream_open(&feed, &stream[i]);
		given_open(&given[i], &codec);
	}
	uint64_t most = 0;
	for (peak = 0; peak < TURNS; peak++) {
		size_t i = peak % SEQUENCES;
		given_feed(&given[i], &feed, &stream[i], peaked, 130, CLKV_DECODE, peak);
		most =
			feed_stats(&feed).used_code_tables > most ? feed_stats(&feed).used_code_tables : most;
	}
	ck_assert_uint_le(most, feed_stats(&feed).allocated.code_tables);
	ck_assert_uint_gt(most, 0);
	for (size_t i = 0; i < SEQUENCES; i++)
		given_check(&given[i], &feed, &stream[i]);
	/* half of the blocks go, their tables may serve others */
	for (size_t i = 0; i < SEQUENCES; i += 2) {
		stream_close(&stream[i]);
		given_close(&given[i]);
		stream_open(&feed, &stream[i]);
		given_open(&given[i], &codec);
	}
	for (peak = 0; peak < TURNS; peak += 2)
		given_feed(&given[0], &feed, &stream[0], peaked, 70, CLKV_DECODE, 100 + peak);
	for (size_t i = 0; i < SEQUENCES; i++) {
		given_check(&given[i], &feed, &stream[i]);
		given_close(&given[i]);
		stream_close(&stream[i]);
	}
	expect_nothing_used(&feed);
	feed_close(&feed);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("kvcomp pages");
	TCase *bytes = fixture_case(suite, "P7", 60);
	TCase *release = fixture_case(suite, "release", 60), *drift = fixture_case(suite, "drift", 60);
	tcase_add_loop_test(bytes, test_p7_the_estimate_is_the_allocation, 0, 4);
	tcase_add_loop_test(bytes, test_p7_sequences_and_statistics_agree, 0, 3);
	tcase_add_loop_test(bytes, test_p7_pages_follow_their_codes, 0, 7);
	tcase_add_test(release, test_pages_are_released);
	tcase_add_test(release, test_pages_of_many_sizes_come_and_go);
	tcase_add_test(drift, test_tables_follow_data_that_drifts);
	tcase_add_test(drift, test_more_distributions_than_tables);
	return fixture_run_shared(suite);
}
