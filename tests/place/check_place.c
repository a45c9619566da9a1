/* SPDX-License-Identifier: MIT */
/**
 * \file    check_place.c
 * \brief   Sealed blocks in host memory: the same results, the bytes that were promised.
 *
 * A cache with the stage is fed beside one without it. Mapped or copied, attention reads the same rows in the same
 * order: the same bits. Where the host attends, only the order of sums differs.
 */
#include "device/context.h"
#include "store/cache.h"
#include "store/row_cache.h"
#include "support/bounds.h"
#include "support/expect.h"
#include "support/fixture.h"
#include "support/inject.h"
#include "support/memory_file.h"
#include "support/random.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* 3 query heads share a KV head, each recalls 64 tokens: a list has at most 192. */
#define CLUSTERS "clusterkv:recall=64,per=8,every=128"
#define GENERAL " ; window=32,sinks=5"
enum { LISTED = 192, STREAMS = 2, BLOCK_BYTES = 64 * (64 + 64) * 2 };

static const struct {
	const char *recall, *place, *general;
	bool sums; /* attention isn't the same to the bit */
} cases[] = {
	{CLUSTERS, "place:host,via=copy", GENERAL, false},
	{CLUSTERS, "place:host,via=copy,cached=192", GENERAL ",skip=1", false},
	{"a2ats:recall=64,codes=32,every=128", "place:host,via=copy", GENERAL ",block=32", false},
	{"pages:recall=64,every=128,gqa=group", "place:host,via=copy,cached=100", GENERAL, false},
	{CLUSTERS, "place:host,via=attend", GENERAL, true},
	{"pages:recall=64,every=128", "place:host,via=attend", GENERAL ",block=128,skip=1", true},
	{CLUSTERS, "place:host,via=map", GENERAL, false},
	{"topk:recall=64,every=128", "place:host,via=map", GENERAL, false},
	{"kivi:bits=4", "place:host", GENERAL, false},
	{"kvcomp", "place:host", GENERAL, false},
	{"q:k=8,v=8 | " CLUSTERS, "place", GENERAL, false},
	{CLUSTERS, "place:device", GENERAL, false},
};
enum { CASES = sizeof cases / sizeof cases[0] };

/* ---------------------------------------------------------------- two caches ---- */

enum { HERE, THERE, BOTH, MOST_STREAMS = 4 };

/* The same streams in a cache without the stage and in one with it. */
struct pair {
	struct feed feed[BOTH];
	struct stream stream[MOST_STREAMS][BOTH];
	double limit; /* of the relative difference; 0: the same bits */
};

static void pair_open(struct pair *p, clkv_context *context, cl_command_queue queue, int layers,
                      int which, const clkv_cache_options *options)
{
	char recipe[BOTH][256];
	snprintf(recipe[HERE], sizeof recipe[HERE], "%s%s", cases[which].recall, cases[which].general);
	snprintf(recipe[THERE], sizeof recipe[THERE], "%s | %s%s", cases[which].recall,
	         cases[which].place, cases[which].general);
	for (int i = 0; i < BOTH; i++) {
		clkv_geometry g = feed_usual(layers);
		g.softcap = p->feed[i].geometry.softcap;
		g.rope = p->feed[i].geometry.rope;
		p->feed[i].geometry = g;
		p->feed[i].lse = true;
		feed_open(&p->feed[i], context, queue, recipe[i], options);
	}
	p->limit = cases[which].sums ? BOUND_REORDER : 0.0;
}

static void pair_close(struct pair *p)
{
	for (int i = 0; i < BOTH; i++)
		feed_close(&p->feed[i]);
}

static void pair_stream(struct pair *p, int s)
{
	for (int i = 0; i < BOTH; i++)
		stream_open(&p->feed[i], &p->stream[s][i]);
}

static void pair_fork(struct pair *p, int from, int to)
{
	for (int i = 0; i < BOTH; i++)
		stream_fork(&p->feed[i], &p->stream[from][i], &p->stream[to][i]);
}

static void pair_truncate(struct pair *p, int s, size_t n)
{
	clkv_error error;
	for (int i = 0; i < BOTH; i++) {
		feed_ok(clkv_seq_truncate(p->stream[s][i].seq, n, &error), &error, "truncate");
		p->stream[s][i].n = n;
	}
}

static void pair_compare(const struct pair *p, struct feed_result result[BOTH])
{
	double d = expect_difference(&p->feed[HERE], &result[HERE], &result[THERE]);
	ck_assert_msg(d <= p->limit, "results differ by %g, allowed %g", d, p->limit);
}

/* items[i].stream is p->stream[..][HERE]; the other cache's is behind it. */
static void pair_step(struct pair *p, struct feed_item *items, size_t n)
{
	struct feed_result result[BOTH];
	for (int i = 0; i < BOTH; i++) {
		struct feed_item mine[FEED_ITEMS];
		for (size_t j = 0; j < n; j++) {
			mine[j] = items[j];
			mine[j].stream += i;
		}
		feed_step(&p->feed[i], mine, n, &result[i]);
	}
	pair_compare(p, result);
	feed_result_close(&result[HERE]);
	feed_result_close(&result[THERE]);
}

static void pair_one(struct pair *p, int s, size_t n, clkv_phase phase, uint64_t seed)
{
	struct feed_item item = {p->stream[s], n, phase, 0, seed};
	pair_step(p, &item, 1);
}

static void pair_prompt(struct pair *p, int s, size_t n, uint64_t seed)
{
	for (; n > 300; n -= 300)
		pair_one(p, s, 300, CLKV_PROMPT, seed);
	pair_one(p, s, n, CLKV_PROMPT_END, seed);
}

static void pair_decode(struct pair *p, int s, size_t n, uint64_t seed)
{
	for (size_t i = 0; i < n; i++)
		pair_one(p, s, 1, CLKV_DECODE, seed);
}

/* Both hold the same rows, bit by bit. */
static void pair_same_rows(const struct pair *p, int s)
{
	const struct stream *a = &p->stream[s][HERE], *b = &p->stream[s][THERE];
	size_t n = a->n * STREAMS * 64;
	double *rows = calloc(4 * n + 1, sizeof *rows);
	ck_assert_ptr_nonnull(rows);
	ck_assert_uint_eq(stream_info(a).sealed, stream_info(b).sealed);
	for (int l = 0; l < p->feed[HERE].geometry.layers; l++) {
		feed_read(&p->feed[HERE], a, l, 0, a->n, rows, rows + n);
		feed_read(&p->feed[THERE], b, l, 0, a->n, rows + 2 * n, rows + 3 * n);
		ck_assert_int_eq(memcmp(rows, rows + 2 * n, 2 * n * sizeof *rows), 0);
	}
	/* not only from the beginning */
	size_t from = a->n / 3, some = a->n / 2;
	feed_read(&p->feed[THERE], b, p->feed[HERE].geometry.layers - 1, from, some, rows, NULL);
	ck_assert_int_eq(
		memcmp(rows, rows + 2 * n + from * STREAMS * 64, some * STREAMS * 64 * sizeof *rows), 0);
	free(rows);
}

/* ---------------------------------------------------------------- the same results ---- */

START_TEST(test_results_are_those_of_the_device)
{
	static struct pair p;
	if (_i % 2)
		p.feed[HERE].geometry.softcap = p.feed[THERE].geometry.softcap = 20.0f;
	for (int i = 0; i < BOTH && _i % 4 < 2; i++) { /* the library rotates, by pairs or halves */
		p.feed[i].geometry.rope.kind = _i % 4 == 0 ? CLKV_ROPE_PAIRS : CLKV_ROPE_HALVES;
		p.feed[i].geometry.rope.by_library = 1;
		p.feed[i].geometry.rope.dims = _i % 4 == 0 ? 0 : 48;
	}
	pair_open(&p, fixture.context, fixture.queue, 2, _i, NULL);
	pair_stream(&p, 0);
	pair_prompt(&p, 0, 700, 1);
	pair_decode(&p, 0, 150, 2); /* seals more */
	ck_assert_uint_gt(stream_info(&p.stream[0][THERE]).sealed, 700);
	pair_same_rows(&p, 0);
	pair_close(&p);
}
END_TEST

/* As many work-items as a GPU's work-group, on queues that keep no order. */
START_TEST(test_other_forms_and_queues_do_the_same)
{
	static struct pair p;
	clkv_context *context = fixture_open_tuned(_i % 2 ? "lanes=8,vec=4" : "lanes=16,vec=1");
	cl_int code;
	cl_command_queue queue =
		clCreateCommandQueue(clkv_context_cl(context), clkv_context_device(context),
	                         CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE, &code);
	pair_open(&p, context, code == CL_SUCCESS ? queue : fixture_queue_of(context), 1,
	          _i < 2 ? 0 : 4, NULL);
	pair_stream(&p, 0);
	pair_prompt(&p, 0, 400, 1);
	pair_decode(&p, 0, 20, 2);
	pair_same_rows(&p, 0);
	pair_close(&p);
	clReleaseCommandQueue(p.feed[HERE].queue);
	clkv_context_destroy(context);
}
END_TEST

/* Generation of several rows, drafts of which some are dropped, prompts of others, in one step; any order of them. */
START_TEST(test_batches_of_several_rows)
{
	static struct pair p;
	pair_open(&p, fixture.context, fixture.queue, 2, _i, NULL);
	for (int s = 0; s < 3; s++)
		pair_stream(&p, s);
	pair_prompt(&p, 0, 500, 1);
	pair_prompt(&p, 1, 311, 2);
	for (uint64_t i = 0; i < 40; i++) {
		struct feed_item items[] = {
			{p.stream[i % 2], 1 + i % 4, CLKV_DECODE, i % 3 == 0 ? i % 4 : 0, 10 + i},
			{p.stream[2], 6, CLKV_PROMPT, 0, 3},
			{p.stream[1 - i % 2], 1 + i % 3, CLKV_DECODE, 0, 20 + i},
		};
		pair_step(&p, items, i < 20 ? 3 : 1);
	}
	pair_one(&p, 2, 60, CLKV_PROMPT_END, 3);
	pair_decode(&p, 2, 3, 4);
	for (int s = 0; s < 3; s++)
		pair_same_rows(&p, s);
	pair_close(&p);
}
END_TEST

/* A regrown sequence has other tokens under the same ordinals; a fork shares pages, not slots; sequences come and go. */
START_TEST(test_forks_truncations_and_successors)
{
	static struct pair p;
	pair_open(&p, fixture.context, fixture.queue, 2, _i, NULL);
	pair_stream(&p, 0);
	pair_prompt(&p, 0, 300, 1);
	pair_decode(&p, 0, 260, 2);
	pair_fork(&p, 0, 1);
	pair_decode(&p, 0, 5, 3);
	pair_decode(&p, 1, 5, 4);
	pair_truncate(&p, 0, 330); /* within a block that was sealed */
	pair_decode(&p, 0, 200, 5);
	pair_decode(&p, 1, 5, 6);
	pair_same_rows(&p, 0);
	pair_same_rows(&p, 1);
	pair_truncate(&p, 0, 128);
	pair_fork(&p, 0, 2);
	pair_decode(&p, 0, 300, 7);
	for (int i = 0; i < BOTH; i++)
		stream_close(&p.stream[1][i]);
	pair_stream(&p, 1); /* may have the slots of the one before */
	pair_prompt(&p, 1, 450, 8);
	pair_decode(&p, 1, 20, 9);
	pair_decode(&p, 2, 180, 10);
	for (int s = 0; s < 3; s++)
		pair_same_rows(&p, s);
	for (int s = 0; s < 3; s++)
		for (int i = 0; i < BOTH; i++)
			stream_close(&p.stream[s][i]);
	ck_assert_uint_eq(feed_stats(&p.feed[THERE]).used_host, 0);
	ck_assert_uint_eq(feed_stats(&p.feed[THERE]).used_open, 0);
	pair_close(&p);
}
END_TEST

/* Steps that are dropped leave nothing behind: neither rows in slots nor blocks on their way. */
START_TEST(test_aborted_steps)
{
	static struct pair p;
	pair_open(&p, fixture.context, fixture.queue, 2, _i, NULL);
	pair_stream(&p, 0);
	pair_prompt(&p, 0, 400, 1);
	for (uint64_t i = 0; i < 150; i++) {
		if (i % 10 == 0) {
			struct stream *s = &p.stream[0][THERE];
			struct feed_item item = {s, 3, CLKV_DECODE, 0, 50 + i};
			clkv_step *step = feed_begin(&p.feed[THERE], &item, 1, NULL);
			clkv_step_abort(step);
		}
		pair_decode(&p, 0, 1, 2);
	}
	pair_same_rows(&p, 0);
	pair_close(&p);
}
END_TEST

START_TEST(test_snapshots)
{
	static struct pair p;
	static struct stream loaded[BOTH];
	struct memory_file file[BOTH] = {{0}, {0}};
	pair_open(&p, fixture.context, fixture.queue, 2, _i, NULL);
	pair_stream(&p, 0);
	pair_prompt(&p, 0, 500, 1);
	pair_decode(&p, 0, 150, 2);
	for (int i = 0; i < BOTH; i++)
		memory_save(&p.feed[i], &p.stream[0][i], NULL, &file[i]);
	/* where blocks lie is no part of a snapshot */
	ck_assert_uint_eq(file[HERE].n, file[THERE].n);
	ck_assert_int_eq(memcmp(file[HERE].bytes, file[THERE].bytes, file[HERE].n), 0);
	for (int i = 0; i < BOTH; i++)
		memory_load(&p.feed[i], &file[1 - i], &p.stream[0][1 - i], &loaded[i]);
	for (int i = 0; i < BOTH; i++)
		p.stream[1][i] = loaded[i];
	pair_decode(&p, 1, 5, 3);
	pair_same_rows(&p, 1);
	for (int i = 0; i < BOTH; i++) {
		memory_save(&p.feed[i], &p.stream[0][i], "f16", &file[i]);
		file[i].at = 0;
	}
	ck_assert_int_eq(memcmp(file[HERE].bytes, file[THERE].bytes, file[HERE].n), 0);
	memory_close(&file[HERE]);
	memory_close(&file[THERE]);
	pair_close(&p);
}
END_TEST

/* ---------------------------------------------------------------- slots ---- */

/* Which of so many slots hold what, and since when: by the definition. */
struct slots {
	size_t n;
	uint32_t token[FEED_TOKENS];
	uint64_t used[FEED_TOKENS]; /* 0: it holds nothing */
	uint64_t now;
};

static size_t slots_find(const struct slots *s, uint32_t token)
{
	size_t i = 0;
	while (i < s->n && !(s->used[i] > 0 && s->token[i] == token))
		i++;
	return i;
}

/* A list is asked for: how many of it were there. */
static size_t slots_ask(struct slots *s, const uint32_t *list, size_t n)
{
	size_t found = 0;
	for (size_t i = 0; i < n; i++) {
		size_t at = slots_find(s, list[i]);
		found += at < s->n;
		if (at < s->n)
			s->used[at] = ++s->now;
	}
	for (size_t i = 0; i < n; i++) {
		size_t oldest = 0;
		if (slots_find(s, list[i]) < s->n)
			continue;
		for (size_t j = 1; j < s->n; j++)
			if (s->used[j] < s->used[oldest])
				oldest = j;
		s->token[oldest] = list[i];
		s->used[oldest] = ++s->now;
	}
	return found;
}

/* The lists of the last step's only layer, of a cache on the device. */
static void read_lists(const struct feed *feed, uint32_t *lists)
{
	size_t words = STREAMS * (1 + (size_t)feed->cache->sizes.listed);
	ck_assert_uint_le(words, STREAMS * (1 + LISTED));
	ck_assert_int_eq(clEnqueueReadBuffer(feed->queue, feed->cache->index.lists, CL_TRUE, 0,
	                                     words * sizeof *lists, lists, 0, NULL, NULL),
	                 CL_SUCCESS);
}

/* Queries that change slowly, so that lists have tokens in common. */
static double slow_value(uint64_t row, int layer, enum feed_side side, size_t head, size_t d)
{
	double fast = feed_normal(row, layer, side, head, d);
	return side == FEED_Q ? 0.5 * fast + feed_normal(7, layer, side, head, d) : fast;
}

START_TEST(test_hits_are_those_of_a_simulation)
{
	static const struct {
		int which;
		size_t slots;
	} tries[] = {{0, 2 * LISTED}, {1, LISTED}, {3, 128}};
	static struct pair p;
	static struct slots slots[STREAMS];
	static uint32_t lists[STREAMS * (1 + LISTED)];
	uint64_t asked = 0, found = 0;
	p.feed[HERE].value = p.feed[THERE].value = slow_value;
	int skip = tries[_i].which == 1;
	pair_open(&p, fixture.context, fixture.queue, 1 + skip, tries[_i].which, NULL);
	ck_assert_uint_eq(p.feed[THERE].cache->sizes.row_slots, tries[_i].slots);
	pair_stream(&p, 0);
	pair_prompt(&p, 0, 900, 1);
	for (int s = 0; s < STREAMS; s++)
		slots[s] = (struct slots){.n = tries[_i].slots};
	for (int step = 0; step < 200; step++) {
		pair_decode(&p, 0, 1, 2);
		read_lists(&p.feed[HERE], lists);
		for (int s = 0; s < STREAMS; s++) {
			const uint32_t *list = lists + (size_t)s * (1 + p.feed[HERE].cache->sizes.listed);
			asked += list[0];
			found += slots_ask(&slots[s], list + 1, list[0]);
		}
		const struct feed *there = &p.feed[THERE];
		ck_assert_uint_eq((uint64_t)feed_figure(there, "place.rows_asked"), asked);
		ck_assert_uint_eq((uint64_t)feed_figure(there, "place.rows_found"), found);
		ck_assert_uint_eq((uint64_t)feed_figure(there, "place.moved_to_device"),
		                  (asked - found) * (64 + 64) * 2);
	}
	/* there was something to find, and something to give up */
	ck_assert_uint_gt(found, asked / 4);
	ck_assert_uint_gt(asked - found, 2 * tries[_i].slots * STREAMS);
	pair_close(&p);
}
END_TEST

START_TEST(test_slots_alone)
{
	enum { HEADS = 3, N = 37, TOKENS = 90 };
	struct clkv__row_cache cache;
	static struct slots slots[HEADS];
	clkv_allocator a = inject_allocator();
	uint64_t place = 1, before = inject_host_bytes();
	clkv_error error;
	feed_ok(clkv__row_cache_init(&cache, &a, HEADS, N, &error), &error, "init");
	ck_assert_uint_eq(inject_host_bytes() - before, clkv__row_cache_bytes(HEADS, N));
	for (int h = 0; h < HEADS; h++)
		slots[h] = (struct slots){.n = N};
	for (int i = 0; i < 20000; i++) {
		uint32_t h = (uint32_t)random_below(random_next(&place), HEADS);
		uint32_t token = (uint32_t)random_below(random_next(&place), TOKENS);
		bool there = slots_find(&slots[h], token) < N;
		if (random_below(random_next(&place), 100) == 0) {
			clkv__row_cache_forget(&cache, h, token);
			for (int j = 0; j < N; j++)
				slots[h].used[j] = slots[h].token[j] >= token ? 0 : slots[h].used[j];
			continue;
		}
		ck_assert_int_eq(clkv__row_cache_find(&cache, h, token) != UINT32_MAX, there);
		if (clkv__row_cache_use(&cache, h, token) == UINT32_MAX)
			ck_assert_uint_lt(clkv__row_cache_take(&cache, h, token), N);
		slots_ask(&slots[h], &token, 1);
	}
	for (int h = 0; h < HEADS; h++)
		for (uint32_t token = 0; token < TOKENS; token++)
			ck_assert_int_eq(clkv__row_cache_find(&cache, (uint32_t)h, token) != UINT32_MAX,
			                 slots_find(&slots[h], token) < N);
	clkv__row_cache_free(&cache, &a);
	ck_assert_uint_eq(inject_host_bytes(), before);
}
END_TEST

/* ---------------------------------------------------------------- bytes ---- */

START_TEST(test_the_estimate_is_the_allocation)
{
	static struct pair p;
	clkv_context *context = fixture_open();
	clkv_geometry g = feed_usual(3);
	clkv_cache_options o = CLKV_INIT(clkv_cache_options);
	char recipe[256];
	bool maps = strstr(cases[_i].place, "copy") == NULL && !cases[_i].sums;
	o.max_tokens = 5000;
	o.max_sequences = 3;
	o.max_step_tokens = 64;
	snprintf(recipe, sizeof recipe, "%s | %s%s", cases[_i].recall, cases[_i].place,
	         cases[_i].general);
	clkv_bytes want = feed_required(context, &g, recipe, &o);
	snprintf(recipe, sizeof recipe, "%s%s", cases[_i].recall, cases[_i].general);
	clkv_bytes plain = feed_required(context, &g, recipe, &o);
	bool host = want.host_sealed > 0;
	ck_assert_uint_eq(want.device, want.sealed + want.open + want.tables + want.scratch +
	                                   want.code_tables + want.index + want.recalled);
	ck_assert_uint_eq(host ? want.sealed : 0, 0);
	ck_assert_uint_eq(want.sealed + want.host_sealed, plain.sealed);
	ck_assert_double_eq(want.per_token, plain.per_token);
	if (host)
		ck_assert_uint_lt(want.device, plain.device);

	uint64_t device = inject_device_bytes(), memory = inject_host_bytes();
	cl_command_queue queue = fixture_queue_of(context);
	p.feed[THERE].geometry = g;
	snprintf(recipe, sizeof recipe, "%s | %s%s", cases[_i].recall, cases[_i].place,
	         cases[_i].general);
	feed_open(&p.feed[THERE], context, queue, recipe, &o);
	/* what is mapped is made by OpenCL */
	ck_assert_uint_eq(inject_device_bytes() - device, want.device + (maps ? want.host_sealed : 0));
	uint64_t taken = inject_host_bytes() - memory,
			 least = want.host - (maps ? want.host_sealed : 0);
	ck_assert_uint_ge(taken, least);
	ck_assert_uint_le(taken, least + least / 50 + 65536); /* small lists and the programs' texts */
	clkv_bytes got = feed_stats(&p.feed[THERE]).allocated;
	ck_assert_int_eq(memcmp(&got, &want, sizeof got), 0);
	feed_close(&p.feed[THERE]);
	ck_assert_uint_eq(inject_device_bytes(), device);

	clkv_error error;
	o.max_host_bytes = (size_t)want.host - 1;
	ck_assert_int_eq(clkv_cache_create(context, &g, recipe, &o, &p.feed[THERE].cache, &error),
	                 CLKV_ERROR_NO_HOST_MEMORY);
	ck_assert_ptr_nonnull(strstr(error.text, "max_host_bytes"));
	clReleaseCommandQueue(queue);
	clkv_context_destroy(context);
}
END_TEST

/* Blocks that leave are counted to the byte, and so is what a sequence holds. */
START_TEST(test_bytes_in_use)
{
	static struct pair p;
	pair_open(&p, fixture.context, fixture.queue, 2, _i, NULL);
	pair_stream(&p, 0);
	pair_prompt(&p, 0, 700, 1);
	/* 700 - 32 - 5 tokens in blocks of 64 */
	const uint64_t blocks = 11, bytes = blocks * STREAMS * 2 * BLOCK_BYTES;
	clkv_stats stats = feed_stats(&p.feed[THERE]);
	ck_assert_uint_eq(stats.used_host, bytes);
	ck_assert_uint_eq(stats.used_sealed, 0);
	ck_assert_uint_eq((uint64_t)feed_figure(&p.feed[THERE], "place.moved_to_host"),
	                  cases[_i].sums || _i < 4 ? bytes : 0);
	ck_assert_uint_eq((uint64_t)feed_figure(&p.feed[THERE], "place.moved_to_device"), 0);
	clkv_seq_info here = stream_info(&p.stream[0][HERE]), there = stream_info(&p.stream[0][THERE]);
	ck_assert_uint_eq(there.host_bytes, bytes);
	ck_assert_uint_eq(here.host_bytes, 0);
	ck_assert_uint_eq(here.bytes, there.bytes + bytes);
	pair_decode(&p, 0, 1, 2);
	if (cases[_i].sums) /* of 6 query heads and 2 layers */
		ck_assert_uint_eq((uint64_t)feed_figure(&p.feed[THERE], "place.moved_to_device"),
		                  2 * 6 * (64 + 2) * sizeof(float));
	pair_close(&p);
}
END_TEST

/* ---------------------------------------------------------------- open tokens ---- */

START_TEST(test_few_open_tokens)
{
	static struct pair p;
	static struct stream a, b;
	struct feed *feed = &p.feed[THERE];
	const char *recipe = CLUSTERS " | place:host,via=copy" GENERAL;
	clkv_cache_options o = CLKV_INIT(clkv_cache_options);
	clkv_error error;
	clkv_step *step = NULL;
	feed->geometry = feed_usual(2);
	o.max_tokens = 8192;
	o.max_sequences = 4;
	o.max_step_tokens = 100;
	clkv_bytes all = feed_required(fixture.context, &feed->geometry, recipe, &o);
	o.max_open_tokens = 600;
	clkv_bytes few = feed_required(fixture.context, &feed->geometry, recipe, &o);
	/* blocks of 600 tokens and of what 4 sequences' ends waste */
	ck_assert_uint_eq(few.open, 2ull * STREAMS * BLOCK_BYTES * (600 / 64 + 3 * 4));
	ck_assert_uint_eq(all.open, 2ull * STREAMS * BLOCK_BYTES * (8192 / 64 + 4));
	feed_open(feed, fixture.context, fixture.queue, recipe, &o);
	stream_open(feed, &a);
	stream_open(feed, &b);
	for (int i = 0; i < 6; i++)
		feed_one(feed, &a, 100, CLKV_PROMPT, 1, NULL);
	size_t n = 0; /* of a second prompt beside it, until there is no room */
	for (;; n += 100) {
		clkv_step_item item = {b.seq, 100, CLKV_PROMPT};
		clkv_status status = clkv_step_begin(feed->cache, &item, 1, feed->queue, &step, &error);
		if (status != CLKV_OK) {
			ck_assert_int_eq(status, CLKV_ERROR_POOL_FULL);
			ck_assert_ptr_nonnull(strstr(error.text, "max_open_tokens"));
			break;
		}
		clkv_step_abort(step);
		feed_one(feed, &b, 100, CLKV_PROMPT, 1, NULL);
	}
	ck_assert_uint_ge(n, 300);
	ck_assert_uint_le(n, 800);
	feed_one(feed, &a, 2, CLKV_PROMPT_END, 1, NULL); /* seals: there is room again */
	feed_one(feed, &b, 100, CLKV_PROMPT_END, 1, NULL);
	for (int i = 0; i < 10; i++)
		feed_one(feed, &a, 100, CLKV_DECODE, 2, NULL);
	feed_close(feed);

	/* window 32, sinks 5, 127 that wait, a step of 100 */
	o.max_open_tokens = 32 + 5 + 127 + 100;
	feed_open(feed, fixture.context, fixture.queue, recipe, &o);
	feed_close(feed);
	o.max_open_tokens--;
	ck_assert_int_eq(
		clkv_cache_create(fixture.context, &feed->geometry, recipe, &o, &feed->cache, &error),
		CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_ptr_nonnull(strstr(error.text, "max_open_tokens is 263; allowed: 264"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("place");
	TCase *same = fixture_case(suite, "same", 120), *slots = fixture_case(suite, "slots", 60);
	TCase *bytes = fixture_case(suite, "bytes", 60);
	fixture_some(same, test_results_are_those_of_the_device, CASES, 0, 3, 5, 6, 8);
	fixture_some(same, test_other_forms_and_queues_do_the_same, 4, 0, 3);
	tcase_add_loop_test(same, test_batches_of_several_rows, 0, 2);
	tcase_add_loop_test(same, test_batches_of_several_rows, 4, 5);
	tcase_add_loop_test(same, test_forks_truncations_and_successors, 0, 1);
	tcase_add_loop_test(same, test_forks_truncations_and_successors, 3, 5);
	tcase_add_loop_test(same, test_forks_truncations_and_successors, 6, 7);
	fixture_some(same, test_aborted_steps, 5, 0, 4);
	fixture_some(same, test_snapshots, CASES, 0, 6, 9);
	tcase_add_loop_test(slots, test_hits_are_those_of_a_simulation, 0, 3);
	tcase_add_test(slots, test_slots_alone);
	fixture_some(bytes, test_the_estimate_is_the_allocation, CASES, 0, 4, 6, 8);
	tcase_add_test(bytes, test_few_open_tokens);
	tcase_add_loop_test(bytes, test_bytes_in_use, 0, 1);
	tcase_add_loop_test(bytes, test_bytes_in_use, 4, 5);
	tcase_add_loop_test(bytes, test_bytes_in_use, 6, 7);
	return fixture_run_shared(suite);
}
