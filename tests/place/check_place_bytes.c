/* SPDX-License-Identifier: MIT */
/** \file check_place_bytes.c \brief Sealed blocks in host memory take the bytes that were promised, there and here. */
#include "support/fixture.h"
#include "support/inject.h"
#include "support/placed.h"

#include <stdio.h>
#include <string.h>

START_TEST(test_the_estimate_is_the_allocation)
{
	static struct placed p;
	clkv_context *context = fixture_open();
	clkv_geometry g = feed_usual(3);
	clkv_cache_options o = CLKV_INIT(clkv_cache_options);
	char recipe[256];
	bool maps = strstr(placed_cases[_i].place, "copy") == NULL && !placed_cases[_i].sums;
	o.max_tokens = 5000;
	o.max_sequences = 3;
	o.max_step_tokens = 64;
	snprintf(recipe, sizeof recipe, "%s | %s%s", placed_cases[_i].recall, placed_cases[_i].place,
	         placed_cases[_i].general);
	clkv_bytes want = feed_required(context, &g, recipe, &o);
	snprintf(recipe, sizeof recipe, "%s%s", placed_cases[_i].recall, placed_cases[_i].general);
	clkv_bytes plain = feed_required(context, &g, recipe, &o);
	bool host = want.host_sealed > 0;
	ck_assert_uint_eq(want.device, want.sealed + want.open + want.tables + want.scratch +
	                                   want.code_tables + want.index + want.recalled);
	ck_assert_uint_eq(host ? want.sealed : 0, 0);
	ck_assert_uint_eq(want.sealed + want.host_sealed, plain.sealed);
	ck_assert_double_eq(want.per_token, plain.per_token);
	if (host)
		ck_assert_uint_lt(want.device, plain.device);

	uint64_t device = inject_device_bytes(), memory = inject_host_bytes();
	cl_command_queue queue = fixture_queue_of(context);
	p.feed[THERE].geometry = g;
	snprintf(recipe, sizeof recipe, "%s | %s%s", placed_cases[_i].recall, placed_cases[_i].place,
	         placed_cases[_i].general);
	feed_open(&p.feed[THERE], context, queue, recipe, &o);
	/* what is mapped is made by OpenCL */
	ck_assert_uint_eq(inject_device_bytes() - device, want.device + (maps ? want.host_sealed : 0));
	uint64_t taken = inject_host_bytes() - memory,
			 least = want.host - (maps ? want.host_sealed : 0);
	ck_assert_uint_ge(taken, least);
	/* small lists, and the texts of some 20 programs, which are 4 KiB on average */
	ck_assert_uint_le(taken, least + least / 50 + 98304);
	clkv_bytes got = feed_stats(&p.feed[THERE]).allocated;
	ck_assert_int_eq(memcmp(&got, &want, sizeof got), 0);
	feed_close(&p.feed[THERE]);
	ck_assert_uint_eq(inject_device_bytes(), device);

	clkv_error error;
	o.max_host_bytes = (size_t)want.host - 1;
	ck_assert_int_eq(clkv_cache_create(context, &g, recipe, &o, &p.feed[THERE].cache, &error),
	                 CLKV_ERROR_NO_HOST_MEMORY);
	ck_assert_ptr_nonnull(strstr(error.text, "max_host_bytes"));
	clReleaseCommandQueue(queue);
	clkv_context_destroy(context);
}
END_TEST

/* Blocks that leave are counted to the byte, and so is what a sequence holds. */
START_TEST(test_bytes_in_use)
{
	static const int ways[] = {0, 4, 6}; /* copied, attended by the host, mapped */
	static struct placed p;
	int which = ways[_i];
	placed_open(&p, fixture.context, fixture.queue, 2, which, NULL);
	placed_stream(&p, 0);
	placed_prompt(&p, 0, 700, 1);
	/* 700 - 32 - 5 tokens in blocks of 64 */
	const uint64_t blocks = 11, bytes = blocks * PLACED_STREAMS * 2 * PLACED_BLOCK;
	clkv_stats stats = feed_stats(&p.feed[THERE]);
	ck_assert_uint_eq(stats.used_host, bytes);
	ck_assert_uint_eq(stats.used_sealed, 0);
	ck_assert_uint_eq((uint64_t)feed_figure(&p.feed[THERE], "place.moved_to_host"),
	                  which == 6 ? 0 : bytes);
	ck_assert_uint_eq((uint64_t)feed_figure(&p.feed[THERE], "place.moved_to_device"), 0);
	clkv_seq_info here = stream_info(&p.stream[0][HERE]), there = stream_info(&p.stream[0][THERE]);
	ck_assert_uint_eq(there.host_bytes, bytes);
	ck_assert_uint_eq(here.host_bytes, 0);
	ck_assert_uint_eq(here.bytes, there.bytes + bytes);
	placed_decode(&p, 0, 1, 2);
	if (placed_cases[which].sums) /* of 6 query heads and 2 layers */
		ck_assert_uint_eq((uint64_t)feed_figure(&p.feed[THERE], "place.moved_to_device"),
		                  2 * 6 * (64 + 2) * sizeof(float));
	placed_close(&p);
}
END_TEST

/* ---------------------------------------------------------------- open tokens ---- */

START_TEST(test_few_open_tokens)
{
	static struct placed p;
	static struct stream a, b;
	struct feed *feed = &p.feed[THERE];
	const char *recipe = PLACED_CLUSTERS " | place:host,via=copy" PLACED_GENERAL;
	clkv_cache_options o = CLKV_INIT(clkv_cache_options);
	clkv_error error;
	clkv_step *step = NULL;
	feed->geometry = feed_usual(2);
	o.max_tokens = 8192;
	o.max_sequences = 4;
	o.max_step_tokens = 100;
	clkv_bytes all = feed_required(fixture.context, &feed->geometry, recipe, &o);
	o.max_open_tokens = 600;
	clkv_bytes few = feed_required(fixture.context, &feed->geometry, recipe, &o);
	/* blocks of 600 tokens and of what 4 sequences' ends waste */
	ck_assert_uint_eq(few.open, 2ull * PLACED_STREAMS * PLACED_BLOCK * (600 / 64 + 3 * 4));
	ck_assert_uint_eq(all.open, 2ull * PLACED_STREAMS * PLACED_BLOCK * (8192 / 64 + 4));
	feed_open(feed, fixture.context, fixture.queue, recipe, &o);
	stream_open(feed, &a);
	stream_open(feed, &b);
	for (int i = 0; i < 6; i++)
		feed_one(feed, &a, 100, CLKV_PROMPT, 1, NULL);
	size_t n = 0; /* of a second prompt beside it, until there is no room */
	for (;; n += 100) {
		clkv_step_item item = {b.seq, 100, CLKV_PROMPT};
		clkv_status status = clkv_step_begin(feed->cache, &item, 1, feed->queue, &step, &error);
		if (status != CLKV_OK) {
			ck_assert_int_eq(status, CLKV_ERROR_POOL_FULL);
			ck_assert_ptr_nonnull(strstr(error.text, "max_open_tokens"));
			break;
		}
		clkv_step_abort(step);
		feed_one(feed, &b, 100, CLKV_PROMPT, 1, NULL);
	}
	ck_assert_uint_ge(n, 300);
	ck_assert_uint_le(n, 800);
	feed_one(feed, &a, 2, CLKV_PROMPT_END, 1, NULL); /* seals: there is room again */
	feed_one(feed, &b, 100, CLKV_PROMPT_END, 1, NULL);
	for (int i = 0; i < 10; i++)
		feed_one(feed, &a, 100, CLKV_DECODE, 2, NULL);
	feed_close(feed);

	/* window 32, sinks 5, 127 that wait, a step of 100 */
	o.max_open_tokens = 32 + 5 + 127 + 100;
	feed_open(feed, fixture.context, fixture.queue, recipe, &o);
	feed_close(feed);
	o.max_open_tokens--;
	ck_assert_int_eq(
		clkv_cache_create(fixture.context, &feed->geometry, recipe, &o, &feed->cache, &error),
		CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_ptr_nonnull(strstr(error.text, "max_open_tokens is 263; allowed: 264"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("place bytes");
	TCase *bytes = fixture_case(suite, "bytes", 60);
	fixture_some(bytes, test_the_estimate_is_the_allocation, PLACED_CASES, 0, 4, 6, 8);
	tcase_add_test(bytes, test_few_open_tokens);
	tcase_add_loop_test(bytes, test_bytes_in_use, 0, 3);
	return fixture_run_shared(suite);
}
