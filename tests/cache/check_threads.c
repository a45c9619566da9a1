/* SPDX-License-Identifier: MIT */
/** \file check_threads.c \brief A context is shared by threads, each with a cache and a queue of its own. */
#include "support/expect.h"
#include "support/fixture.h"

#include <pthread.h>
#include <sched.h>

#define THREADS 3

struct worker {
	pthread_t thread;
	struct feed feed;
	struct stream stream;
	struct feed_result result;
	const char *recipe;
	uint64_t seed;
};

static void work(struct worker *w)
{
	stream_open(&w->feed, &w->stream);
	feed_one(&w->feed, &w->stream, 150, CLKV_PROMPT_END, w->seed, NULL);
	for (uint64_t i = 0; i < 5; i++)
		feed_one(&w->feed, &w->stream, 20, CLKV_DECODE, w->seed + i, NULL);
	feed_one(&w->feed, &w->stream, 3, CLKV_DECODE, 99, &w->result);
}

static void *run(void *opaque)
{
	work(opaque);
	return NULL;
}

static const char *const recipes[THREADS] = {"f16", "kivi:bits=4 ; window=40", "q:k=8,v=4"};

static void open_worker(struct worker *w, size_t i, cl_command_queue queue)
{
	*w = (struct worker){.feed = {.geometry = feed_usual(2)}, .seed = 10 * i};
	feed_open(&w->feed, fixture.context, queue, recipes[i], NULL);
}

/* Kernels are built by the first who needs them: the caches begin together, with nothing built. */
START_TEST(test_threads_share_a_context)
{
	static struct worker alone[THREADS], together[THREADS];
	cl_command_queue queues[THREADS];
	for (size_t i = 0; i < THREADS; i++) {
		queues[i] = fixture_queue(0);
		open_worker(&together[i], i, queues[i]);
	}
	for (size_t i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&together[i].thread, NULL, run, &together[i]), 0);
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(together[i].thread, NULL);
	for (size_t i = 0; i < THREADS; i++) {
		open_worker(&alone[i], i, fixture.queue);
		work(&alone[i]);
		ck_assert_double_eq(
			expect_difference(&alone[i].feed, &together[i].result, &alone[i].result), 0.0);
		feed_result_close(&together[i].result);
		feed_result_close(&alone[i].result);
		feed_close(&together[i].feed);
		feed_close(&alone[i].feed);
		clReleaseCommandQueue(queues[i]);
	}
}
END_TEST

static void *make_and_drop(void *opaque)
{
	struct feed *feed = opaque;
	for (int i = 0; i < 200; i++) {
		clkv_seq *seq = NULL, *fork = NULL;
		if (clkv_seq_create(feed->cache, &seq, NULL) != CLKV_OK)
			continue;
		(void)clkv_seq_fork(seq, &fork, NULL);
		clkv_seq_destroy(seq);
		clkv_seq_destroy(fork);
		(void)feed_stats(feed);
	}
	return NULL;
}

/* Sequences come and go in two threads while a third takes steps. */
START_TEST(test_threads_share_a_cache)
{
	static struct stream stream;
	struct feed feed = {.geometry = feed_usual(2)};
	pthread_t threads[2];
	feed_open(&feed, fixture.context, fixture.queue, recipes[1], NULL);
	stream_open(&feed, &stream);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, make_and_drop, &feed), 0);
	for (uint64_t i = 0; i < 10; i++)
		expect_rows(&feed, &stream, 20, CLKV_DECODE, i, EXPECT_DECODED, 1e-4);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	stream_close(&stream);
	ck_assert_uint_eq(feed_stats(&feed).used_open, 0);
	ck_assert_uint_eq(feed_stats(&feed).sequences, 0);
	feed_close(&feed);
}
END_TEST

struct rival {
	pthread_t thread;
	struct feed *feed;
	clkv_seq *seq;
	int steps, busy, wrong;
};

/* Steps that hold the cache for a while, and are given up. */
static void *compete(void *opaque)
{
	struct rival *r = opaque;
	clkv_step_item item = {r->seq, 1, CLKV_DECODE};
	while (r->steps < 20 && r->wrong == 0) {
		clkv_step *step = NULL;
		clkv_error error;
		clkv_status status =
			clkv_step_begin(r->feed->cache, &item, 1, r->feed->queue, &step, &error);
		r->busy += status == CLKV_ERROR_BUSY;
		r->wrong += status != CLKV_OK && status != CLKV_ERROR_BUSY;
		sched_yield();
		if (status == CLKV_OK) {
			clkv_step_abort(step);
			r->steps++;
		}
	}
	return NULL;
}

/* One step at a time: who comes second is told so, and nothing else happens to either. */
START_TEST(test_a_cache_used_by_two_answers_busy)
{
	static struct stream stream[2];
	struct feed feed = {.geometry = feed_usual(2)};
	struct rival rival[2] = {{.wrong = 0}};
	feed_open(&feed, fixture.context, fixture.queue, recipes[0], NULL);
	for (int i = 0; i < 2; i++) {
		stream_open(&feed, &stream[i]);
		rival[i].feed = &feed;
		rival[i].seq = stream[i].seq;
	}
	struct feed_item held = {&stream[0], 1, CLKV_DECODE, 0, 1};
	clkv_step *step = feed_begin(&feed, &held, 1, NULL), *second = NULL;
	clkv_step_item item = {stream[1].seq, 1, CLKV_DECODE};
	ck_assert_int_eq(clkv_step_begin(feed.cache, &item, 1, feed.queue, &second, NULL),
	                 CLKV_ERROR_BUSY);
	ck_assert_ptr_null(second);
	clkv_step_abort(step);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(pthread_create(&rival[i].thread, NULL, compete, &rival[i]), 0);
	for (int i = 0; i < 2; i++)
		pthread_join(rival[i].thread, NULL);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(rival[i].wrong, 0);
		ck_assert_int_eq(rival[i].steps, 20);
		ck_assert_uint_eq(stream_info(&stream[i]).length, 0);
		expect_rows(&feed, &stream[i], 5, CLKV_DECODE, 1, EXPECT_GIVEN, 1e-4);
		stream_close(&stream[i]);
	}
	ck_assert_uint_eq(feed_stats(&feed).used_open, 0);
	feed_close(&feed);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("threads");
	TCase *share = fixture_case(suite, "share", 60);
	tcase_add_test(share, test_threads_share_a_context);
	tcase_add_test(share, test_threads_share_a_cache);
	tcase_add_test(share, test_a_cache_used_by_two_answers_busy);
	return fixture_run(suite);
}
