/* SPDX-License-Identifier: MIT */
/**
 * \file    check_commit_fails.c
 * \brief   Commits of several sequences that fail somewhere: all are as before, and a second try is as good as a first.
 *
 * Two caches take the same steps. In one of them a call of each commit fails, a later one each time, until none is left
 * to fail. Then the step is committed again, with other kept rows or the same, or aborted and made anew; the other cache
 * commits once. Both must hold the same bits ever after. One of five failures in a row is tried, the first by the recipe's
 * place in the table; with CLKV_TEST_FULL all.
 */
#include "store/cache.h"
#include "support/each.h"
#include "support/fixture.h"
#include "support/inject.h"
#include "support/kinds.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ITEMS = 3, TRIES = 400, MOST = 900, LEAST = 6 };

/* What fails: an OpenCL call, an allocation; or there is no block left in a layer: sealed, half, of indexes. */
enum kind_of_failure { CALL, ALLOC, SEALED, HALF, INDEX, FAILURES };

/* A cache with what it holds. The third stream is of a length of its own, the second a fork of the first. */
struct side {
	struct feed feed;
	struct stream streams[ITEMS], idle;
};

static void start(struct side *s, const struct kind *kind, bool prompts)
{
	for (size_t i = 0; i < ITEMS; i++) {
		if (i == 1) {
			stream_fork(&s->feed, &s->streams[0], &s->streams[1]);
			continue;
		}
		stream_open(&s->feed, &s->streams[i]);
		if (!prompts || i == 0) /* a fork of something */
			feed_one(&s->feed, &s->streams[i], prompts ? 20 : 60 + 2 * kind->rows + 11 * i,
			         prompts ? CLKV_PROMPT : CLKV_PROMPT_END, i, NULL);
	}
}

static void stop(struct side *s)
{
	for (size_t i = 0; i < ITEMS; i++)
		stream_close(&s->streams[i]);
}

/* ---------------------------------------------------------------- failures ---- */

/* Blocks that a test has taken, so that a commit finds few. */
struct hog {
	enum kind_of_failure failure;
	size_t n;
	struct {
		int layer;
		uint32_t address;
	} taken[20000];
};

static uint32_t take(clkv_cache *cache, enum kind_of_failure failure, int layer, uint32_t units)
{
	if (failure == SEALED)
		return clkv__sealed_take(&cache->pool, layer, units);
	if (failure == HALF)
		return clkv__slots_take(&cache->pool.layers[layer].open);
	return clkv__pages_take(&cache->index.pages, units);
}

static void give(clkv_cache *cache, enum kind_of_failure failure, int layer, uint32_t address)
{
	if (failure == SEALED)
		(void)clkv__sealed_release(&cache->pool, layer, address);
	else if (failure == HALF)
		(void)clkv__slots_release(&cache->pool.layers[layer].open, address);
	else
		(void)clkv__pages_release(&cache->index.pages, address);
}

/* All blocks but n of the last layer, which is the last to be asked for its own. */
static void hog_take(struct hog *h, clkv_cache *cache, enum kind_of_failure failure, size_t n)
{
	int layer = cache->shape.layers - 1;
	uint32_t most = failure == INDEX ? 40 : cache->sizes.sealed_units;
	size_t spared = 0;
	*h = (struct hog){.failure = failure};
	for (uint32_t units = most; units > 0; units = units > 1 ? 1 : 0)
		for (uint32_t at; (at = take(cache, failure, layer, units)) != CLKV__NO_SLOT; h->n++) {
			ck_assert_uint_lt(h->n, sizeof h->taken / sizeof h->taken[0]);
			h->taken[h->n].layer = layer;
			h->taken[h->n].address = at;
			if (units == most && h->n < n)
				spared = h->n + 1;
		}
	for (size_t i = 0; i < spared; i++)
		give(cache, failure, layer, h->taken[i].address);
	memmove(h->taken, h->taken + spared, (h->n - spared) * sizeof h->taken[0]);
	h->n -= spared;
}

static void hog_give(struct hog *h, clkv_cache *cache)
{
	for (size_t i = 0; i < h->n; i++)
		give(cache, h->failure, h->taken[i].layer, h->taken[i].address);
	h->n = 0;
}

static void arm(struct hog *hog, clkv_cache *cache, enum kind_of_failure failure, int n)
{
	if (failure == CALL)
		inject_enqueue_arm(n);
	else if (failure == ALLOC)
		inject_alloc_arm(n);
	else
		hog_take(hog, cache, failure, (size_t)n);
}

/* Whether something failed; what has no other sign says it by the commit's status. */
static bool disarm(struct hog *hog, clkv_cache *cache, enum kind_of_failure failure,
                   clkv_status status)
{
	if (failure == CALL)
		return inject_cl_disarm();
	if (failure == ALLOC)
		return inject_alloc_disarm();
	hog_give(hog, cache);
	return status != CLKV_OK;
}

static void check_status(clkv_status status, const clkv_error *error, enum kind_of_failure failure)
{
	static const clkv_status want[] = {CLKV_ERROR_NO_DEVICE_MEMORY, CLKV_ERROR_NO_HOST_MEMORY,
	                                   CLKV_ERROR_POOL_FULL, CLKV_ERROR_POOL_FULL,
	                                   CLKV_ERROR_POOL_FULL};
	if (status == CLKV_OK)
		return;
	ck_assert_msg(status == want[failure], "%s: %s", clkv_status_string(status), error->text);
	ck_assert_uint_gt(strlen(error->text), 10);
}

/* ---------------------------------------------------------------- steps ---- */

/* A step of all streams, some of whose rows are rejected. */
static void put_items(struct side *s, const struct kind *kind, bool prompts, uint64_t seed,
                      size_t dropped, struct feed_item *items)
{
	for (size_t i = 0; i < ITEMS; i++)
		items[i] = (struct feed_item){
			.stream = &s->streams[i],
			.n = kind->rows + (prompts ? 45 : 0) + 3 * i,
			.phase = prompts && i != 1 ? CLKV_PROMPT_END : CLKV_DECODE,
			.dropped = prompts && i != 1 ? 0 : dropped + i,
			.seed = seed * ITEMS + i,
		};
}

static void keep(const struct feed_item *items, size_t *kept)
{
	for (size_t i = 0; i < ITEMS; i++)
		kept[i] = items[i].n - items[i].dropped;
}

static clkv_status commit(clkv_step *step, const struct feed_item *items, clkv_error *error)
{
	size_t kept[ITEMS];
	keep(items, kept);
	return clkv_step_commit(step, kept, error);
}

/* Between a failure and the next try: another sequence comes and goes. */
static void meanwhile(struct side *s)
{
	static struct stream fork;
	stream_fork(&s->feed, &s->idle, &fork);
	stream_close(&fork);
}

/* What follows a failure. */
enum answer { ABORT, COMMIT_LESS, COMMIT_SAME, ANSWERS };

/* Commits with one failure. The streams' rows are named when it has come to an end. Returns whether it happened. */
static bool commit_with(struct side *s, struct feed_item *items, const struct feed_item *other,
                        clkv_step *step, enum kind_of_failure failure, enum answer answer, int n)
{
	static struct hog hog;
	clkv_error error = {0};
	clkv_cache *cache = s->feed.cache;
	arm(&hog, cache, failure, n);
	clkv_status status = commit(step, answer == COMMIT_LESS ? other : items, &error);
	bool happened = disarm(&hog, cache, failure, status);
	check_status(status, &error, failure);
	if (status != CLKV_OK) {
		for (size_t i = 0; i < ITEMS; i++)
			ck_assert_uint_eq(stream_info(&s->streams[i]).length, s->streams[i].n);
		meanwhile(s);
		if (answer == ABORT) {
			clkv_step_abort(step);
			step = feed_begin(&s->feed, items, ITEMS, NULL);
		}
		feed_ok(commit(step, items, &error), &error, "commit again");
	} else if (answer == COMMIT_LESS) {
		/* there was no second try: the same rows for the twin */
		for (size_t i = 0; i < ITEMS; i++)
			items[i].dropped = other[i].dropped;
	}
	feed_kept(items, ITEMS);
	return happened;
}

/* What figures the caches share: those of the device's memory and of what was sealed. */
static void same_stats(const struct side *a, const struct side *b, const char *when)
{
	static const char *const names[] = {"kvcomp.values_checked", "kvcomp.values_broken",
	                                    "place.moved_to_host"};
	clkv_stats x = feed_stats(&a->feed), y = feed_stats(&b->feed);
	const uint64_t got[] = {x.used_sealed, x.used_open, x.used_tables, x.sequences,
	                        x.tokens,      x.steps,     x.not_finite,  x.used_code_tables,
	                        x.used_host,   x.used_index};
	const uint64_t want[] = {y.used_sealed, y.used_open, y.used_tables, y.sequences,
	                         y.tokens,      y.steps,     y.not_finite,  y.used_code_tables,
	                         y.used_host,   y.used_index};
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		EACH_MSG(feed_figure(&a->feed, names[i]) == feed_figure(&b->feed, names[i]),
		         "%s: %s is %g, not %g", when, names[i], feed_figure(&a->feed, names[i]),
		         feed_figure(&b->feed, names[i]));
	for (size_t i = 0; i < sizeof got / sizeof got[0]; i++)
		EACH_MSG(got[i] == want[i], "%s: figure %zu is %llu, not %llu", when, i,
		         (unsigned long long)got[i], (unsigned long long)want[i]);
}

/* What a commit could not enqueue is made up for by the next step's begin, which may fail as well. */
static void begin_fails(struct side *s, struct feed_item *items, int n)
{
	clkv_step_item list[ITEMS];
	clkv_step *step = NULL;
	for (size_t i = 0; i < ITEMS; i++)
		list[i] = (clkv_step_item){items[i].stream->seq, items[i].n, items[i].phase};
	inject_cl_arm(n);
	clkv_status status = clkv_step_begin(s->feed.cache, list, ITEMS, s->feed.queue, &step, NULL);
	(void)inject_cl_disarm();
	if (status == CLKV_OK)
		clkv_step_abort(step);
}

/* A row each: they see what the others have left. */
static void follow(struct side *broken, struct side *clean, int n, const char *when)
{
	struct side *sides[] = {broken, clean};
	struct feed_result results[2];
	for (int i = 0; i < 2; i++) {
		struct feed_item items[ITEMS];
		for (size_t j = 0; j < ITEMS; j++)
			items[j] = (struct feed_item){&sides[i]->streams[j], 1, CLKV_DECODE, 0, 77 + j};
		if (i == 0)
			begin_fails(broken, items, n % 5);
		feed_step(&sides[i]->feed, items, ITEMS, &results[i]);
	}
	kind_same_outputs(&clean->feed, &results[0], &results[1], when);
	feed_result_close(&results[0]);
	feed_result_close(&results[1]);
}

static bool try_one(struct side *broken, struct side *clean, const struct kind *kind, bool prompts,
                    enum kind_of_failure failure, int n, int round)
{
	struct feed_item items[ITEMS], other[ITEMS];
	clkv_error error;
	char when[64];
	snprintf(when, sizeof when, "failure %d, call %d", (int)failure, n);
	put_items(broken, kind, prompts, (uint64_t)n, (size_t)round % 2, items);
	put_items(broken, kind, prompts, (uint64_t)n, kind->rows / 2, other);
	clkv_step *step = feed_begin(&broken->feed, items, ITEMS, NULL);
	bool happened =
		commit_with(broken, items, other, step, failure, (enum answer)(round % ANSWERS), n);
	for (size_t i = 0; i < ITEMS; i++)
		items[i].stream = &clean->streams[i];
	step = feed_begin(&clean->feed, items, ITEMS, NULL);
	feed_ok(commit(step, items, &error), &error, "commit");
	feed_kept(items, ITEMS);
	follow(broken, clean, round, when);
	for (size_t i = 0; round % 4 == 0 && i < ITEMS; i++)
		kind_same_streams(kind, &broken->feed, &broken->streams[i], &clean->feed,
		                  &clean->streams[i], when);
	same_stats(broken, clean, when);
	return happened;
}

static bool applies(const struct kind *kind, const clkv_cache *cache, enum kind_of_failure failure)
{
	if (failure == INDEX)
		return cache->sizes.index_units > 0;
	return failure != HALF || (kind->selects && cache->sizes.merged_blocks > 0);
}

static void open_side(struct side *s, const struct kind *kind, clkv_context *context,
                      cl_command_queue queue)
{
	kind_open(&s->feed, kind, context, queue);
	s->feed.append_only = !kind->selects && !kind->looks;
	stream_open(&s->feed, &s->idle);
	feed_one(&s->feed, &s->idle, 20, CLKV_PROMPT, 5, NULL);
}

/* Both begin with new sequences if these are to be prompts, or have become long. */
static void renew(struct side sides[2], const struct kind *kind, bool prompts, int round)
{
	bool long_ = round > 0 && sides[0].streams[ITEMS - 1].n + 2 * kind->rows > MOST;
	for (int i = 0; i < 2 && (round == 0 || prompts || long_); i++) {
		if (round > 0)
			stop(&sides[i]);
		start(&sides[i], kind, prompts);
	}
}

/* Failures of one kind, at its calls. */
static int try_all(struct side sides[2], const struct kind *kind, bool prompts,
                   enum kind_of_failure failure)
{
	int failed = 0, round = 0, stride = fixture_full() ? 1 : 5;
	bool happened = true;
	for (int n = (int)(kind - kinds) % stride; n < LEAST || happened; n += stride, round++) {
		ck_assert_int_lt(n, TRIES);
		renew(sides, kind, prompts, round);
		happened = try_one(&sides[0], &sides[1], kind, prompts, failure, n, round);
		failed += happened;
	}
	stop(&sides[0]);
	stop(&sides[1]);
	return failed;
}

START_TEST(test_all_sequences_or_none)
{
	static struct side sides[2];
	const struct kind *kind = &kinds[_i / 2];
	bool prompts = _i % 2;
	uint64_t host = inject_host_bytes();
	clkv_context *context = fixture_open();
	cl_command_queue queue = fixture_queue_of(context);
	open_side(&sides[0], kind, context, queue);
	open_side(&sides[1], kind, context, queue);
	for (int failure = CALL; failure < FAILURES; failure++) {
		if (!applies(kind, sides[0].feed.cache, (enum kind_of_failure)failure))
			continue;
		int failed = try_all(sides, kind, prompts, (enum kind_of_failure)failure);
		ck_assert_msg(failed > 0 || failure != CALL, "nothing was made to fail");
		if (getenv("CLKV_TEST_COUNTS"))
			fprintf(stderr, "%s, %d, failure %d: %d\n", kind->recipe, prompts, failure, failed);
	}
	feed_close(&sides[0].feed);
	feed_close(&sides[1].feed);
	clReleaseCommandQueue(queue);
	clkv_context_destroy(context);
	ck_assert_uint_eq(inject_host_bytes(), host);
}
END_TEST

/* What a commit seals first makes the code tables; of one that fails nothing is left of them. */
START_TEST(test_code_tables_of_a_commit_that_fails)
{
	static struct side sides[2];
	const struct kind kind = {"kvcomp:entropy=huffman ; window=40,sinks=3", .layers = 2,
	                          .rows = 65};
	clkv_context *context = fixture_open();
	cl_command_queue queue = fixture_queue_of(context);
	bool happened = true;
	for (int n = 0; n < TRIES && happened; n++) {
		for (int i = 0; i < 2; i++) {
			open_side(&sides[i], &kind, context, queue);
			start(&sides[i], &kind, true);
		}
		happened = try_one(&sides[0], &sides[1], &kind, true, CALL, n, ANSWERS + COMMIT_LESS);
		feed_close(&sides[0].feed);
		feed_close(&sides[1].feed);
	}
	ck_assert(!happened);
	clReleaseCommandQueue(queue);
	clkv_context_destroy(context);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("commit fails");
	TCase *all = fixture_case(suite, "all", 120);
	tcase_add_loop_test(all, test_all_sequences_or_none, 0, 2 * n_kinds);
	tcase_add_test(all, test_code_tables_of_a_commit_that_fails);
	return fixture_run(suite);
}
