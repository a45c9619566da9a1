/* SPDX-License-Identifier: MIT */
/** \file check_events.c \brief Wait lists, done events and queues: nothing runs early, nothing blocks. */
#include "ref/ref_attend.h"
#include "ref/ref_half.h"
#include "store/cache.h"
#include "support/bounds.h"
#include "support/expect.h"
#include "support/fixture.h"
#include "support/inject.h"

#include <stdio.h>
#include <stdlib.h>

#define ROWS 9
#define HEADS 2
#define Q_HEADS 6
#define DIM 64

/* A tensor that gets its values on another queue, behind an event that the test sets at the end. */
struct late {
	struct tensor shown, source;
	cl_event written;
};

static void late_open(struct late *x, const struct feed *feed, cl_command_queue io, cl_event gate,
                      enum feed_side side, const uint64_t *row)
{
	double values[ROWS * Q_HEADS * DIM];
	size_t heads = feed_heads(feed, side);
	feed_rows(feed, 0, side, row, ROWS, values);
	tensor_open(&x->source, io, feed->in, ROWS, heads, DIM, values);
	tensor_open(&x->shown, io, feed->in, ROWS, heads, DIM, NULL);
	ck_assert_int_eq(clEnqueueCopyBuffer(io, x->source.t.mem, x->shown.t.mem, 0, 0, x->source.bytes,
	                                     1, &gate, &x->written),
	                 CL_SUCCESS);
}

static void late_close(struct late *x)
{
	clReleaseEvent(x->written);
	tensor_close(&x->shown);
	tensor_close(&x->source);
}

static void check_out(const struct feed *feed, const uint64_t *row, const struct tensor *out,
                      cl_command_queue io)
{
	double k[ROWS * HEADS * DIM], v[ROWS * HEADS * DIM];
	double got[ROWS * Q_HEADS * DIM], want[Q_HEADS * DIM], lse[Q_HEADS];
	feed_rows(feed, 0, FEED_K, row, ROWS, k);
	feed_rows(feed, 0, FEED_V, row, ROWS, v);
	for (size_t i = 0; i < (size_t)ROWS * HEADS * DIM; i++) {
		k[i] = ref_stored(k[i]);
		v[i] = ref_stored(v[i]);
	}
	tensor_read(out, io, got);
	for (size_t i = 0; i < ROWS; i++) {
		expect_reference(feed, 0, row[i], i, k, v, false, want, lse);
		ck_assert_double_le(
			ref_relative_error(got + i * (size_t)Q_HEADS * DIM, want, (size_t)Q_HEADS * DIM),
			BOUND_ATTEND_HALF);
	}
}

/* Begin, append, attend and commit return while the inputs aren't there yet; k is overwritten as soon
 * as append is done with it. */
static void run_gated(cl_command_queue queue, cl_command_queue io)
{
	struct feed feed = {.geometry = feed_usual(1), .value = feed_normal};
	uint64_t row[ROWS];
	struct late k, v, q;
	struct tensor out;
	cl_int code;
	cl_event gate = clCreateUserEvent(clkv_context_cl(fixture.context), &code);
	cl_event appended, filled, attended;
	clkv_error error;
	clkv_seq *seq;
	clkv_step *step;
	ck_assert_int_eq(code, CL_SUCCESS);
	for (size_t i = 0; i < ROWS; i++)
		row[i] = 100 + i;
	feed_open(&feed, fixture.context, queue, "f16", NULL);
	late_open(&k, &feed, io, gate, FEED_K, row);
	late_open(&v, &feed, io, gate, FEED_V, row);
	late_open(&q, &feed, io, gate, FEED_Q, row);
	tensor_open(&out, io, feed.out, ROWS, Q_HEADS, DIM, NULL);
	clFlush(io);
	feed_ok(clkv_seq_create(feed.cache, &seq, &error), &error, "clkv_seq_create");

	clkv_step_item item = {seq, ROWS, CLKV_DECODE};
	cl_event inputs[2] = {k.written, v.written};
	clkv_attend_args args = CLKV_INIT(clkv_attend_args);
	args.q = q.shown.t;
	args.out = out.t;
	feed_ok(clkv_step_begin(feed.cache, &item, 1, queue, &step, &error), &error, "clkv_step_begin");
	feed_ok(clkv_step_append(step, 0, &k.shown.t, &v.shown.t, 2, inputs, &appended, &error), &error,
	        "clkv_step_append");
	code = clEnqueueCopyBuffer(io, q.source.t.mem, k.shown.t.mem, 0, 0, k.shown.bytes, 1, &appended,
	                           &filled);
	ck_assert_int_eq(code, CL_SUCCESS);
	feed_ok(clkv_step_attend(step, 0, &args, 1, &q.written, &attended, &error), &error,
	        "clkv_step_attend");
	feed_ok(clkv_step_commit(step, NULL, &error), &error, "clkv_step_commit");
	clFlush(queue);
	clFlush(io);
	ck_assert_int_eq(
		clGetEventInfo(attended, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof code, &code, NULL),
		CL_SUCCESS);
	ck_assert_int_ne(code, CL_COMPLETE);

	ck_assert_int_eq(clSetUserEventStatus(gate, CL_COMPLETE), CL_SUCCESS);
	ck_assert_int_eq(clWaitForEvents(1, &attended), CL_SUCCESS);
	check_out(&feed, row, &out, io);
	ck_assert_int_eq(clFinish(io), CL_SUCCESS);
	clReleaseEvent(appended);
	clReleaseEvent(filled);
	clReleaseEvent(attended);
	clReleaseEvent(gate);
	late_close(&k);
	late_close(&v);
	late_close(&q);
	tensor_close(&out);
	feed_close(&feed);
}

START_TEST(test_wait_lists_hold_and_nothing_blocks)
{
	cl_command_queue io = fixture_queue(0);
	cl_command_queue queue = fixture_queue(_i ? CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE : 0);
	if (queue)
		run_gated(queue, io);
	else
		fprintf(stderr, "this device has no out-of-order queues: not tested\n");
	if (queue)
		clReleaseCommandQueue(queue);
	clReleaseCommandQueue(io);
}
END_TEST

/* Steps follow each other with no wait between their commands; only the library orders them. */
static void run_unordered(const char *recipe, cl_command_queue queue, struct feed_result *results,
                          size_t n)
{
	struct feed feed = {.geometry = feed_usual(2)};
	static struct stream stream;
	feed_open(&feed, fixture.context, queue, recipe, NULL);
	stream_open(&feed, &stream);
	for (size_t i = 0; i < n; i++)
		feed_one(&feed, &stream, i ? 1 + i % 3 : 200, i ? CLKV_DECODE : CLKV_PROMPT_END, i,
		         &results[i]);
	feed_close(&feed);
}

START_TEST(test_an_unordered_queue_gives_the_same_bits)
{
	struct feed_result ordered[4], unordered[4];
	struct feed feed = {.geometry = feed_usual(2)};
	cl_command_queue queue = fixture_queue(CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE);
	if (!queue)
		return;
	run_unordered("kivi:bits=4 ; window=32", fixture.queue, ordered, 4);
	run_unordered("kivi:bits=4 ; window=32", queue, unordered, 4);
	for (size_t i = 0; i < 4; i++) {
		ck_assert_double_eq(expect_difference(&feed, &unordered[i], &ordered[i]), 0.0);
		feed_result_close(&ordered[i]);
		feed_result_close(&unordered[i]);
	}
	clReleaseCommandQueue(queue);
}
END_TEST

/* The next step waits for an event of this queue, which isn't complete while the gate is closed. */
static void check_last(const struct feed *feed, cl_command_queue queue)
{
	cl_command_queue of = NULL;
	cl_int state = CL_COMPLETE;
	cl_event last = feed->cache->last_event;
	ck_assert_ptr_nonnull(last);
	ck_assert_int_eq(clGetEventInfo(last, CL_EVENT_COMMAND_QUEUE, sizeof of, &of, NULL),
	                 CL_SUCCESS);
	ck_assert_ptr_eq(of, queue);
	ck_assert_int_eq(
		clGetEventInfo(last, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof state, &state, NULL),
		CL_SUCCESS);
	ck_assert_int_gt(state, CL_COMPLETE);
}

/* A begin whose plan is on its way when a later call fails: the plan would overwrite that of the next step, on another
 * queue, which ends in rows of sequences that aren't there. A reading that can't wait for it changes nothing of that. */
START_TEST(test_what_a_failed_begin_has_enqueued_is_waited_for)
{
	static struct stream stream;
	struct feed feed = {.geometry = feed_usual(1), .lse = true};
	cl_command_queue other = fixture_queue(0);
	cl_int code;
	cl_event gate = clCreateUserEvent(clkv_context_cl(fixture.context), &code);
	clkv_step *step = NULL;
	clkv_error error;
	struct tensor k;
	feed_open(&feed, fixture.context, fixture.queue, "f16", NULL);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, 3, CLKV_PROMPT_END, 1, NULL);
	clkv_step_item item = {stream.seq, 80, CLKV_DECODE};
	ck_assert_int_eq(clEnqueueBarrierWithWaitList(other, 1, &gate, NULL), CL_SUCCESS);
	inject_refuse("clEnqueueNDRangeKernel", 0, 1, INJECT_CODE);
	clkv_status status = clkv_step_begin(feed.cache, &item, 1, other, &step, &error);
	inject_refuse("", 0, 0, CL_SUCCESS);
	ck_assert_int_eq(status, CLKV_ERROR_NO_DEVICE_MEMORY);
	check_last(&feed, other);
	struct tensor_layout f32 = {.dtype = CLKV_F32};
	tensor_open(&k, fixture.queue, f32, 3, HEADS, DIM, NULL);
	inject_refuse("clEnqueueBarrierWithWaitList", 0, 1, INJECT_CODE);
	status = clkv_seq_read(stream.seq, 0, 0, 3, &k.t, NULL, fixture.queue, &error);
	inject_refuse("", 0, 0, CL_SUCCESS);
	ck_assert_int_eq(status, CLKV_ERROR_NO_DEVICE_MEMORY);
	check_last(&feed, other);
	ck_assert_int_eq(clSetUserEventStatus(gate, CL_COMPLETE), CL_SUCCESS);
	expect_rows(&feed, &stream, 80, CLKV_DECODE, 2, EXPECT_GIVEN, BOUND_ATTEND_HALF);
	tensor_close(&k);
	clReleaseEvent(gate);
	feed_close(&feed);
	clReleaseCommandQueue(other);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("events");
	TCase *wait = fixture_case(suite, "wait", 60);
	tcase_add_loop_test(wait, test_wait_lists_hold_and_nothing_blocks, 0, 2);
	tcase_add_test(wait, test_an_unordered_queue_gives_the_same_bits);
	tcase_add_test(wait, test_what_a_failed_begin_has_enqueued_is_waited_for);
	return fixture_run_shared(suite);
}
