/* SPDX-License-Identifier: MIT */
/** \file check_kvcomp_full.c \brief More sequences than kvcomp's bound says, and steps that find its pool full. */
#include "support/expect.h"
#include "support/fixture.h"
#include "support/given.h"

#include <string.h>

#define BLOCK 64
#define HUFFMAN ",lane_codes=64,entropy=huffman ; window=0"

/* ---------------------------------------------------------------- more sequences ---- */

/* Begin refuses what can't fit however small it gets; what may fit is tried up to the commit, which leaves
 * the step open if it fails. */
static clkv_status try_prompt(struct feed *feed, struct given *given, struct stream *stream,
                              feed_value value, size_t n, clkv_step **step, clkv_error *error)
{
	struct feed_item item = {.stream = stream, .n = n, .phase = CLKV_PROMPT_END, .seed = 7};
	clkv_step_item probe = {stream->seq, n, CLKV_PROMPT_END};
	*step = NULL;
	if (clkv_step_begin(feed->cache, &probe, 1, feed->queue, step, error) != CLKV_OK)
		return error->status;
	clkv_step_abort(*step);
	feed->value = value;
	*step = feed_begin(feed, &item, 1, NULL);
	given_rows(given, feed, stream, n);
	clkv_status status = clkv_step_commit(*step, NULL, error);
	if (status == CLKV_OK) {
		feed_kept(&item, 1);
		given_kept(given, stream, n, CLKV_PROMPT_END);
		*step = NULL;
	}
	return status;
}

/* Bytes that are saved hold other sequences' tokens at once, and all of them read as they were given. */
START_TEST(test_more_sequences_fit_than_the_bound_says)
{
	enum { SEQUENCES = 16, TOKENS = 256 };
	static struct stream stream[SEQUENCES];
	static struct given given[SEQUENCES];
	struct feed feed = {.geometry = feed_usual(2), .append_only = true, .in = {.dtype = CLKV_F16}};
	clkv_cache_options room = feed_room(2 * TOKENS, SEQUENCES);
	clkv_error error;
	size_t n = 0;
	feed_open(&feed, fixture.context, fixture.queue, GIVEN_11 HUFFMAN, &room);
	clkv_status status = CLKV_OK;
	clkv_step *step = NULL;
	while (n < SEQUENCES && status == CLKV_OK) {
		stream_open(&feed, &stream[n]);
		given_open(&given[n], &given_11);
		status = try_prompt(&feed, &given[n], &stream[n], given_low, TOKENS, &step, &error);
		n += status == CLKV_OK;
	}
	ck_assert(status == CLKV_OK || status == CLKV_ERROR_POOL_FULL);
	clkv_step_abort(step);
	clkv_stats stats = feed_stats(&feed);
	double at_bound = stats.allocated.per_token * (double)stats.tokens;
	ck_assert_msg(at_bound > 1.5 * (double)stats.allocated.sealed,
	              "%zu sequences; at the bound they need %.0f bytes, there are %.0f", n, at_bound,
	              (double)stats.allocated.sealed);
	ck_assert_uint_gt(stats.tokens, 2 * room.max_tokens);
	for (size_t i = 0; i < n; i++)
		given_check(&given[i], &feed, &stream[i]);
	for (size_t i = 0; i < SEQUENCES && stream[i].seq; i++) {
		stream_close(&stream[i]);
		given_close(&given[i]);
	}
	expect_nothing_used(&feed);
	feed_close(&feed);
}
END_TEST

/* ---------------------------------------------------------------- a full pool ---- */

#define FULL_SEQUENCES 8
#define FULL_TOKENS 256

struct full {
	struct feed feed;
	struct stream stream[FULL_SEQUENCES], victim;
	struct given given[FULL_SEQUENCES], victims;
	size_t n;
	clkv_step *step;
};

/* Incompressible sequences until one finds no room and goes; then the victim, which has two blocks, tries
 * what that one tried. Three blocks have room then, four would be needed: begin can't know. */
static void fill(struct full *f, const char *recipe)
{
	clkv_cache_options room = feed_room(2 * FULL_TOKENS + BLOCK, FULL_SEQUENCES);
	clkv_status status = CLKV_OK;
	clkv_error error;
	memset(f, 0, sizeof *f);
	f->feed =
		(struct feed){.geometry = feed_usual(2), .append_only = true, .in = {.dtype = CLKV_F16}};
	feed_open(&f->feed, fixture.context, fixture.queue, recipe, &room);
	stream_open(&f->feed, &f->victim);
	given_open(&f->victims, &given_16);
	given_feed(&f->victims, &f->feed, &f->victim, given_uniform, 2 * BLOCK, CLKV_PROMPT_END, 3);
	while (status == CLKV_OK) {
		ck_assert_uint_lt(f->n + 1, FULL_SEQUENCES);
		stream_open(&f->feed, &f->stream[f->n]);
		given_open(&f->given[f->n], &given_16);
		status = try_prompt(&f->feed, &f->given[f->n], &f->stream[f->n], given_uniform, FULL_TOKENS,
		                    &f->step, &error);
		if (status == CLKV_OK)
			f->n++;
	}
	clkv_step_abort(f->step);
	stream_close(&f->stream[f->n]);
	given_close(&f->given[f->n]);
	ck_assert_uint_ge(f->n, 2); /* max_tokens fit in any case */
	clkv_stats before = feed_stats(&f->feed), after;
	clkv_seq_info info = stream_info(&f->victim), info_after;
	ck_assert_int_eq(
		try_prompt(&f->feed, &f->victims, &f->victim, given_uniform, FULL_TOKENS, &f->step, &error),
		CLKV_ERROR_POOL_FULL);
	ck_assert_int_eq(error.status, CLKV_ERROR_POOL_FULL);
	ck_assert_uint_gt(strlen(error.text), 10);
	after = feed_stats(&f->feed);
	info_after = stream_info(&f->victim);
	ck_assert_uint_eq(after.used_sealed, before.used_sealed);
	ck_assert_uint_eq(after.tokens, before.tokens);
	ck_assert_uint_eq(after.steps, before.steps);
	ck_assert_uint_eq(info_after.length, info.length);
	ck_assert_uint_eq(info_after.sealed, info.sealed);
}

static void check_and_empty(struct full *f)
{
	for (size_t i = 0; i < f->n; i++)
		if (f->stream[i].seq) {
			given_check(&f->given[i], &f->feed, &f->stream[i]);
			stream_close(&f->stream[i]);
		}
	for (size_t i = 0; i < f->n; i++)
		given_close(&f->given[i]);
	given_close(&f->victims);
	if (f->victim.seq)
		stream_close(&f->victim);
	expect_nothing_used(&f->feed);
	feed_close(&f->feed);
}

/* The step is still open: given up, the sequence reads as before and goes on. */
static void abort_it(struct full *f)
{
	clkv_step_abort(f->step);
	given_check(&f->victims, &f->feed, &f->victim);
	/* rows that seal nothing find room; behind a sequence that went, blocks do too */
	given_feed(&f->victims, &f->feed, &f->victim, given_low, 10, CLKV_DECODE, 4);
	stream_close(&f->stream[0]);
	given_feed(&f->victims, &f->feed, &f->victim, given_low, 128, CLKV_DECODE, 5);
	given_check(&f->victims, &f->feed, &f->victim);
}

/* Room is made while the step is open, and the same commit succeeds; twice refused is as good. */
static void commit_again(struct full *f)
{
	struct feed_item item = {.stream = &f->victim, .n = FULL_TOKENS};
	clkv_error error;
	ck_assert_int_eq(clkv_step_commit(f->step, NULL, &error), CLKV_ERROR_POOL_FULL);
	stream_close(&f->stream[1]);
	feed_ok(clkv_step_commit(f->step, NULL, &error), &error, "clkv_step_commit");
	feed_kept(&item, 1);
	given_kept(&f->victims, &f->victim, FULL_TOKENS, CLKV_PROMPT_END);
	given_check(&f->victims, &f->feed, &f->victim);
}

/* The sequence in the step is dropped: the others have lost nothing. */
static void drop_sequence(struct full *f)
{
	clkv_step_abort(f->step);
	stream_close(&f->victim);
}

START_TEST(test_a_step_that_finds_the_pool_full)
{
	static const char *const recipes[] = {GIVEN_16 HUFFMAN, GIVEN_16 ",entropy=pack ; window=0",
	                                      GIVEN_16 HUFFMAN ",seal=prompt"};
	static void (*const ends[])(struct full *) = {abort_it, commit_again, drop_sequence};
	static struct full f;
	fill(&f, recipes[_i / 3]);
	ends[_i % 3](&f);
	check_and_empty(&f);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("kvcomp full");
	TCase *full = fixture_case(suite, "full", 60);
	tcase_add_test(full, test_more_sequences_fit_than_the_bound_says);
	fixture_some(full, test_a_step_that_finds_the_pool_full, 9, 0, 1, 4, 8);
	return fixture_run_shared(suite);
}
