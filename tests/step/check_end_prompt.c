/* SPDX-License-Identifier: MIT */
/** \file check_end_prompt.c \brief Prompts whose end is told once all rows are there. */
#include "support/each.h"
#include "support/expect.h"
#include "support/fixture.h"
#include "support/kinds.h"

#include <string.h>

static void end_prompt(const struct feed *feed, const struct stream *s)
{
	clkv_error error;
	feed_ok(clkv_seq_end_prompt(s->seq, feed->queue, &error), &error, "clkv_seq_end_prompt");
}

static void open_pair(const struct kind *kind, struct feed *feed, struct stream *a,
                      struct stream *b)
{
	kind_open(feed, kind, fixture.context, fixture.queue);
	stream_open(feed, a);
	stream_open(feed, b);
}

/* Whether chunks of a prompt leave nothing but blocks that don't depend on how it was cut. */
static bool is_whole(const struct kind *kind)
{
	char text[1024];
	clkv_error error;
	feed_ok(clkv_recipe_print(kind->recipe, text, sizeof text, &error), &error, kind->recipe);
	bool by_block = !kind->looks && !kind->indexes && !kind->selects && !strstr(text, "kvcomp");
	return strstr(text, "seal=prompt") || by_block;
}

/* The same bits as if the last rows had said that they are the last; so is what a next row and a next prompt make of it. */
START_TEST(test_an_end_behind_the_rows_equals_one_with_them)
{
	static struct stream with, behind;
	const struct kind *kind = &kinds[_i];
	struct feed feed;
	struct feed_result x, y;
	open_pair(kind, &feed, &with, &behind);
	/* the last chunk is shorter than any number of queries that a stage observes */
	size_t chunks[] = {300, 151, 3};
	for (size_t i = 0; i < 3; i++) {
		feed_one(&feed, &with, chunks[i], i < 2 ? CLKV_PROMPT : CLKV_PROMPT_END, i, NULL);
		feed_one(&feed, &behind, chunks[i], CLKV_PROMPT, i, NULL);
	}
	end_prompt(&feed, &behind);
	ck_assert_uint_eq(stream_info(&with).sealed, stream_info(&behind).sealed);
	if (is_whole(kind)) {
		kind_same_streams(kind, &feed, &with, &feed, &behind, kind->recipe);
		feed_one(&feed, &with, 1, CLKV_DECODE, 9, &x);
		feed_one(&feed, &behind, 1, CLKV_DECODE, 9, &y);
		kind_same_outputs(&feed, &x, &y, kind->recipe);
		feed_result_close(&x);
		feed_result_close(&y);
	}
	feed_close(&feed);
}
END_TEST

/* A second end at once, and that of an empty sequence, find nothing to do. */
START_TEST(test_nothing_is_left_to_end)
{
	static struct stream a, b;
	const struct kind *kind = &kinds[_i];
	struct feed feed;
	open_pair(kind, &feed, &a, &b);
	end_prompt(&feed, &a);
	ck_assert_uint_eq(stream_info(&a).length, 0);
	feed_one(&feed, &a, 250, CLKV_PROMPT_END, 1, NULL);
	feed_one(&feed, &b, 250, CLKV_PROMPT_END, 1, NULL);
	end_prompt(&feed, &a);
	kind_same_streams(kind, &feed, &a, &feed, &b, kind->recipe);
	feed_close(&feed);
}
END_TEST

/* A fork ends its prompt; the blocks that it shares stay the other's. */
START_TEST(test_a_fork_ends_alone)
{
	static struct stream whole, open, fork;
	const struct kind *kind = &kinds[_i];
	struct feed feed;
	open_pair(kind, &feed, &whole, &open);
	feed_one(&feed, &whole, 200, CLKV_PROMPT, 1, NULL);
	feed_one(&feed, &open, 200, CLKV_PROMPT, 1, NULL);
	stream_fork(&feed, &open, &fork);
	end_prompt(&feed, &fork);
	if (kind->selects || !kind->looks)
		kind_same_streams(kind, &feed, &whole, &feed, &open, kind->recipe);
	end_prompt(&feed, &open);
	kind_same_streams(kind, &feed, &open, &feed, &fork, kind->recipe);
	feed_close(&feed);
}
END_TEST

static void expect_untouched(const struct feed *feed, const struct stream *s, clkv_status want,
                             const char *part)
{
	clkv_error error;
	clkv_seq_info before = stream_info(s);
	ck_assert_int_eq(clkv_seq_end_prompt(s->seq, feed->queue, &error), want);
	ck_assert_msg(strstr(error.text, part), "'%s' lacks '%s'", error.text, part);
	clkv_seq_info after = stream_info(s);
	ck_assert_int_eq(memcmp(&before, &after, sizeof before), 0);
}

/* Of a stage that chooses by the newest queries, these must have been seen: not those of an earlier step, nor what a
 * rejected draft has displaced. */
START_TEST(test_queries_that_are_missing_are_named)
{
	struct feed feed = {.geometry = feed_usual(1)};
	static struct stream s;
	feed_open(&feed, fixture.context, fixture.queue,
	          "snapkv:budget=72,obs=16,pool=5,pooling=avg,gqa=mean ; "
	          "window=16,sinks=4,block=32,seal=prompt,skip=0",
	          NULL);
	stream_open(&feed, &s);
	feed_one(&feed, &s, 200, CLKV_PROMPT, 1, NULL);
	feed.append_only = true;
	feed_one(&feed, &s, 20, CLKV_PROMPT, 2, NULL);
	feed.append_only = false;
	expect_untouched(&feed, &s, CLKV_ERROR_INVALID_STATE, "snapkv");
	struct feed_item draft = {&s, 40, CLKV_PROMPT, 30, 3};
	feed_step(&feed, &draft, 1, NULL);
	expect_untouched(&feed, &s, CLKV_ERROR_INVALID_STATE, "snapkv");
	feed_one(&feed, &s, 1, CLKV_PROMPT, 4, NULL);
	end_prompt(&feed, &s);
	ck_assert_uint_gt(stream_info(&s).sealed, 0);
	feed_close(&feed);
}
END_TEST

START_TEST(test_wrong_calls_are_refused)
{
	static struct stream a, b;
	struct feed feed;
	clkv_error error;
	open_pair(&kinds[1], &feed, &a, &b);
	feed_one(&feed, &a, 100, CLKV_PROMPT, 1, NULL);
	struct feed_item item = {&b, 2, CLKV_DECODE, 0, 2};
	clkv_step *step = feed_begin(&feed, &item, 1, NULL);
	expect_untouched(&feed, &a, CLKV_ERROR_BUSY, "open step");
	clkv_step_abort(step);
	ck_assert_int_eq(clkv_seq_end_prompt(NULL, feed.queue, &error), CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_int_eq(clkv_seq_end_prompt(a.seq, NULL, &error), CLKV_ERROR_INVALID_ARGUMENT);
	end_prompt(&feed, &a);
	ck_assert_uint_eq(stream_info(&a).sealed, 57); /* 100 less window and sinks */
	feed_close(&feed);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("end_prompt");
	TCase *tcase = fixture_case(suite, "end_prompt", 20);
	tcase_add_loop_test(tcase, test_an_end_behind_the_rows_equals_one_with_them, 0, n_kinds);
	tcase_add_loop_test(tcase, test_nothing_is_left_to_end, 0, n_kinds);
	tcase_add_loop_test(tcase, test_a_fork_ends_alone, 0, n_kinds);
	tcase_add_test(tcase, test_queries_that_are_missing_are_named);
	tcase_add_test(tcase, test_wrong_calls_are_refused);
	return fixture_run_shared(suite);
}
