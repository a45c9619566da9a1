/* SPDX-License-Identifier: MIT */
/** \file trial.c \brief Steps that fail somewhere. */
#include "trial.h"

#include <check.h>
#include <string.h>

void trial_open(struct trial *t, struct feed *feed, size_t rows)
{
	struct tensor_layout f32 = {.dtype = CLKV_F32};
	static double values[TRIAL_ROWS * 6 * 64];
	uint64_t row[TRIAL_ROWS];
	ck_assert_uint_le(rows, TRIAL_ROWS);
	t->feed = feed;
	for (size_t i = 0; i < rows; i++)
		row[i] = i + 5;
	feed_rows(feed, 0, FEED_K, row, rows, values);
	tensor_open(&t->k, feed->queue, f32, rows, 2, 64, values);
	feed_rows(feed, 0, FEED_V, row, rows, values);
	tensor_open(&t->v, feed->queue, f32, rows, 2, 64, values);
	feed_rows(feed, 0, FEED_Q, row, rows, values);
	tensor_open(&t->q, feed->queue, f32, rows, 6, 64, values);
	tensor_open(&t->out, feed->queue, f32, rows, 6, 64, NULL);
}

void trial_close(struct trial *t)
{
	tensor_close(&t->k);
	tensor_close(&t->v);
	tensor_close(&t->q);
	tensor_close(&t->out);
}

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

static void arm(const struct trial *t, enum trial_operation operation)
{
	if (t->operation == operation)
		fault_arm(t->fault, t->n);
}

/* True if the operation has to be done again. */
static bool failed(struct trial *t, enum trial_operation operation, clkv_status status,
                   const clkv_error *error)
{
	if (t->operation == operation)
		t->happened = fault_disarm(t->fault);
	if (status == CLKV_OK)
		return false;
	ck_assert_msg(t->operation == operation && t->happened, "%s", error->text);
	fault_expect(t->fault, status, error);
	return true;
}

static clkv_step *begin(struct trial *t)
{
	clkv_step_item item = {t->stream->seq, t->k.rows, t->phase};
	clkv_step *step = NULL;
	clkv_error error;
	struct state before = state_of(t), after;
	arm(t, TRIAL_BEGIN);
	clkv_status status = clkv_step_begin(t->feed->cache, &item, 1, t->feed->queue, &step, &error);
	if (failed(t, TRIAL_BEGIN, status, &error)) {
		ck_assert_ptr_null(step);
		after = state_of(t);
		ck_assert_int_eq(memcmp(&before, &after, sizeof before), 0);
		feed_ok(clkv_step_begin(t->feed->cache, &item, 1, t->feed->queue, &step, &error), &error,
		        "begin again");
	}
	return step;
}

static void run_layers(struct trial *t, clkv_step *step)
{
	clkv_attend_args args = CLKV_INIT(clkv_attend_args);
	clkv_error error;
	args.q = t->q.t;
	args.out = t->out.t;
	for (int layer = 0; layer < 2; layer++) {
		enum trial_operation append = layer ? TRIAL_APPEND : TRIAL_NOTHING;
		enum trial_operation attend = layer ? TRIAL_ATTEND : TRIAL_NOTHING;
		arm(t, append);
		clkv_status status = clkv_step_append(step, layer, &t->k.t, &t->v.t, 0, NULL, NULL, &error);
		if (failed(t, append, status, &error))
			feed_ok(clkv_step_append(step, layer, &t->k.t, &t->v.t, 0, NULL, NULL, &error), &error,
			        "append again");
		arm(t, attend);
		status = clkv_step_attend(step, layer, &args, 0, NULL, NULL, &error);
		if (failed(t, attend, status, &error))
			feed_ok(clkv_step_attend(step, layer, &args, 0, NULL, NULL, &error), &error,
			        "attend again");
	}
}

void trial_run(struct trial *t, double *out)
{
	clkv_error error;
	clkv_step *step = begin(t);
	run_layers(t, step);
	arm(t, TRIAL_COMMIT);
	clkv_status status = clkv_step_commit(step, NULL, &error);
	if (failed(t, TRIAL_COMMIT, status, &error)) {
		if (t->n % 2) {
			clkv_step_abort(step);
			ck_assert_uint_eq(stream_info(t->stream).length, t->stream->n);
			step = begin(t);
			run_layers(t, step);
		}
		feed_ok(clkv_step_commit(step, NULL, &error), &error, "commit again");
	}
	tensor_read(&t->out, t->feed->queue, out);
	for (size_t i = 0; i < t->k.rows; i++) /* rows of its own: they aren't named by the feed */
		t->stream->row[t->stream->n++] = 0;
}
