/* SPDX-License-Identifier: MIT */
/** \file check_host_tensors.c \brief Tensors in host memory: used in place, or copied to the device and back. */
#include "support/each.h"
#include "support/expect.h"
#include "support/fixture.h"
#include "support/inject.h"
#include "support/kinds.h"

#include "device/context.h"

#include <string.h>

enum { ITEMS = 2 };

static const struct kind hosted[] = {
	{.recipe = "f16", .layers = 2},
	{.recipe = "kivi:bits=4 ; window=40,sinks=3", .layers = 2},
	{.recipe = "clusterkv:recall=64,per=8,every=128 | place:host,via=attend ; window=32,sinks=5",
     .layers = 2,
     .moves = true,
     .indexes = true},
	{.recipe = "h2o:budget=72,recent=0.5 ; window=16,sinks=4,block=32,seal=prompt,skip=0",
     .layers = 1,
     .selects = true,
     .weighs = true},
};
enum { HOSTED = sizeof hosted / sizeof hosted[0] };

/* Elements beside each other and apart, at boundaries of pages and anywhere, of 4 and of 2 bytes. */
static const struct tensor_layout layouts[] = {
	{.dtype = CLKV_F32, .host = true},
	{.dtype = CLKV_F32, .host = true, .skew = 4, .head_gap = 3, .token_gap = 5},
	{.dtype = CLKV_F16, .host = true, .skew = 38, .offset = 7},
};
enum { LAYOUTS = sizeof layouts / sizeof layouts[0] };

static void open_feed(struct feed *feed, const struct kind *kind, struct tensor_layout layout,
                      struct stream *streams)
{
	static const float sinks[6] = {0.5f, -1, 2, 0, 0.25f, 1};
	*feed = (struct feed){.geometry = feed_usual(kind->layers),
	                      .lse = true,
	                      .observe = kind->weighs,
	                      .in = layout,
	                      .out = layout,
	                      .sinks = sinks};
	feed_open(feed, fixture.context, fixture.queue, kind->recipe, NULL);
	for (size_t s = 0; s < ITEMS; s++)
		stream_open(feed, &streams[s]);
}

/* Rows apart, so that something lies between them that must stay. */
static void step(struct feed *feed, struct stream *s, size_t n, clkv_phase phase, uint64_t seed,
                 struct feed_result *result)
{
	const size_t first[ITEMS] = {n + 9, 2};
	struct feed_item items[] = {{&s[0], n, phase, 0, seed}, {&s[1], n, phase, 0, seed + 1}};
	feed->first_rows = first;
	feed_step(feed, items, ITEMS, result);
	feed->first_rows = NULL;
}

/* The same bits as from buffers, and no byte beside an element changes; on devices that share the host's memory, and by
 * copies as on those that don't. */
START_TEST(test_host_memory_is_as_good_as_buffers)
{
	static struct stream by_buffer[ITEMS], by_host[ITEMS];
	const struct kind *kind = &hosted[_i / 2];
	bool unified = fixture.context->unified;
	for (int i = 0; i < LAYOUTS; i++) {
		struct tensor_layout plain = {.dtype = layouts[i].dtype};
		struct feed a, b;
		uint64_t device = inject_device_bytes();
		open_feed(&a, kind, plain, by_buffer);
		open_feed(&b, kind, layouts[i], by_host);
		uint64_t open = inject_device_bytes();
		fixture.context->unified = unified && _i % 2 == 0;
		for (uint64_t t = 0; t < 3; t++) {
			struct feed_result x, y;
			size_t n = t == 0 ? 210 : t;
			step(&a, by_buffer, n, t == 0 ? CLKV_PROMPT_END : CLKV_DECODE, 10 * t, &x);
			step(&b, by_host, n, t == 0 ? CLKV_PROMPT_END : CLKV_DECODE, 10 * t, &y);
			kind_same_outputs(&a, &x, &y, kind->recipe);
			feed_result_close(&x);
			feed_result_close(&y);
		}
		for (size_t s = 0; s < ITEMS; s++)
			kind_same_streams(kind, &a, &by_buffer[s], &b, &by_host[s], kind->recipe);
		ck_assert_uint_eq(inject_device_bytes(), open); /* the buffers of calls have gone */
		fixture.context->unified = unified;
		feed_close(&a);
		feed_close(&b);
		ck_assert_uint_eq(inject_device_bytes(), device);
	}
}
END_TEST

/* Rows that are read come to host memory, too. */
START_TEST(test_rows_are_read_into_host_memory)
{
	static struct stream s[ITEMS];
	static double want[90 * 2 * 64], got[90 * 2 * 64];
	struct feed feed;
	struct tensor k;
	clkv_error error;
	bool unified = fixture.context->unified;
	open_feed(&feed, &hosted[1], layouts[0], s);
	feed_one(&feed, &s[0], 120, CLKV_PROMPT_END, 1, NULL);
	feed_read(&feed, &s[0], 1, 20, 90, want, NULL);
	fixture.context->unified = unified && _i == 0;
	tensor_open(&k, feed.queue, layouts[1], 90, 2, 64, NULL);
	feed_ok(clkv_seq_read(s[0].seq, 1, 20, 90, &k.t, NULL, feed.queue, &error), &error, "read");
	fixture.context->unified = unified;
	tensor_read(&k, feed.queue, got);
	ck_assert_mem_eq(got, want, sizeof want);
	tensor_close(&k);
	feed_close(&feed);
}
END_TEST

/* An output may be read once its event has completed, whatever else the queue does, and inputs are read behind the caller's
 * event. */
START_TEST(test_events_say_when_memory_is_the_callers)
{
	enum { ROWS = 40 };
	static float k[ROWS * 2 * 64], q[ROWS * 6 * 64], out[ROWS * 6 * 64];
	static struct stream s[ITEMS];
	struct feed feed;
	clkv_attend_args args = CLKV_INIT(clkv_attend_args);
	clkv_step *open;
	clkv_error error;
	cl_int code;
	cl_command_queue queue = fixture_queue(_i / 2 ? CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE : 0);
	bool unified = fixture.context->unified;
	queue = queue ? queue : fixture_queue(0);
	open_feed(&feed, &hosted[0], layouts[0], s);
	fixture.context->unified = unified && _i % 2 == 0;
	for (size_t i = 0; i < sizeof out / sizeof *out; i++)
		out[i] = 7;
	cl_event ready = clCreateUserEvent(clkv_context_cl(fixture.context), &code), done;
	ck_assert_int_eq(code, CL_SUCCESS);
	const clkv_step_item item = {s[0].seq, ROWS, CLKV_PROMPT};
	clkv_tensor rows = {.host = k};
	args.q.host = q, args.out.host = out;
	feed_ok(clkv_step_begin(feed.cache, &item, 1, queue, &open, &error), &error, "begin");
	feed_ok(clkv_step_append(open, 0, &rows, &rows, 1, &ready, NULL, &error), &error, "append");
	feed_ok(clkv_step_attend(open, 0, &args, 1, &ready, &done, &error), &error, "attend");
	/* all keys are 0, so each value of V counts the same */
	for (size_t i = 0; i < sizeof k / sizeof *k; i++)
		k[i] = 0.5f;
	ck_assert_int_eq(clSetUserEventStatus(ready, CL_COMPLETE), CL_SUCCESS);
	ck_assert_int_eq(clWaitForEvents(1, &done), CL_SUCCESS);
	for (size_t i = 0; i < sizeof out / sizeof *out; i++)
		ck_assert_msg(out[i] > 0.4999f && out[i] < 0.5001f, "out[%zu] is %g", i, (double)out[i]);
	clReleaseEvent(ready);
	clReleaseEvent(done);
	clkv_step_abort(open);
	clFinish(queue);
	clReleaseCommandQueue(queue);
	fixture.context->unified = unified;
	feed_close(&feed);
}
END_TEST

static void expect_error(clkv_status status, const clkv_error *error, const char *part)
{
	ck_assert_int_eq(status, CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_msg(strstr(error->text, part), "'%s' lacks '%s'", error->text, part);
}

START_TEST(test_memory_that_cannot_be_is_refused)
{
	static float numbers[6 * 64 + 1];
	static struct stream s[ITEMS];
	struct feed feed;
	struct tensor k;
	clkv_attend_args args = CLKV_INIT(clkv_attend_args);
	clkv_step *open;
	clkv_error error;
	open_feed(&feed, &hosted[0], layouts[0], s);
	const clkv_step_item item = {s[0].seq, 1, CLKV_DECODE};
	feed_ok(clkv_step_begin(feed.cache, &item, 1, feed.queue, &open, &error), &error, "begin");
	clkv_tensor good = {.host = numbers}, skewed = {.host = (char *)numbers + 2},
				none = {.mem = NULL};
	tensor_open(&k, feed.queue, (struct tensor_layout){.dtype = CLKV_F32}, 1, 2, 64, NULL);
	clkv_tensor both = k.t;
	both.host = numbers;
	expect_error(clkv_step_append(open, 0, &both, &good, 0, NULL, NULL, &error), &error,
	             "k: mem and host are given");
	expect_error(clkv_step_append(open, 0, &good, &skewed, 0, NULL, NULL, &error), &error,
	             "v: host");
	expect_error(clkv_step_append(open, 0, &good, &none, 0, NULL, NULL, &error), &error, "v: mem");
	good.token_stride = SIZE_MAX / 2;
	good.head_stride = SIZE_MAX / 2;
	expect_error(clkv_step_append(open, 0, &good, &good, 0, NULL, NULL, &error), &error, "k: ");
	good.token_stride = good.head_stride = 0;
	feed_ok(clkv_step_append(open, 0, &good, &good, 0, NULL, NULL, &error), &error, "append");
	args.q = args.out = good;
	args.lse = k.t.mem;
	args.lse_host = numbers;
	expect_error(clkv_step_attend(open, 0, &args, 0, NULL, NULL, &error), &error,
	             "lse and lse_host are given");
	clkv_step_abort(open);
	tensor_close(&k);
	feed_close(&feed);
}
END_TEST

/* Whatever call fails, no buffer is left, and the same step succeeds. */
START_TEST(test_failures_leave_no_buffers)
{
	static float k[4 * 2 * 64], q[4 * 6 * 64], out[4 * 6 * 64], lse[4 * 6];
	static struct stream s[ITEMS];
	struct feed feed;
	clkv_attend_args args = CLKV_INIT(clkv_attend_args);
	clkv_tensor rows = {.host = k};
	bool unified = fixture.context->unified, failed = true;
	open_feed(&feed, &hosted[0], layouts[0], s);
	fixture.context->unified = unified && _i == 0;
	args.q.host = q, args.out.host = out, args.lse_host = lse;
	clkv_error warm;
	feed_ok(clkv_cache_warm(feed.cache, NULL, NULL, &warm), &warm, "clkv_cache_warm");
	uint64_t device = inject_device_bytes();
	for (int n = 0; failed; n++) {
		clkv_step *open;
		clkv_error error;
		const clkv_step_item item = {s[0].seq, 4, CLKV_DECODE};
		feed_ok(clkv_step_begin(feed.cache, &item, 1, feed.queue, &open, &error), &error, "begin");
		inject_cl_arm(n);
		clkv_status status = clkv_step_append(open, 0, &rows, &rows, 0, NULL, NULL, &error);
		if (status == CLKV_OK)
			status = clkv_step_attend(open, 0, &args, 0, NULL, NULL, &error);
		failed = inject_cl_disarm();
		ck_assert_msg((status == CLKV_OK) == !failed, "call %d: %s", n, error.text);
		ck_assert_uint_eq(inject_device_bytes(), device);
		clkv_step_abort(open);
	}
	fixture.context->unified = unified;
	feed_close(&feed);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("host_tensors");
	TCase *tcase = fixture_case(suite, "host_tensors", 20);
	tcase_add_loop_test(tcase, test_host_memory_is_as_good_as_buffers, 0, 2 * HOSTED);
	tcase_add_loop_test(tcase, test_rows_are_read_into_host_memory, 0, 2);
	tcase_add_loop_test(tcase, test_events_say_when_memory_is_the_callers, 0, 4);
	tcase_add_test(tcase, test_memory_that_cannot_be_is_refused);
	tcase_add_loop_test(tcase, test_failures_leave_no_buffers, 0, 2);
	return fixture_run(suite);
}
