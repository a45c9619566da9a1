/* SPDX-License-Identifier: MIT */
/**
 * \file    check_failures.c
 * \brief   Every allocation and every OpenCL call fails in turn: an error, and nothing has changed.
 */
#include "support/expect.h"
#include "support/fixture.h"
#include "support/inject.h"
#include "support/rotation.h"
#include "support/trial.h"

#include <string.h>

#define RECIPE "kivi:bits=4 ; window=40,sinks=3"
/* Blocks of one size, of their own with code tables, and pruned by queries that were kept: they go different ways.
 * Made only: matrices come with the options, and steps go the first one's way. */
static const char *const recipes[] = {RECIPE, "kvcomp:entropy=huffman ; window=40,sinks=3",
                                      "spark:mode=group,values=0.5 ; window=40,sinks=3,seal=chunk",
                                      "q:k=4,v=4,rot=file ; window=40,sinks=3"};
enum { RECIPES = 3, CREATED = 4 };
#define TRIES 400 /* far above the calls of any operation */

static clkv_geometry geometry(void)
{
	return feed_usual(2);
}

/* ---------------------------------------------------------------- creation ---- */

START_TEST(test_creation_fails_cleanly)
{
	enum fault fault = (enum fault)(_i % FAULTS);
	clkv_geometry g = geometry();
	clkv_cache_options o = CLKV_INIT(clkv_cache_options);
	const uint64_t device = inject_device_bytes(), host = inject_host_bytes();
	bool happened = true;
	int failed = 0;
	o.max_tokens = 512;
	struct memory_file rotation = {0};
	if (strstr(recipes[_i / FAULTS], "rot=file")) {
		rotation = rotation_file(&g, ROTATION_RANDOM, 1);
		o.rotation = rotation.bytes;
		o.rotation_size = rotation.n;
	}
	for (int n = 0; n < TRIES && happened; n++) {
		clkv_cache *cache = NULL;
		clkv_error error;
		clkv_context *context = fixture_open(); /* which keeps the programs it was asked for */
		fault_arm(fault, n);
		clkv_status status =
			clkv_cache_create(context, &g, recipes[_i / FAULTS], &o, &cache, &error);
		happened = fault_disarm(fault);
		ck_assert((status == CLKV_OK) == (cache != NULL));
		clkv_cache_destroy(cache);
		ck_assert_uint_eq(inject_device_bytes(), device);
		clkv_context_destroy(context);
		ck_assert_uint_eq(inject_host_bytes(), host);
		failed += status != CLKV_OK;
		fault_expect(fault, status, &error);
	}
	ck_assert_msg(!happened && failed > 2, "%d failures", failed);
	memory_close(&rotation);
}
END_TEST

START_TEST(test_opening_a_context_fails_cleanly)
{
	enum fault fault = (enum fault)_i;
	uint64_t host_before = inject_host_bytes();
	bool happened = true;
	int failed = 0;
	for (int n = 0; n < TRIES && happened; n++) {
		clkv_context *context = NULL;
		clkv_error error;
		fault_arm(fault, n);
		clkv_status status = fixture_try_open(&context, &error);
		happened = fault_disarm(fault);
		if (status == CLKV_OK) {
			clkv_context_destroy(context);
			continue;
		}
		failed++;
		ck_assert_ptr_null(context);
		ck_assert_int_eq(error.status, status);
		ck_assert_uint_eq(inject_host_bytes(), host_before);
	}
	ck_assert_msg(!happened && failed > 0, "%d failures", failed);
}
END_TEST

/* ---------------------------------------------------------------- steps ---- */

/* A fork of the same base takes the same step with and without the failure: copies of shared blocks,
 * sealing and all. */
static int try_all(struct feed *feed, struct stream *base, struct trial *t)
{
	static struct stream broken, clean;
	static double got[TRIAL_ROWS * 6 * 64], want[TRIAL_ROWS * 6 * 64];
	int failed = 0;
	trial_open(t, feed, TRIAL_ROWS);
	t->happened = true;
	for (t->n = 0; t->n < TRIES && t->happened; t->n++) {
		enum trial_operation operation = t->operation;
		uint64_t host = inject_host_bytes();
		stream_fork(feed, base, &broken);
		t->stream = &broken;
		trial_run(t, got);
		failed += t->happened;
		stream_fork(feed, base, &clean);
		t->stream = &clean;
		t->operation = TRIAL_NOTHING;
		trial_run(t, want);
		t->operation = operation;
		ck_assert_int_eq(memcmp(got, want, sizeof got), 0);
		expect_same_cache(feed, &broken, &clean);
		ck_assert_uint_eq(stream_info(&broken).sealed, stream_info(&clean).sealed);
		stream_close(&broken);
		stream_close(&clean);
		ck_assert_uint_eq(inject_host_bytes(), host);
	}
	ck_assert(!t->happened);
	trial_close(t);
	return failed;
}

START_TEST(test_steps_fail_cleanly)
{
	static struct stream base;
	struct feed feed = {.geometry = geometry()};
	struct trial trial = {.phase = CLKV_PROMPT_END,
	                      .fault = (enum fault)(_i / TRIAL_OPERATIONS % FAULTS),
	                      .operation = (enum trial_operation)(_i % TRIAL_OPERATIONS)};
	uint64_t host_before = inject_host_bytes();
	clkv_context *context = fixture_open();
	cl_command_queue queue = fixture_queue_of(context);
	feed_open(&feed, context, queue, recipes[_i / TRIAL_OPERATIONS / FAULTS], NULL);
	stream_open(&feed, &base);
	feed_one(&feed, &base, 100, CLKV_PROMPT, 1, NULL);
	clkv_stats before = feed_stats(&feed), after;
	int failed = try_all(&feed, &base, &trial);
	ck_assert_msg(trial.fault == FAULT_ALLOC || failed > 0, "no call was made to fail");
	after = feed_stats(&feed);
	ck_assert_uint_eq(after.used_sealed, before.used_sealed);
	ck_assert_uint_eq(after.used_open, before.used_open);
	feed_close(&feed);
	clReleaseCommandQueue(queue);
	clkv_context_destroy(context);
	ck_assert_uint_eq(inject_host_bytes(), host_before);
}
END_TEST

/* ---------------------------------------------------------------- sequences ---- */

START_TEST(test_forks_and_reads_fail_cleanly)
{
	enum fault fault = (enum fault)_i;
	static struct stream base, fork;
	struct feed feed = {.geometry = geometry()};
	struct tensor_layout f32 = {.dtype = CLKV_F32};
	struct tensor k;
	clkv_context *context = fixture_open();
	cl_command_queue queue = fixture_queue_of(context);
	clkv_error error;
	bool happened = true;
	feed_open(&feed, context, queue, RECIPE, NULL);
	stream_open(&feed, &base);
	feed_one(&feed, &base, 150, CLKV_PROMPT_END, 1, NULL);
	tensor_open(&k, queue, f32, 150, 2, 64, NULL);
	for (int n = 0; n < TRIES && happened; n++) {
		clkv_stats before = feed_stats(&feed), after;
		clkv_seq *seq = NULL;
		fault_arm(fault, n);
		clkv_status forked = clkv_seq_fork(base.seq, &seq, &error);
		happened = fault_disarm(fault);
		if (forked == CLKV_OK)
			clkv_seq_destroy(seq);
		fault_expect(fault, forked, &error);
		fault_arm(fault, n);
		clkv_status read = clkv_seq_read(base.seq, 1, 0, 150, &k.t, NULL, queue, &error);
		happened = fault_disarm(fault) || happened;
		fault_expect(fault, read, &error);
		after = feed_stats(&feed);
		ck_assert_uint_eq(after.used_open, before.used_open);
		ck_assert_uint_eq(after.used_sealed, before.used_sealed);
		ck_assert_uint_eq(after.sequences, before.sequences);
	}
	ck_assert(!happened);
	stream_fork(&feed, &base, &fork);
	expect_same_cache(&feed, &base, &fork);
	tensor_close(&k);
	feed_close(&feed);
	clReleaseCommandQueue(queue);
	clkv_context_destroy(context);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("failures");
	TCase *create = fixture_case(suite, "create", 120), *step = fixture_case(suite, "step", 120);
	tcase_add_loop_test(create, test_creation_fails_cleanly, 0, CREATED * FAULTS);
	tcase_add_loop_test(create, test_opening_a_context_fails_cleanly, 0, FAULTS);
	tcase_add_loop_test(step, test_steps_fail_cleanly, 0, RECIPES * FAULTS * TRIAL_OPERATIONS);
	tcase_add_loop_test(step, test_forks_and_reads_fail_cleanly, 0, FAULTS);
	return fixture_run(suite);
}
