/* SPDX-License-Identifier: MIT */
/** \file check_snapshot_fit.c \brief Snapshots that don't fit into a cache, and saves and loads that fail. */
#include "support/expect.h"
#include "support/faults.h"
#include "support/fixture.h"
#include "support/inject.h"
#include "support/snap.h"

#include <string.h>

#define TRIES 2000 /* far above the calls of any operation */

/* ---------------------------------------------------------------- what doesn't fit ---- */

START_TEST(test_other_geometries_are_refused)
{
	static struct snap snap;
	struct feed other = {.geometry = feed_geometry(3, 1, 1, 16, 32)};
	clkv_error error;
	snap_open(&snap, SNAP_KIVI);
	feed_open(&other, fixture.context, fixture.queue, SNAP_KIVI, NULL);
	ck_assert_int_eq(memory_refused(&other, &snap.file, &error), CLKV_ERROR_UNSUPPORTED);
	ck_assert_msg(strstr(error.text, "2 layers") && strstr(error.text, "has 3, 1, 16 and 32"), "%s",
	              error.text);
	feed_close(&other);
	snap_close(&snap);
}
END_TEST

/* Query heads, scale and windows aren't part of what is stored. */
START_TEST(test_other_queries_are_welcome)
{
	static struct snap snap;
	static struct stream loaded;
	struct feed other = {.geometry = snap_geometry(), .window = {7, 0}};
	snap_open(&snap, SNAP_KIVI);
	other.geometry.q_heads = 2;
	other.geometry.scale = 0.5f;
	other.geometry.window = other.window;
	feed_open(&other, fixture.context, fixture.queue, SNAP_KIVI, NULL);
	memory_load(&other, &snap.file, &snap.stream, &loaded);
	expect_same_cache(&other, &snap.stream, &loaded);
	feed_close(&other);
	snap_close(&snap);
}
END_TEST

/* The file's recipe, and another. */
static const char *const into[] = {SNAP_KIVI, SNAP_HALVES};

/* No room: for the sequence, its length, its blocks; in the file's recipe and in another. */
START_TEST(test_no_room)
{
	static struct snap snap;
	static struct stream a, b;
	clkv_cache_options room = CLKV_INIT(clkv_cache_options);
	struct feed small = {.geometry = snap_geometry()};
	snap_open(&snap, SNAP_KIVI);
	room.max_tokens = 54;
	feed_open(&small, fixture.context, fixture.queue, into[_i], &room);
	ck_assert_int_eq(memory_refused(&small, &snap.file, NULL), CLKV_ERROR_POOL_FULL);
	feed_close(&small);
	room.max_tokens = 96;
	room.max_sequences = 2;
	feed_open(&small, fixture.context, fixture.queue, into[_i], &room);
	stream_open(&small, &a);
	feed_one(&small, &a, 70, CLKV_PROMPT_END, 3, NULL);
	feed_one(&small, &a, 26, CLKV_DECODE, 3, NULL);
	stream_open(&small, &b);
	ck_assert_int_eq(memory_refused(&small, &snap.file, NULL), CLKV_ERROR_POOL_FULL);
	feed_one(&small, &b, 17, CLKV_PROMPT_END, 4, NULL);
	stream_close(&b);
	stream_close(&a);
	memory_load(&small, &snap.file, &snap.stream, &a);
	feed_one(&small, &a, 5, CLKV_DECODE, 3, NULL);
	feed_close(&small);
	snap_close(&snap);
}
END_TEST

/* Blocks run out while pages come in: a fork-heavy cache that is nearly full. */
START_TEST(test_the_pool_runs_out_underway)
{
	static struct snap snap;
	static struct stream s[4];
	clkv_cache_options room = CLKV_INIT(clkv_cache_options);
	struct feed small = {.geometry = snap_geometry()};
	size_t n = 0;
	bool full = false;
	snap_open(&snap, SNAP_KIVI);
	room.max_tokens = 64;
	room.max_sequences = 4;
	feed_open(&small, fixture.context, fixture.queue, into[_i], &room);
	for (; n < 4 && !full; n += !full) {
		clkv_error error;
		clkv_stats before = feed_stats(&small), after;
		snap.file.at = 0;
		s[n] = snap.stream;
		clkv_status status =
			clkv_seq_load(small.cache, small.queue, memory_read, &snap.file, &s[n].seq, &error);
		full = status == CLKV_ERROR_POOL_FULL;
		ck_assert_msg(status == CLKV_OK || full, "%s", error.text);
		after = feed_stats(&small);
		if (full)
			ck_assert_uint_eq(after.used_open + after.used_sealed + after.sequences,
			                  before.used_open + before.used_sealed + before.sequences);
	}
	ck_assert_uint_gt(n, 0);
	ck_assert(full);
	for (size_t i = 1; i < n; i++)
		expect_same_cache(&small, &s[0], &s[i]);
	feed_close(&small);
	snap_close(&snap);
}
END_TEST

/* Each file brings tables of its own, until all numbers are taken; they come back with the sequences. */
START_TEST(test_code_tables_run_out)
{
	static struct snap snap;
	static struct stream loaded;
	struct feed many = {.geometry = snap_geometry()};
	clkv_cache_options room = CLKV_INIT(clkv_cache_options);
	clkv_error error;
	clkv_seq *seqs[20] = {NULL};
	uint64_t tables = 0;
	snap_open(&snap, SNAP_KVCOMP);
	room.max_tokens = 4096;
	room.max_sequences = 21;
	feed_open(&many, fixture.context, fixture.queue, SNAP_KVCOMP, &room);
	size_t i = 0;
	unsigned char *lengths = snap.file.bytes + snap_contents(&snap, 1) + 12, first;
	for (clkv_status status = CLKV_OK; status == CLKV_OK && i < 20; i++) {
		ck_assert_uint_ge(feed_stats(&many).used_code_tables, tables);
		tables = feed_stats(&many).used_code_tables;
		size_t from = i % 5, last = snap_word(lengths - 4) - 1;
		first = lengths[from]; /* another order of the same lengths is a code too */
		memmove(lengths + from, lengths + from + 1, last - from);
		lengths[last] = first;
		snap_seal(&snap);
		snap.file.at = 0;
		status = clkv_seq_load(many.cache, many.queue, memory_read, &snap.file, &seqs[i], &error);
		if (status == CLKV_OK)
			continue;
		ck_assert_msg(status == CLKV_ERROR_POOL_FULL && strstr(error.text, "code tables"), "%s",
		              error.text);
		ck_assert_int_eq(memory_refused(&many, &snap.file, NULL), CLKV_ERROR_POOL_FULL);
	}
	ck_assert_uint_gt(i, 5);
	ck_assert_uint_lt(i, 20);
	for (i = 0; i < 20; i++)
		clkv_seq_destroy(seqs[i]);
	memory_save(&snap.feed, &snap.stream, NULL, &snap.file);
	memory_load(&many, &snap.file, &snap.stream, &loaded);
	expect_same_cache(&many, &snap.stream, &loaded);
	feed_close(&many);
	snap_close(&snap);
}
END_TEST

/* Arguments that a row takes as they should be, as none, or as those of another context. */
enum given { RIGHT, NONE, FOREIGN };

static clkv_status save(const struct snap *snap, enum given seq, const char *recipe,
                        const cl_command_queue queues[3], enum given queue, enum given write,
                        clkv_error *error)
{
	return clkv_seq_save(seq == NONE ? NULL : snap->stream.seq, recipe, queues[queue],
	                     write == NONE ? NULL : memory_write, NULL, error);
}

static clkv_status load(struct snap *snap, enum given cache, const cl_command_queue queues[3],
                        enum given queue, enum given read, enum given out, clkv_error *error)
{
	clkv_seq *seq = NULL;
	snap->file.at = 0;
	clkv_status status = clkv_seq_load(cache == NONE ? NULL : snap->feed.cache, queues[queue],
	                                   read == NONE ? NULL : memory_read, &snap->file,
	                                   out == NONE ? NULL : &seq, error);
	ck_assert_ptr_null(seq);
	return status;
}

static void refuse_saves(const struct snap *snap, const cl_command_queue queues[3])
{
	static const struct {
		enum given seq, queue, write;
		const char *recipe;
		clkv_status status;
		int position;
	} rows[] = {
		{NONE, RIGHT, RIGHT, NULL, CLKV_ERROR_INVALID_ARGUMENT, -1},
		{RIGHT, RIGHT, NONE, NULL, CLKV_ERROR_INVALID_ARGUMENT, -1},
		{RIGHT, NONE, RIGHT, NULL, CLKV_ERROR_INVALID_ARGUMENT, -1},
		{RIGHT, FOREIGN, RIGHT, NULL, CLKV_ERROR_INVALID_ARGUMENT, -1},
		{RIGHT, FOREIGN, RIGHT, "f16:", CLKV_ERROR_INVALID_RECIPE, 4},
		{RIGHT, NONE, RIGHT, "f16", CLKV_ERROR_INVALID_ARGUMENT, -1},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		clkv_error error;
		clkv_status status =
			save(snap, rows[i].seq, rows[i].recipe, queues, rows[i].queue, rows[i].write, &error);
		ck_assert_msg(status == rows[i].status, "row %zu: %s", i, clkv_status_string(status));
		ck_assert(rows[i].position < 0 || error.position == rows[i].position);
	}
}

static void refuse_loads(struct snap *snap, const cl_command_queue queues[3])
{
	static const struct {
		enum given cache, queue, read, out;
	} rows[] = {
		{NONE, RIGHT, RIGHT, RIGHT}, {RIGHT, RIGHT, NONE, RIGHT},    {RIGHT, RIGHT, RIGHT, NONE},
		{RIGHT, NONE, RIGHT, RIGHT}, {RIGHT, FOREIGN, RIGHT, RIGHT},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		clkv_error error;
		clkv_status status =
			load(snap, rows[i].cache, queues, rows[i].queue, rows[i].read, rows[i].out, &error);
		ck_assert_msg(status == CLKV_ERROR_INVALID_ARGUMENT, "row %zu: %s", i,
		              clkv_status_string(status));
	}
}

START_TEST(test_arguments_and_open_steps)
{
	static struct snap snap;
	clkv_error error;
	snap_open(&snap, SNAP_KIVI);
	struct feed *f = &snap.feed;
	clkv_context *context = fixture_open();
	const cl_command_queue queues[] = {f->queue, NULL, fixture_queue_of(context)};
	clkv_step_item item = {snap.stream.seq, 1, CLKV_DECODE};
	clkv_step *step = NULL;
	refuse_saves(&snap, queues);
	refuse_loads(&snap, queues);
	feed_ok(clkv_step_begin(f->cache, &item, 1, f->queue, &step, &error), &error, "begin");
	ck_assert_int_eq(save(&snap, RIGHT, NULL, queues, RIGHT, RIGHT, &error), CLKV_ERROR_BUSY);
	ck_assert_int_eq(save(&snap, RIGHT, "f16", queues, RIGHT, RIGHT, &error), CLKV_ERROR_BUSY);
	ck_assert_int_eq(load(&snap, RIGHT, queues, RIGHT, RIGHT, RIGHT, &error), CLKV_ERROR_BUSY);
	clkv_step_abort(step);
	ck_assert_uint_eq(feed_stats(f).sequences, 1);
	clReleaseCommandQueue(queues[FOREIGN]);
	clkv_context_destroy(context);
	snap_close(&snap);
}
END_TEST

/* ---------------------------------------------------------------- failures ---- */

static const char *const forms[] = {NULL, SNAP_HALVES};

START_TEST(test_every_write_may_fail)
{
	static struct snap snap;
	clkv_error error;
	clkv_status status = CLKV_ERROR_IO;
	snap_open(&snap, SNAP_KIVI);
	size_t n = 1;
	for (; status != CLKV_OK; n++) {
		struct memory_file file = {.fails = n};
		status =
			clkv_seq_save(snap.stream.seq, forms[_i], snap.feed.queue, memory_write, &file, &error);
		if (status != CLKV_OK)
			ck_assert_int_eq(status, CLKV_ERROR_IO);
		memory_close(&file);
	}
	ck_assert_uint_gt(n, 10);
	snap_close(&snap);
}
END_TEST

static size_t greedy_read(void *opaque, void *data, size_t size)
{
	(void)opaque;
	memset(data, 0, size);
	return size + 1;
}

START_TEST(test_every_read_may_fail)
{
	static struct snap snap;
	clkv_error error;
	clkv_seq *seq = NULL;
	snap_open(&snap, SNAP_KIVI);
	snap.file.calls = 0;
	struct stream again = snap.stream;
	memory_load(&snap.feed, &snap.file, &snap.stream, &again);
	stream_close(&again);
	size_t calls = snap.file.calls;
	for (snap.file.fails = 1; snap.file.fails <= calls; snap.file.fails++)
		ck_assert_int_eq(memory_refused(&snap.feed, &snap.file, NULL), CLKV_ERROR_CORRUPT);
	snap.file.fails = 0;
	ck_assert_int_eq(
		clkv_seq_load(snap.feed.cache, snap.feed.queue, greedy_read, NULL, &seq, &error),
		CLKV_ERROR_IO);
	snap.file.chunk = 1;
	snap_close(&snap);
}
END_TEST

/* Every allocation and every OpenCL call of a save and of a load fails in turn, in the cache's recipe and
 * through another one. */
START_TEST(test_every_call_may_fail)
{
	static struct snap snap;
	static struct stream loaded;
	static const struct {
		const char *recipe, *form;
	} pairs[] = {
		{SNAP_KIVI, NULL}, {SNAP_KIVI, SNAP_HALVES}, {SNAP_KVCOMP, NULL}, {SNAP_KIVI, SNAP_KVCOMP}};
	enum fault fault = (enum fault)(_i % FAULTS);
	bool happened = true;
	const char *form = pairs[_i / FAULTS].form;
	struct memory_file file = {0};
	clkv_error error;
	int failed = 0;
	snap_open(&snap, pairs[_i / FAULTS].recipe);
	memory_save(&snap.feed, &snap.stream, form, &file);
	for (int n = 0; happened && n < TRIES; n++) {
		struct memory_file again = {0};
		clkv_seq *seq = NULL;
		clkv_stats before = feed_stats(&snap.feed), after;
		uint64_t device = inject_device_bytes();
		fault_arm(fault, n);
		clkv_status saved =
			clkv_seq_save(snap.stream.seq, form, snap.feed.queue, memory_write, &again, &error);
		happened = fault_disarm(fault);
		fault_expect(fault, saved, &error);
		file.at = 0;
		fault_arm(fault, n);
		clkv_status read =
			clkv_seq_load(snap.feed.cache, snap.feed.queue, memory_read, &file, &seq, &error);
		happened = fault_disarm(fault) || happened;
		failed += read != CLKV_OK;
		fault_expect(fault, read, &error);
		ck_assert((read == CLKV_OK) == (seq != NULL));
		clkv_seq_destroy(seq);
		after = feed_stats(&snap.feed);
		ck_assert_uint_eq(after.used_open, before.used_open);
		ck_assert_uint_eq(after.used_sealed, before.used_sealed);
		ck_assert_uint_eq(after.sequences, before.sequences);
		ck_assert_uint_eq(inject_device_bytes(), device);
		memory_close(&again);
	}
	ck_assert_msg(!happened && failed > 2, "%d failures", failed);
	if (!form) {
		memory_load(&snap.feed, &file, &snap.stream, &loaded);
		expect_same_cache(&snap.feed, &snap.stream, &loaded);
	}
	memory_close(&file);
	snap_close(&snap);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("snapshot_fit");
	TCase *fit = fixture_case(suite, "fit", 60), *fail = fixture_case(suite, "fail", 120);
	tcase_add_test(fit, test_other_geometries_are_refused);
	tcase_add_test(fit, test_other_queries_are_welcome);
	tcase_add_loop_test(fit, test_no_room, 0, 2);
	tcase_add_loop_test(fit, test_the_pool_runs_out_underway, 0, 2);
	tcase_add_test(fit, test_code_tables_run_out);
	tcase_add_test(fit, test_arguments_and_open_steps);
	tcase_add_loop_test(fail, test_every_write_may_fail, 0, 2);
	tcase_add_test(fail, test_every_read_may_fail);
	tcase_add_loop_test(fail, test_every_call_may_fail, 0, 4 * FAULTS);
	return fixture_run(suite);
}
