/* SPDX-License-Identifier: MIT */
/**
 * \file    check_bands.c
 * \brief   Caches whose layers have different recipes: each layer is what a cache of its recipe alone would make it.
 *
 * Layers 0 and 2 have one recipe, 1 and 3 another. A cache of all four takes the same steps as two caches of two layers each,
 * whose layer l is fed as the layer of the first that it stands for; outputs, rows and bytes must be the same to the bit.
 */
#include "cache/bands.h"
#include "store/cache.h"
#include "support/each.h"
#include "support/expect.h"
#include "support/fixture.h"
#include "support/inject.h"
#include "support/memory_file.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

enum { BANDS = 2, STREAMS = 3 };

static const struct pair {
	const char *whole, *of[BANDS];
	bool selects;
} pairs[] = {
	{"layers=0,2: f16 ; 1,3: kivi:bits=4 ; window=40,sinks=3",
     {"f16", "kivi:bits=4 ; window=40,sinks=3"},
     false},
	{"layers=0,2: kvcomp:entropy=huffman ; window=40,sinks=3 ; 1,3: f16 ; block=32",
     {"kvcomp:entropy=huffman ; window=40,sinks=3", "f16 ; block=32"},
     false},
	{"layers=0,2: kivi:bits=4 ; window=40,sinks=3,skip=1 ; 1,3: kvcomp:entropy=huffman ; "
     "window=40,sinks=3",
     {"kivi:bits=4 ; window=40,sinks=3,skip=1", "kvcomp:entropy=huffman ; window=40,sinks=3"},
     false},
	{"layers=0,2: kivi:bits=4 ; window=40,sinks=3 ; 1,3: h2o:budget=72,recent=0.5 ; "
     "window=16,sinks=4,block=32,seal=prompt,skip=0",
     {"kivi:bits=4 ; window=40,sinks=3",
      "h2o:budget=72,recent=0.5 ; window=16,sinks=4,block=32,seal=prompt,skip=0"},
     true},
	{"layers=0,2: topk:recall=64,every=128,most=1024 ; window=32,sinks=5,skip=0 ; 1,3: f16",
     {"topk:recall=64,every=128,most=1024 ; window=32,sinks=5,skip=0", "f16"},
     false},
};
enum { N_PAIRS = sizeof pairs / sizeof pairs[0] };

static double first_value(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	return feed_normal(row, 2 * layer, side, head, d);
}

static double second_value(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	return feed_normal(row, 2 * layer + 1, side, head, d);
}

/* The cache of all layers, then one for each band. */
struct sides {
	struct feed feed[1 + BANDS];
	struct stream stream[1 + BANDS][STREAMS];
	struct feed_result result[1 + BANDS];
};
static struct sides sides;

static void open_sides(const struct pair *p)
{
	memset(&sides, 0, sizeof sides);
	for (int i = 0; i <= BANDS; i++) {
		sides.feed[i].geometry = feed_usual(i == 0 ? LAYERS : LAYERS / BANDS);
		sides.feed[i].value = i == 0 ? NULL : i == 1 ? first_value : second_value;
		sides.feed[i].lse = true;
		feed_open(&sides.feed[i], fixture.context, fixture.queue, i == 0 ? p->whole : p->of[i - 1],
		          NULL);
	}
}

static void close_sides(void)
{
	for (int i = 0; i <= BANDS; i++) {
		expect_nothing_used(&sides.feed[i]);
		feed_close(&sides.feed[i]);
	}
}

/* A layer's outputs of the cache of all are those of its band's. */
static void same_outputs(const char *when)
{
	for (size_t l = 0; l < LAYERS; l++) {
		const struct feed_result *a = &sides.result[0], *b = &sides.result[1 + l % BANDS];
		size_t n = a->rows * a->out_row, m = a->rows * a->lse_row;
		ck_assert_uint_eq(a->rows, b->rows);
		for (size_t i = 0; i < n; i++)
			EACH_MSG(a->out[l * n + i] == b->out[l / BANDS * n + i], "%s: layer %zu, value %zu",
			         when, l, i);
		for (size_t i = 0; i < m; i++)
			EACH_MSG(a->lse[l * m + i] == b->lse[l / BANDS * m + i], "%s: layer %zu, lse %zu", when,
			         l, i);
	}
}

static void same_info(int stream, const char *when)
{
	clkv_seq_info a = stream_info(&sides.stream[0][stream]), b[BANDS];
	for (int i = 0; i < BANDS; i++)
		b[i] = stream_info(&sides.stream[1 + i][stream]);
	ck_assert_msg(a.length == b[0].length && a.length == b[1].length, "%s: length", when);
	ck_assert_msg(a.bytes == b[0].bytes + b[1].bytes, "%s: %llu bytes, not %llu + %llu", when,
	              (unsigned long long)a.bytes, (unsigned long long)b[0].bytes,
	              (unsigned long long)b[1].bytes);
	ck_assert_uint_eq(a.min_length,
	                  b[0].min_length > b[1].min_length ? b[0].min_length : b[1].min_length);
	ck_assert_uint_eq(a.sealed, b[0].sealed > b[1].sealed ? b[0].sealed : b[1].sealed);
}

/* What a step of so many rows of some streams gives, in all three. */
static void step(const size_t *n, size_t dropped, clkv_phase phase, uint64_t seed, const char *when)
{
	for (int i = 0; i <= BANDS; i++) {
		struct feed_item items[STREAMS];
		size_t m = 0;
		for (size_t j = 0; j < STREAMS; j++)
			if (n[j] > 0)
				items[m++] = (struct feed_item){&sides.stream[i][j], n[j], phase,
				                                dropped < n[j] ? dropped : 0, seed + j};
		feed_step(&sides.feed[i], items, m, &sides.result[i]);
	}
	same_outputs(when);
	for (int i = 0; i <= BANDS; i++)
		feed_result_close(&sides.result[i]);
	for (int j = 0; j < STREAMS; j++)
		if (n[j] > 0)
			same_info(j, when);
}

static void same_rows(int stream, const char *when)
{
	const size_t n = sides.stream[0][stream].n, values = n * 2 * 64;
	double *a = calloc(2 * values, sizeof *a), *b = calloc(2 * values, sizeof *b);
	ck_assert(a && b);
	for (int l = 0; l < LAYERS; l++) {
		feed_read(&sides.feed[0], &sides.stream[0][stream], l, 0, n, a, a + values);
		feed_read(&sides.feed[1 + l % BANDS], &sides.stream[1 + l % BANDS][stream], l / BANDS, 0, n,
		          b, b + values);
		EACH_MSG(memcmp(a, b, 2 * values * sizeof *a) == 0, "%s: layer %d", when, l);
	}
	free(a);
	free(b);
}

static void truncate_all(int stream, size_t n)
{
	for (int i = 0; i <= BANDS; i++) {
		clkv_error error;
		feed_ok(clkv_seq_truncate(sides.stream[i][stream].seq, n, &error), &error, "truncate");
		sides.stream[i][stream].n = n;
	}
}

/* At the end all rows are alike too, where all were kept. */
static void end_sides(const struct pair *p)
{
	for (int j = 0; j < STREAMS && !p->selects; j++)
		same_rows(j, "rows");
	for (int i = 0; i <= BANDS; i++)
		for (int j = 0; j < STREAMS; j++)
			stream_close(&sides.stream[i][j]);
	close_sides();
}

START_TEST(test_each_layer_is_as_by_its_recipe_alone)
{
	const struct pair *p = &pairs[_i];
	open_sides(p);
	for (int i = 0; i <= BANDS; i++)
		stream_open(&sides.feed[i], &sides.stream[i][0]);
	step((size_t[]){150, 0, 0}, 0, CLKV_PROMPT, 1, "prompt");
	step((size_t[]){181, 0, 0}, 0, CLKV_PROMPT_END, 2, "prompt's end");
	for (size_t i = 0; i < 3; i++)
		step((size_t[]){1, 0, 0}, 0, CLKV_DECODE, 10 + i, "generation");
	step((size_t[]){9, 0, 0}, 5, CLKV_DECODE, 20, "draft");
	for (int i = 0; i <= BANDS; i++)
		stream_fork(&sides.feed[i], &sides.stream[i][0], &sides.stream[i][1]);
	step((size_t[]){70, 3, 0}, 2, CLKV_DECODE, 30, "fork");
	for (int i = 0; i <= BANDS; i++)
		stream_open(&sides.feed[i], &sides.stream[i][2]);
	step((size_t[]){1, 65, 90}, 0, CLKV_DECODE, 40, "batch");
	truncate_all(2, 40);
	truncate_all(0, sides.stream[0][0].n - 7);
	if (!p->selects)
		truncate_all(1, 101);
	step((size_t[]){2, 70, 70}, 1, CLKV_DECODE, 50, "after cuts");
	end_sides(p);
}
END_TEST

/* Stream i becomes what stream from[i] was. */
static void reorder_all(const size_t *from)
{
	static struct stream old[STREAMS];
	for (int i = 0; i <= BANDS; i++) {
		clkv_seq *seqs[STREAMS];
		clkv_error error;
		memcpy(old, sides.stream[i], sizeof old);
		for (size_t j = 0; j < STREAMS; j++)
			seqs[j] = old[j].seq;
		feed_ok(clkv_seq_reorder(seqs, from, STREAMS, &error), &error, "clkv_seq_reorder");
		for (size_t j = 0; j < STREAMS; j++) {
			sides.stream[i][j] = old[from[j]];
			sides.stream[i][j].seq = seqs[j];
		}
	}
}

static void end_prompts(void)
{
	for (int i = 0; i <= BANDS; i++)
		for (int j = 0; j < STREAMS; j++) {
			clkv_error error;
			feed_ok(clkv_seq_end_prompt(sides.stream[i][j].seq, fixture.queue, &error), &error,
			        "clkv_seq_end_prompt");
		}
	for (int j = 0; j < STREAMS; j++)
		same_info(j, "prompts' end");
}

static void remove_all(int stream, size_t from, size_t to)
{
	for (int i = 0; i <= BANDS; i++) {
		struct stream *s = &sides.stream[i][stream];
		clkv_error error;
		feed_ok(clkv_seq_remove(s->seq, from, to, fixture.queue, &error), &error,
		        "clkv_seq_remove");
		memmove(s->row + from, s->row + to, (s->n - to) * sizeof s->row[0]);
		s->n -= to - from;
	}
	same_info(stream, "removed");
}

/* One band that selects is enough: nothing of the sequence changes in any. */
static void expect_not_removed(int stream)
{
	clkv_seq_info before = stream_info(&sides.stream[0][stream]), after;
	clkv_error error;
	ck_assert_int_eq(clkv_seq_remove(sides.stream[0][stream].seq, 0, 9, fixture.queue, &error),
	                 CLKV_ERROR_UNSUPPORTED);
	ck_assert_ptr_nonnull(strstr(error.text, "stage 'h2o' looks at queries"));
	after = stream_info(&sides.stream[0][stream]);
	ck_assert_int_eq(memcmp(&before, &after, sizeof before), 0);
}

START_TEST(test_calls_of_sequences_are_of_all_bands)
{
	const struct pair *p = &pairs[_i];
	static const size_t apart[STREAMS] = {9, 0, 4};
	open_sides(p);
	for (int i = 0; i <= BANDS; i++)
		for (int j = 0; j < STREAMS; j++)
			stream_open(&sides.feed[i], &sides.stream[i][j]);
	step((size_t[]){201, 70, 130}, 0, CLKV_PROMPT, 1, "prompts");
	end_prompts();
	step((size_t[]){1, 1, 1}, 0, CLKV_DECODE, 10, "behind prompts that were ended");
	reorder_all((const size_t[]){1, 2, 0});
	step((size_t[]){3, 1, 70}, 1, CLKV_DECODE, 20, "in another order");
	reorder_all((const size_t[]){2, 0, 2});
	step((size_t[]){66, 9, 1}, 1, CLKV_DECODE, 30, "shared");
	sides.feed[0].first_rows = apart;
	step((size_t[]){3, 2, 5}, 1, CLKV_DECODE, 40, "rows apart");
	sides.feed[0].first_rows = NULL;
	if (p->selects)
		expect_not_removed(0);
	else
		remove_all(0, 30, 115);
	step((size_t[]){70, 2, 1}, 0, CLKV_DECODE, 50, "at the end");
	end_sides(p);
}
END_TEST

/* Bytes of all are the sum of those of the bands, before and after. */
START_TEST(test_bytes_are_the_bands_sum)
{
	const struct pair *p = &pairs[_i];
	clkv_cache_options o = feed_room(3000, 3);
	clkv_geometry all = feed_usual(LAYERS), half = feed_usual(LAYERS / BANDS);
	clkv_bytes whole = feed_required(fixture.context, &all, p->whole, &o);
	clkv_bytes a = feed_required(fixture.context, &half, p->of[0], &o);
	clkv_bytes b = feed_required(fixture.context, &half, p->of[1], &o);
	ck_assert_uint_eq(whole.device, a.device + b.device);
	ck_assert_uint_eq(whole.sealed, a.sealed + b.sealed);
	ck_assert_uint_eq(whole.open, a.open + b.open);
	ck_assert_uint_eq(whole.tables, a.tables + b.tables);
	ck_assert_uint_eq(whole.scratch, a.scratch + b.scratch);
	ck_assert_uint_eq(whole.host, a.host + b.host);
	ck_assert_double_eq(whole.per_token, a.per_token + b.per_token);
	ck_assert_double_eq(whole.per_slot, a.per_slot + b.per_slot);
	for (int sealed = 0; sealed < 2; sealed++) {
		clkv_bytes_used u[3] = {CLKV_INIT(clkv_bytes_used), CLKV_INIT(clkv_bytes_used),
		                        CLKV_INIT(clkv_bytes_used)};
		clkv_error error;
		feed_ok(clkv_bytes_at(fixture.context, &all, p->whole, &o, 700, 2, sealed, &u[0], &error),
		        &error, p->whole);
		for (int i = 0; i < BANDS; i++)
			feed_ok(clkv_bytes_at(fixture.context, &half, p->of[i], &o, 700, 2, sealed, &u[1 + i],
			                      &error),
			        &error, p->of[i]);
		ck_assert_uint_eq(u[0].device, u[1].device + u[2].device);
		ck_assert_uint_eq(u[0].sequence, u[1].sequence + u[2].sequence);
		ck_assert_int_eq(u[0].exact, u[1].exact && u[2].exact);
	}
	uint64_t before = inject_device_bytes();
	struct feed feed = {.geometry = all};
	feed_open(&feed, fixture.context, fixture.queue, p->whole, &o);
	ck_assert_uint_eq(inject_device_bytes() - before, whole.device);
	ck_assert_uint_eq(feed_stats(&feed).allocated.device, whole.device);
	feed_close(&feed);
}
END_TEST

static clkv_status check(const clkv_geometry *g, const char *recipe, clkv_error *error)
{
	return clkv_recipe_check(fixture.context, g, recipe, error);
}

START_TEST(test_layers_that_a_model_hasnt)
{
	static const int window[LAYERS] = {0, 100, 0, 100};
	static const struct {
		const char *recipe, *word;
	} rows[] = {
		{"layers=0-2: f16", "layer 3 has no recipe"},
		{"layers=0-4: f16", "no layer 4; allowed: 0 to 3"},
		{"layers=0-3: f16 ; 4-: kivi", "no layer 4; allowed: 0 to 3"},
		{"layers=full: kivi", "layer 1 has no recipe"},
		{"layers=0: f16 ; 1-: kivi ; skip=5", "skip"},
		{"layers=0-1: f16 ; 2-: think:keep=0.5/0.6/0.7 | kivi", "list of 3"},
	};
	clkv_geometry g = feed_usual(LAYERS);
	g.window = window;
	clkv_error error;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		ck_assert_int_eq(check(&g, rows[i].recipe, &error), CLKV_ERROR_INVALID_RECIPE);
		ck_assert_msg(strstr(error.text, rows[i].word) != NULL, "'%s': %s", rows[i].recipe,
		              error.text);
		ck_assert_int_ge(error.position, 0);
	}
	feed_ok(check(&g, "layers=sliding: f16 ; full: kivi", &error), &error, "by name");
	g.window = NULL;
	feed_ok(check(&g, "layers=sliding: f16 ; full: kivi", &error), &error, "no layer slides");
	ck_assert_int_eq(check(&g, "layers=sliding: f16", &error), CLKV_ERROR_INVALID_RECIPE);
}
END_TEST

/* A part's skip counts the model's layers: of 1, 2 and 3 it leaves the first in half. */
START_TEST(test_skip_is_of_the_models_layers)
{
	clkv_geometry g = feed_usual(LAYERS), one = feed_usual(1), two = feed_usual(2);
	clkv_cache_options o = feed_room(3000, 3);
	double all =
		feed_required(fixture.context, &g, "layers=0: f16 ; 1-: kivi ; skip=2", &o).per_token;
	double f16 = feed_required(fixture.context, &one, "f16", &o).per_token;
	double kivi = feed_required(fixture.context, &two, "kivi", &o).per_token;
	ck_assert_double_eq_tol(all, 2 * f16 + kivi, 1e-9);
}
END_TEST

/* ---------------------------------------------------------------- failures ---- */

/* All that a test of failures does; the first call that fails ends it. */
static clkv_status live(clkv_context *context, cl_command_queue queue, struct memory_file *file,
                        clkv_error *error)
{
	clkv_geometry g = feed_usual(LAYERS);
	clkv_cache_options o = feed_room(600, 4);
	clkv_cache *cache = NULL;
	clkv_seq *seq = NULL, *fork = NULL, *back = NULL;
	file->n = file->at = 0;
	clkv_status status = clkv_cache_create(context, &g, MIXED, &o, &cache, error);
	if (status == CLKV_OK)
		status = clkv_seq_create(cache, &seq, error);
	if (status == CLKV_OK)
		status = clkv_seq_fork(seq, &fork, error);
	if (status == CLKV_OK)
		status = clkv_seq_truncate(seq, 0, error);
	if (status == CLKV_OK)
		status = clkv_seq_save(seq, NULL, queue, memory_write, file, error);
	if (status == CLKV_OK)
		status = clkv_seq_load(cache, queue, memory_read, file, &back, error);
	if (cache) {
		clkv_stats stats = CLKV_INIT(clkv_stats);
		feed_ok(clkv_cache_stats(cache, &stats, NULL), NULL, "stats");
		unsigned want = (seq ? 1u : 0u) + (fork ? 1u : 0u) + (back ? 1u : 0u);
		ck_assert_uint_eq(stats.sequences, want);
		for (const clkv_cache *c = cache; c; c = c->next_band)
			ck_assert_uint_eq(c->n_sequences, want);
	}
	clkv_cache_destroy(cache);
	return status;
}

START_TEST(test_all_bands_or_none)
{
	uint64_t host = inject_host_bytes();
	clkv_context *context = fixture_open();
	cl_command_queue queue = fixture_queue_of(context);
	struct memory_file file = {0};
	clkv_error error;
	feed_ok(live(context, queue, &file, &error), &error, "live"); /* programs are there */
	uint64_t device = inject_device_bytes();
	bool happened = true;
	for (int n = 0; happened; n += 1 + n / 40) {
		_i ? inject_alloc_arm(n) : inject_cl_arm(n);
		clkv_status status = live(context, queue, &file, &error);
		happened = _i ? inject_alloc_disarm() : inject_cl_disarm();
		ck_assert_msg((status == CLKV_OK) == !happened || !_i, "call %d: %s", n, error.text);
		ck_assert_uint_eq(inject_device_bytes(), device);
	}
	memory_close(&file);
	clReleaseCommandQueue(queue);
	clkv_context_destroy(context);
	ck_assert_uint_eq(inject_host_bytes(), host);
}
END_TEST

/* A step's begin that fails in one band leaves no other one open. */
START_TEST(test_a_begin_that_fails_in_one_band)
{
	static struct stream stream;
	struct feed feed = {.geometry = feed_usual(LAYERS)};
	clkv_context *context = fixture_open();
	cl_command_queue queue = fixture_queue_of(context);
	clkv_error error;
	bool happened = true;
	feed_open(&feed, context, queue, MIXED, NULL);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, 20, CLKV_PROMPT, 1, NULL);
	for (int n = 0; happened; n++) {
		clkv_step_item item = {stream.seq, 5, CLKV_DECODE};
		clkv_step *step = NULL;
		clkv_stats before = feed_stats(&feed);
		inject_cl_arm(n);
		clkv_status status = clkv_step_begin(feed.cache, &item, 1, queue, &step, &error);
		happened = inject_cl_disarm();
		ck_assert_int_eq(status == CLKV_OK, !happened);
		if (status == CLKV_OK)
			clkv_step_abort(step);
		ck_assert_uint_eq(feed_stats(&feed).used_open, before.used_open);
		feed_one(&feed, &stream, 1, CLKV_DECODE, 2, NULL);
	}
	stream_close(&stream);
	expect_nothing_used(&feed);
	feed_close(&feed);
	clReleaseCommandQueue(queue);
	clkv_context_destroy(context);
}
END_TEST

/* ---------------------------------------------------------------- the other questions ---- */

START_TEST(test_what_bands_answer_together)
{
	struct feed feed;
	char text[1024];
	clkv_error error;
	const char *why;
	open_one(&feed, "layers=0: f16 ; 1: kvcomp ; 2-: h2o:budget=72 ; skip=0");
	ck_assert_uint_eq(clkv_cache_observes(feed.cache), SIZE_MAX);
	ck_assert_int_eq(clkv_cache_weighs(feed.cache), 1);
	ck_assert(clkv_cache_blocks(feed.cache, CLKV_CALL_STEP_COMMIT, &why) & CLKV_BLOCKS_DEVICE);
	ck_assert_uint_gt(strlen(why), 0);
	double value = -1;
	feed_ok(clkv_cache_figure(feed.cache, "kvcomp.bound_k", &value, &error), &error, "figure");
	feed_ok(clkv_cache_tuning(feed.cache, text, sizeof text, &error), &error, "tuning");
	ck_assert_ptr_nonnull(strstr(text, ") | lanes="));
	ck_assert_int_eq(clkv_cache_tuning(feed.cache, text, 20, &error), CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_int_eq(
		clkv_tuning_get(fixture.context, &feed.geometry, MIXED, text, sizeof text, &error),
		CLKV_ERROR_UNSUPPORTED);
	ck_assert_ptr_nonnull(strstr(error.text, "layers="));
	feed_ok(clkv_cache_warm(feed.cache, NULL, NULL, &error), &error, "warm");
	ck_assert_uint_eq(clkv_cache_blocks(feed.cache, CLKV_CALL_STEP_ATTEND, NULL), 0);
	feed_close(&feed);
}
END_TEST

/* Rows come in any order of layers; a layer is named by the model's number, in errors too. */
START_TEST(test_errors_name_the_models_layers)
{
	static struct stream stream;
	struct feed feed;
	clkv_error error;
	clkv_step *step = NULL;
	clkv_kept kept = CLKV_INIT(clkv_kept);
	open_one(&feed, "layers=0,2: f16 ; 1,3: streaming:budget=72 ; skip=0");
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, 100, CLKV_PROMPT_END, 1, NULL);
	clkv_step_item item = {stream.seq, 1, CLKV_DECODE};
	feed_ok(clkv_step_begin(feed.cache, &item, 1, feed.queue, &step, &error), &error, "begin");
	ck_assert_int_eq(clkv_step_commit(step, NULL, &error), CLKV_ERROR_INVALID_STATE);
	ck_assert_ptr_nonnull(strstr(error.text, "layer 0 "));
	clkv_attend_args args = CLKV_INIT(clkv_attend_args);
	ck_assert_int_eq(clkv_step_attend(step, 3, &args, 0, NULL, NULL, &error),
	                 CLKV_ERROR_INVALID_STATE);
	ck_assert_ptr_nonnull(strstr(error.text, "layer 3:"));
	ck_assert_int_eq(clkv_step_attend(step, 4, &args, 0, NULL, NULL, &error),
	                 CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_ptr_nonnull(strstr(error.text, "0 to 3"));
	clkv_step_abort(step);
	ck_assert_int_eq(clkv_seq_get_kept(stream.seq, 2, 0, &kept, feed.queue, &error),
	                 CLKV_ERROR_UNSUPPORTED);
	feed_ok(clkv_seq_get_kept(stream.seq, 3, 1, &kept, feed.queue, &error), &error, "kept");
	ck_assert_int_eq(clkv_seq_get_kept(stream.seq, 4, 0, &kept, feed.queue, &error) == CLKV_OK, 0);
	stream_close(&stream);
	feed_close(&feed);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("bands");
	TCase *bits = fixture_case(suite, "bits", 20), *fails = fixture_case(suite, "fails", 60),
		  *more = fixture_case(suite, "more", 20);
	tcase_add_loop_test(bits, test_each_layer_is_as_by_its_recipe_alone, 0, N_PAIRS);
	tcase_add_loop_test(bits, test_calls_of_sequences_are_of_all_bands, 0, N_PAIRS);
	tcase_add_loop_test(bits, test_bytes_are_the_bands_sum, 0, N_PAIRS);
	tcase_add_test(more, test_layers_that_a_model_hasnt);
	tcase_add_test(more, test_skip_is_of_the_models_layers);
	tcase_add_test(more, test_what_bands_answer_together);
	tcase_add_test(more, test_errors_name_the_models_layers);
	tcase_add_loop_test(fails, test_all_bands_or_none, 0, 2);
	tcase_add_test(fails, test_a_begin_that_fails_in_one_band);
	return fixture_run(suite);
}
