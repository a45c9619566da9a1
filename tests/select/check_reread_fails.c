/* SPDX-License-Identifier: MIT */
/** \file check_reread_fails.c \brief Commits of rows that read a prompt again, whose calls fail one by one. */
#include "support/faults.h"
#include "support/fixture.h"
#include "support/selected.h"

#include <string.h>

#define RECIPE "kvzip:budget=96 ; window=16,sinks=4,block=32,seal=prompt,skip=0"

enum { PROMPT = 200, ROWS = 30, TRIES = 200 };

static const struct selected_case plain = {.recipe = RECIPE};

static void open_prompt(struct feed *feed, struct stream *stream)
{
	stream_open(feed, stream);
	feed_one(feed, stream, PROMPT, CLKV_PROMPT, 1, NULL);
}

static void end_and_compare(struct feed *feed, struct stream *a, struct stream *b)
{
	clkv_error error;
	size_t all = 0;
	feed_ok(clkv_seq_end_prompt(a->seq, feed->queue, &error), &error, "clkv_seq_end_prompt");
	feed_ok(clkv_seq_end_prompt(b->seq, feed->queue, &error), &error, "clkv_seq_end_prompt");
	for (size_t head = 0; head < 2; head++) {
		struct selected_kept x, y;
		selected_read(feed, a, 0, head, &x);
		selected_read(feed, b, 0, head, &y);
		all += x.kept.n;
		ck_assert_uint_eq(x.kept.n, y.kept.n);
		ck_assert(memcmp(x.kept.positions, y.kept.positions, x.kept.n * sizeof *x.kept.positions) ==
		          0);
		ck_assert(memcmp(x.kept.scores, y.kept.scores, x.kept.n * sizeof *x.kept.scores) == 0);
		selected_free(&x);
		selected_free(&y);
	}
	ck_assert_uint_eq(all, 2 * (96 - 4 - 16));
}

/* A commit fails, and is made again or aborted: the sequence is as long as before, and what its tokens weigh is what rows weigh that
 * were committed. A fork shares the blocks, so that there are copies to be undone. */
START_TEST(test_a_reading_counts_or_does_not)
{
	static struct stream a, b, c;
	enum fault fault = (enum fault)(_i / 2);
	bool again = _i % 2;
	clkv_context *context = fixture_open();
	cl_command_queue queue = fixture_queue_of(context);
	struct feed feed = {.geometry = feed_usual(1), .value = selected_quarters, .lse = true};
	bool happened = true;
	int failures = 0;
	feed_open(&feed, context, queue, plain.recipe, NULL);
	for (int n = 0; n < TRIES && happened; n++) {
		struct feed_item item = {&a, ROWS, CLKV_REREAD, ROWS, 7},
						 right = {&b, ROWS, CLKV_REREAD, ROWS, 8};
		clkv_error error;
		open_prompt(&feed, &a);
		open_prompt(&feed, &b);
		stream_fork(&feed, &a, &c);
		clkv_step *step = feed_begin(&feed, &item, 1, NULL);
		fault_arm(fault, n);
		clkv_status status = clkv_step_commit(step, NULL, &error);
		happened = fault_disarm(fault);
		if (happened)
			fault_expect(fault, status, &error);
		failures += status != CLKV_OK;
		ck_assert_uint_eq(stream_info(&a).length, PROMPT);
		if (status != CLKV_OK && again)
			feed_ok(clkv_step_commit(step, NULL, &error), &error, "clkv_step_commit");
		else if (status != CLKV_OK)
			clkv_step_abort(step);
		if (status == CLKV_OK || again) {
			item.stream = &b;
			feed_step(&feed, &item, 1, NULL);
		}
		item = right;
		item.stream = &a;
		feed_step(&feed, &item, 1, NULL);
		feed_step(&feed, &right, 1, NULL);
		end_and_compare(&feed, &a, &b);
		ck_assert_int_eq(clkv_seq_end_prompt(c.seq, queue, &error), CLKV_ERROR_INVALID_STATE);
		stream_close(&a);
		stream_close(&b);
		stream_close(&c);
	}
	ck_assert(!happened);
	ck_assert_int_gt(failures, 0);
	feed_close(&feed);
	clReleaseCommandQueue(queue);
	clkv_context_destroy(context);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("reread fails");
	TCase *all = fixture_case(suite, "all", 120);
	tcase_add_loop_test(all, test_a_reading_counts_or_does_not, 0, 2 * FAULTS);
	return fixture_run(suite);
}
