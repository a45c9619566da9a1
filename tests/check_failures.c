/* SPDX-License-Identifier: MIT */
/**
 * \file    check_failures.c
 * \brief   Every allocation and every OpenCL call fails in turn: an error, and nothing has changed.
 */
#include "support/expect.h"
#include "support/fixture.h"
#include "support/inject.h"

#include <string.h>

#define RECIPE "kivi:bits=4 ; window=40,sinks=3"
/* Blocks of one size, of their own with code tables, and pruned by queries that were kept: they go different ways. */
static const char *const recipes[] = {RECIPE, "kvcomp:entropy=huffman ; window=40,sinks=3",
                                      "spark:mode=group,values=0.5 ; window=40,sinks=3,seal=chunk"};
enum { RECIPES = 3 };
#define TRIES 400 /* far above the calls of any operation */

enum kind { ALLOC, CALL, KINDS };
enum operation { BEGIN, APPEND, ATTEND, COMMIT, OPERATIONS };

static clkv_geometry geometry(void)
{
	return feed_usual(2);
}

static void arm(enum kind kind, int n)
{
	if (kind == ALLOC)
		inject_alloc_arm(n);
	else
		inject_cl_arm(n);
}

/* Whether the armed failure has happened. */
static bool disarm(enum kind kind)
{
	return kind == ALLOC ? inject_alloc_disarm() : inject_cl_disarm();
}

static void check_error(clkv_status status, const clkv_error *error, enum kind kind)
{
	ck_assert_int_eq(error->status, status);
	ck_assert_uint_gt(strlen(error->text), 10);
	if (kind == ALLOC) {
		ck_assert_msg(status == CLKV_ERROR_NO_HOST_MEMORY, "%s: %s", clkv_status_string(status),
		              error->text);
		return;
	}
	ck_assert_msg(status == CLKV_ERROR_OPENCL || status == CLKV_ERROR_NO_DEVICE_MEMORY ||
	                  status == CLKV_ERROR_BUILD,
	              "%s: %s", clkv_status_string(status), error->text);
	ck_assert_msg(error->cl_code == INJECT_CODE, "code %d (%s)", (int)error->cl_code, error->text);
	ck_assert_str_eq(error->call, inject_cl_name());
}

/* ---------------------------------------------------------------- creation ---- */

START_TEST(test_creation_fails_cleanly)
{
	enum kind kind = (enum kind)(_i % KINDS);
	clkv_geometry g = geometry();
	clkv_cache_options o = CLKV_INIT(clkv_cache_options);
	const uint64_t device = inject_device_bytes(), host = inject_host_bytes();
	bool happened = true;
	int failed = 0;
	o.max_tokens = 512;
	for (int n = 0; n < TRIES && happened; n++) {
		clkv_cache *cache = NULL;
		clkv_error error;
		clkv_context *context = fixture_open(); /* which keeps the programs it was asked for */
		arm(kind, n);
		clkv_status status =
			clkv_cache_create(context, &g, recipes[_i / KINDS], &o, &cache, &error);
		happened = disarm(kind);
		ck_assert((status == CLKV_OK) == (cache != NULL));
		clkv_cache_destroy(cache);
		ck_assert_uint_eq(inject_device_bytes(), device);
		clkv_context_destroy(context);
		ck_assert_uint_eq(inject_host_bytes(), host);
		if (status == CLKV_OK)
			continue;
		failed++;
		check_error(status, &error, kind);
	}
	ck_assert_msg(!happened && failed > 2, "%d failures", failed);
}
END_TEST

START_TEST(test_opening_a_context_fails_cleanly)
{
	enum kind kind = (enum kind)_i;
	uint64_t host_before = inject_host_bytes();
	bool happened = true;
	int failed = 0;
	for (int n = 0; n < TRIES && happened; n++) {
		clkv_context *context = NULL;
		clkv_error error;
		arm(kind, n);
		clkv_status status = fixture_try_open(&context, &error);
		happened = disarm(kind);
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

struct trial {
	struct feed *feed;
	struct stream *stream;
	enum kind kind;
	enum operation operation;
	int n;
	bool happened;
	struct tensor k, v, q, out;
};

struct state {
	clkv_stats stats;
	clkv_seq_info info;
};

static struct state state_of(const struct trial *t)
{
	struct state s = {feed_stats(t->feed), stream_info(t->stream)};
	s.stats.host_ns = s.stats.launches = 0;
	return s;
}

static void trial_arm(const struct trial *t, enum operation operation)
{
	if (t->operation == operation)
		arm(t->kind, t->n);
}

/* True if the operation has to be done again. */
static bool trial_failed(struct trial *t, enum operation operation, clkv_status status,
                         const clkv_error *error)
{
	if (t->operation == operation)
		t->happened = disarm(t->kind);
	if (status == CLKV_OK)
		return false;
	ck_assert(t->operation == operation && t->happened);
	check_error(status, error, t->kind);
	return true;
}

static clkv_step *trial_begin(struct trial *t)
{
	clkv_step_item item = {t->stream->seq, t->k.rows, CLKV_PROMPT_END};
	clkv_step *step = NULL;
	clkv_error error;
	struct state before = state_of(t), after;
	trial_arm(t, BEGIN);
	clkv_status status = clkv_step_begin(t->feed->cache, &item, 1, t->feed->queue, &step, &error);
	if (trial_failed(t, BEGIN, status, &error)) {
		ck_assert_ptr_null(step);
		after = state_of(t);
		ck_assert_int_eq(memcmp(&before, &after, sizeof before), 0);
		feed_ok(clkv_step_begin(t->feed->cache, &item, 1, t->feed->queue, &step, &error), &error,
		        "begin again");
	}
	return step;
}

static void trial_layers(struct trial *t, clkv_step *step)
{
	clkv_attend_args args = CLKV_INIT(clkv_attend_args);
	clkv_error error;
	args.q = t->q.t;
	args.out = t->out.t;
	for (int layer = 0; layer < 2; layer++) {
		enum operation append = layer ? APPEND : OPERATIONS, attend = layer ? ATTEND : OPERATIONS;
		trial_arm(t, append);
		clkv_status status = clkv_append(step, layer, &t->k.t, &t->v.t, 0, NULL, NULL, &error);
		if (trial_failed(t, append, status, &error))
			feed_ok(clkv_append(step, layer, &t->k.t, &t->v.t, 0, NULL, NULL, &error), &error,
			        "append again");
		trial_arm(t, attend);
		status = clkv_attend(step, layer, &args, 0, NULL, NULL, &error);
		if (trial_failed(t, attend, status, &error))
			feed_ok(clkv_attend(step, layer, &args, 0, NULL, NULL, &error), &error, "attend again");
	}
}

/* After a failed commit the step is open: every other time it is committed again, else it is dropped
 * and the whole step repeated. */
static void trial_run(struct trial *t, double *out)
{
	clkv_error error;
	clkv_step *step = trial_begin(t);
	trial_layers(t, step);
	trial_arm(t, COMMIT);
	clkv_status status = clkv_commit(step, NULL, &error);
	if (trial_failed(t, COMMIT, status, &error)) {
		if (t->n % 2) {
			clkv_step_abort(step);
			ck_assert_uint_eq(stream_info(t->stream).length, t->stream->n);
			step = trial_begin(t);
			trial_layers(t, step);
		}
		feed_ok(clkv_commit(step, NULL, &error), &error, "commit again");
	}
	tensor_read(&t->out, t->feed->queue, out);
	t->stream->n += t->k.rows;
	for (size_t i = 0; i < t->k.rows; i++) /* rows of its own: they aren't named by the feed */
		t->stream->row[t->stream->n - 1 - i] = 0;
}

static void open_tensors(struct trial *t, size_t rows)
{
	struct tensor_layout f32 = {.dtype = CLKV_F32};
	uint64_t row[70];
	double values[70 * 6 * 64];
	for (size_t i = 0; i < rows; i++)
		row[i] = i + 5;
	feed_rows(t->feed, 0, FEED_K, row, rows, values);
	tensor_open(&t->k, t->feed->queue, f32, rows, 2, 64, values);
	feed_rows(t->feed, 0, FEED_V, row, rows, values);
	tensor_open(&t->v, t->feed->queue, f32, rows, 2, 64, values);
	feed_rows(t->feed, 0, FEED_Q, row, rows, values);
	tensor_open(&t->q, t->feed->queue, f32, rows, 6, 64, values);
	tensor_open(&t->out, t->feed->queue, f32, rows, 6, 64, NULL);
}

/* A fork of the same base takes the same step with and without the failure: copies of shared blocks,
 * sealing and all. */
static int try_all(struct feed *feed, struct stream *base, struct trial *t)
{
	static struct stream broken, clean;
	static double got[70 * 6 * 64], want[70 * 6 * 64];
	int failed = 0;
	t->feed = feed;
	open_tensors(t, 70);
	t->happened = true;
	for (t->n = 0; t->n < TRIES && t->happened; t->n++) {
		enum operation operation = t->operation;
		uint64_t host = inject_host_bytes();
		stream_fork(feed, base, &broken);
		t->stream = &broken;
		trial_run(t, got);
		failed += t->happened;
		stream_fork(feed, base, &clean);
		t->stream = &clean;
		t->operation = OPERATIONS;
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
	tensor_close(&t->k);
	tensor_close(&t->v);
	tensor_close(&t->q);
	tensor_close(&t->out);
	return failed;
}

START_TEST(test_steps_fail_cleanly)
{
	static struct stream base;
	struct feed feed = {.geometry = geometry()};
	struct trial trial = {.kind = (enum kind)(_i / OPERATIONS % KINDS),
	                      .operation = (enum operation)(_i % OPERATIONS)};
	uint64_t host_before = inject_host_bytes();
	clkv_context *context = fixture_open();
	cl_command_queue queue = fixture_queue_of(context);
	feed_open(&feed, context, queue, recipes[_i / (OPERATIONS * KINDS)], NULL);
	stream_open(&feed, &base);
	feed_one(&feed, &base, 100, CLKV_PROMPT, 1, NULL);
	clkv_stats before = feed_stats(&feed), after;
	int failed = try_all(&feed, &base, &trial);
	ck_assert_msg(trial.kind == ALLOC || failed > 0, "no call was made to fail");
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
	enum kind kind = (enum kind)_i;
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
		arm(kind, n);
		clkv_status forked = clkv_seq_fork(base.seq, &seq, &error);
		happened = disarm(kind);
		if (forked == CLKV_OK)
			ck_assert_int_eq(clkv_seq_destroy(seq), CLKV_OK);
		else
			check_error(forked, &error, kind);
		arm(kind, n);
		clkv_status read = clkv_seq_read(base.seq, 1, 0, 150, &k.t, NULL, queue, &error);
		happened = disarm(kind) || happened;
		if (read != CLKV_OK)
			check_error(read, &error, kind);
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
	tcase_add_loop_test(create, test_creation_fails_cleanly, 0, RECIPES * KINDS);
	tcase_add_loop_test(create, test_opening_a_context_fails_cleanly, 0, KINDS);
	tcase_add_loop_test(step, test_steps_fail_cleanly, 0, RECIPES * KINDS * OPERATIONS);
	tcase_add_loop_test(step, test_forks_and_reads_fail_cleanly, 0, KINDS);
	return fixture_run(suite);
}
