/* SPDX-License-Identifier: MIT */
/**
 * \file    check_place.c
 * \brief   Sealed blocks in host memory: the same results, whatever sequences go through.
 */
#include "support/fixture.h"
#include "support/memory_file.h"
#include "support/pairs.h"
#include "support/placed.h"

#include <string.h>

enum { NO_ROPE, BY_PAIRS, BY_HALVES, ROPES };

/* The library rotates, by pairs or halves, or doesn't. */
static void compare_results(int which, int rope, bool softcap)
{
	static struct placed p;
	p = (struct placed){.limit = 0.0};
	for (int i = 0; i < BOTH; i++) {
		clkv_geometry *g = &p.feed[i].geometry;
		g->softcap = softcap ? 20.0f : 0.0f;
		if (rope == NO_ROPE)
			continue;
		g->rope.kind = rope == BY_PAIRS ? CLKV_ROPE_PAIRS : CLKV_ROPE_HALVES;
		g->rope.by_library = 1;
		g->rope.dims = rope == BY_PAIRS ? 0 : 48;
	}
	placed_open(&p, fixture.context, fixture.queue, 2, which, NULL);
	placed_stream(&p, 0);
	placed_prompt(&p, 0, 700, 1);
	placed_decode(&p, 0, 150, 2); /* seals more */
	ck_assert_uint_gt(stream_info(&p.stream[0][THERE]).sealed, 700);
	placed_same_rows(&p, 0);
	placed_close(&p);
}

/* Each way to read the host's memory, each kind of rotation, most of them compiled for other tests too. */
START_TEST(test_results_are_those_of_the_device)
{
	static const struct {
		int which, rope;
		bool softcap;
	} rows[] = {{0, BY_PAIRS, false},
	            {3, NO_ROPE, true},
	            {4, BY_HALVES, true},
	            {6, NO_ROPE, false},
	            {8, NO_ROPE, true}};
	compare_results(rows[_i].which, rows[_i].rope, rows[_i].softcap);
}
END_TEST

/* Of all cases, rotations and softcaps; whole, 72 rows would compile what few tell apart. */
static struct pairs crossed;
enum { CROSSED_SEED = 1 };

START_TEST(test_results_of_pairs)
{
	const unsigned char *row = crossed.row[_i];
	compare_results(row[0], row[1], row[2] == 1);
}
END_TEST

/* As many work-items as a GPU's work-group, on queues that keep no order. */
START_TEST(test_other_forms_and_queues_do_the_same)
{
	static struct placed p;
	clkv_context *context = fixture_open_tuned(_i % 2 ? "lanes=8,vec=4" : "lanes=16,vec=1");
	cl_int code;
	cl_command_queue queue =
		clCreateCommandQueue(clkv_context_cl(context), clkv_context_device(context),
	                         CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE, &code);
	placed_open(&p, context, code == CL_SUCCESS ? queue : fixture_queue_of(context), 1,
	            _i < 2 ? 0 : 4, NULL);
	placed_stream(&p, 0);
	placed_prompt(&p, 0, 400, 1);
	placed_decode(&p, 0, 20, 2);
	placed_same_rows(&p, 0);
	placed_close(&p);
	clReleaseCommandQueue(p.feed[HERE].queue);
	clkv_context_destroy(context);
}
END_TEST

/* Generation of several rows, drafts of which some are dropped, prompts of others, in one step; any order of them. */
START_TEST(test_batches_of_several_rows)
{
	static struct placed p;
	placed_open(&p, fixture.context, fixture.queue, 2, _i, NULL);
	for (int s = 0; s < 3; s++)
		placed_stream(&p, s);
	placed_prompt(&p, 0, 500, 1);
	placed_prompt(&p, 1, 311, 2);
	for (uint64_t i = 0; i < 40; i++) {
		struct feed_item items[] = {
			{p.stream[i % 2], 1 + i % 4, CLKV_DECODE, i % 3 == 0 ? i % 4 : 0, 10 + i},
			{p.stream[2], 6, CLKV_PROMPT, 0, 3},
			{p.stream[1 - i % 2], 1 + i % 3, CLKV_DECODE, 0, 20 + i},
		};
		placed_step(&p, items, i < 20 ? 3 : 1);
	}
	placed_one(&p, 2, 60, CLKV_PROMPT_END, 3);
	placed_decode(&p, 2, 3, 4);
	for (int s = 0; s < 3; s++)
		placed_same_rows(&p, s);
	placed_close(&p);
}
END_TEST

/* A regrown sequence has other tokens under the same ordinals; a fork shares pages, not slots; sequences come and go. */
START_TEST(test_forks_truncations_and_successors)
{
	static struct placed p;
	placed_open(&p, fixture.context, fixture.queue, 2, _i, NULL);
	placed_stream(&p, 0);
	placed_prompt(&p, 0, 300, 1);
	placed_decode(&p, 0, 260, 2);
	placed_fork(&p, 0, 1);
	placed_decode(&p, 0, 5, 3);
	placed_decode(&p, 1, 5, 4);
	placed_truncate(&p, 0, 330); /* within a block that was sealed */
	placed_decode(&p, 0, 200, 5);
	placed_decode(&p, 1, 5, 6);
	placed_same_rows(&p, 0);
	placed_same_rows(&p, 1);
	placed_truncate(&p, 0, 128);
	placed_fork(&p, 0, 2);
	placed_decode(&p, 0, 300, 7);
	for (int i = 0; i < BOTH; i++)
		stream_close(&p.stream[1][i]);
	placed_stream(&p, 1); /* may have the slots of the one before */
	placed_prompt(&p, 1, 450, 8);
	placed_decode(&p, 1, 20, 9);
	placed_decode(&p, 2, 180, 10);
	for (int s = 0; s < 3; s++)
		placed_same_rows(&p, s);
	for (int s = 0; s < 3; s++)
		for (int i = 0; i < BOTH; i++)
			stream_close(&p.stream[s][i]);
	ck_assert_uint_eq(feed_stats(&p.feed[THERE]).used_host, 0);
	ck_assert_uint_eq(feed_stats(&p.feed[THERE]).used_open, 0);
	placed_close(&p);
}
END_TEST

/* Steps that are dropped leave nothing behind: neither rows in slots nor blocks on their way. */
START_TEST(test_aborted_steps)
{
	static struct placed p;
	placed_open(&p, fixture.context, fixture.queue, 2, _i, NULL);
	placed_stream(&p, 0);
	placed_prompt(&p, 0, 400, 1);
	for (uint64_t i = 0; i < 150; i++) {
		if (i % 10 == 0) {
			struct stream *s = &p.stream[0][THERE];
			struct feed_item item = {s, 3, CLKV_DECODE, 0, 50 + i};
			clkv_step *step = feed_begin(&p.feed[THERE], &item, 1, NULL);
			clkv_step_abort(step);
		}
		placed_decode(&p, 0, 1, 2);
	}
	placed_same_rows(&p, 0);
	placed_close(&p);
}
END_TEST

START_TEST(test_snapshots)
{
	static struct placed p;
	static struct stream loaded[BOTH];
	struct memory_file file[BOTH] = {{0}, {0}};
	placed_open(&p, fixture.context, fixture.queue, 2, _i, NULL);
	placed_stream(&p, 0);
	placed_prompt(&p, 0, 500, 1);
	placed_decode(&p, 0, 150, 2);
	for (int i = 0; i < BOTH; i++)
		memory_save(&p.feed[i], &p.stream[0][i], NULL, &file[i]);
	/* where blocks lie is no part of a snapshot */
	ck_assert_uint_eq(file[HERE].n, file[THERE].n);
	ck_assert_int_eq(memcmp(file[HERE].bytes, file[THERE].bytes, file[HERE].n), 0);
	for (int i = 0; i < BOTH; i++)
		memory_load(&p.feed[i], &file[1 - i], &p.stream[0][1 - i], &loaded[i]);
	for (int i = 0; i < BOTH; i++)
		p.stream[1][i] = loaded[i];
	placed_decode(&p, 1, 5, 3);
	placed_same_rows(&p, 1);
	for (int i = 0; i < BOTH; i++) {
		memory_save(&p.feed[i], &p.stream[0][i], "f16", &file[i]);
		file[i].at = 0;
	}
	ck_assert_int_eq(memcmp(file[HERE].bytes, file[THERE].bytes, file[HERE].n), 0);
	memory_close(&file[HERE]);
	memory_close(&file[THERE]);
	placed_close(&p);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("place");
	TCase *same = fixture_case(suite, "same", 120);
	tcase_add_loop_test(same, test_results_are_those_of_the_device, 0, 5);
	pairs_draw(&crossed, 3, (const size_t[]){PLACED_CASES, ROPES, 2}, false, CROSSED_SEED);
	tcase_add_loop_test(same, test_results_of_pairs, 0, fixture_full() ? (int)crossed.rows : 0);
	fixture_some(same, test_other_forms_and_queues_do_the_same, 4, 0, 3);
	fixture_some(same, test_batches_of_several_rows, PLACED_CASES, 0, 1, 4);
	fixture_some(same, test_forks_truncations_and_successors, PLACED_CASES, 0, 3, 4, 6);
	fixture_some(same, test_aborted_steps, PLACED_CASES, 0, 4);
	fixture_some(same, test_snapshots, PLACED_CASES, 0, 6, 9);
	return fixture_run_shared(suite);
}
