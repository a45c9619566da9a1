/* SPDX-License-Identifier: MIT */
/** \file check_place_fails.c \brief Sealed blocks in host memory: clean failures, and what is refused. */
#include "device/context.h"
#include "store/cache.h"
#include "support/expect.h"
#include "support/fixture.h"
#include "support/inject.h"
#include "support/pairs.h"
#include "support/trial.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLUSTERS "clusterkv:recall=64,per=8,every=128"
#define GENERAL " ; window=32,sinks=5"

/* ---------------------------------------------------------------- failures ---- */

enum { TRIES = 400 };

/* What a layer's pages take in host memory; none where kernels allocate them. */
static const struct {
	const char *recipe;
	bool pages;
} placed[] = {{CLUSTERS " | place:host,via=copy" GENERAL, true},
              {CLUSTERS " | place:host,via=attend" GENERAL, true},
              {CLUSTERS " | place:host,via=map" GENERAL, false}};
enum { PLACED = 3 };
/* A failed allocation of a layer's pages says how many bytes it was for. */
START_TEST(test_creation_fails_cleanly)
{
	const char *recipe = placed[_i / FAULTS].recipe;
	enum fault fault = (enum fault)(_i % FAULTS);
	clkv_geometry g = feed_usual(2);
	clkv_cache_options o = CLKV_INIT(clkv_cache_options);
	const uint64_t device = inject_device_bytes(), host = inject_host_bytes();
	bool happened = true, named = false;
	char number[32];
	o.max_tokens = 1024;
	clkv_bytes bytes = feed_required(fixture.context, &g, recipe, &o);
	snprintf(number, sizeof number, "%llu", (unsigned long long)bytes.host_sealed / 2);
	const uint64_t listed = inject_host_bytes() - host; /* by the fixture's context */
	for (int n = 0; n < TRIES && happened; n++) {
		clkv_cache *cache = NULL;
		clkv_error error;
		clkv_context *context = fixture_open(); /* which keeps the programs it was asked for */
		fault_arm(fault, n);
		clkv_status status = clkv_cache_create(context, &g, recipe, &o, &cache, &error);
		happened = fault_disarm(fault);
		ck_assert((status == CLKV_OK) == (cache != NULL));
		fault_expect(fault, status, &error);
		named = named || (status != CLKV_OK && strstr(error.text, number));
		clkv_cache_destroy(cache);
		ck_assert_uint_eq(inject_device_bytes(), device);
		clkv_context_destroy(context);
		ck_assert_uint_eq(inject_host_bytes(), host + listed);
	}
	ck_assert(!happened);
	ck_assert(named == (fault == FAULT_ALLOC && placed[_i / FAULTS].pages));
}
END_TEST

/* A row decoded behind the trial's sees the sealed blocks that it made and the slots that it left. */
static void run_pair(struct trial *t, const struct stream *base, struct stream *s,
                     enum trial_operation operation, double *out)
{
	enum trial_operation mine = t->operation;
	stream_fork(t->feed, base, s);
	t->stream = s;
	t->operation = operation;
	trial_run(t, out);
	t->operation = TRIAL_NOTHING;
	trial_run(t, out + 6 * 64);
	t->operation = mine;
}

static int try_all(struct trial *t, struct stream *base)
{
	static struct stream broken, clean;
	static double got[2 * 6 * 64], want[2 * 6 * 64];
	int failed = 0;
	t->happened = true;
	for (t->n = 0; t->n < TRIES && t->happened; t->n++) {
		if (t->n == 0)
			run_pair(t, base, &clean, TRIAL_NOTHING, want);
		uint64_t host = inject_host_bytes(), device = inject_device_bytes();
		uint64_t used = feed_stats(t->feed).used_host;
		run_pair(t, base, &broken, t->operation, got);
		failed += t->happened;
		ck_assert_int_eq(memcmp(got, want, sizeof got), 0);
		expect_same_cache(t->feed, &broken, &clean);
		ck_assert_uint_gt(stream_info(&broken).sealed, stream_info(base).sealed);
		ck_assert_uint_eq(stream_info(&broken).sealed, stream_info(&clean).sealed);
		stream_close(&broken);
		ck_assert_uint_eq(inject_host_bytes(), host);
		ck_assert_uint_eq(inject_device_bytes(), device);
		ck_assert_uint_eq(feed_stats(t->feed).used_host, used);
	}
	ck_assert(!t->happened);
	stream_close(&clean);
	return failed;
}

/* Reading rows back may fail in each of its calls. */
static int try_reads(struct trial *t, struct stream *base)
{
	struct tensor_layout f32 = {.dtype = CLKV_F32};
	struct tensor k;
	clkv_error error;
	int failed = 0;
	tensor_open(&k, t->feed->queue, f32, base->n, 2, 64, NULL);
	t->happened = true;
	for (t->n = 0; t->n < TRIES && t->happened; t->n++) {
		fault_arm(t->fault, t->n);
		clkv_status status =
			clkv_seq_read(base->seq, 1, 0, base->n, &k.t, NULL, t->feed->queue, &error);
		t->happened = fault_disarm(t->fault);
		ck_assert(status == CLKV_OK || t->happened);
		fault_expect(t->fault, status, &error);
		failed += status != CLKV_OK;
	}
	ck_assert(!t->happened);
	tensor_close(&k);
	return failed;
}

static const char *const stepped[] = {CLUSTERS " | place:host,via=copy,cached=192" GENERAL,
                                      CLUSTERS " | place:host,via=attend" GENERAL};
/* The last is no part of a step: rows are read back. */
#define READ TRIAL_NOTHING
enum { OPERATIONS = 4, STEPPED = 2 };
static const enum trial_operation operations[OPERATIONS] = {TRIAL_BEGIN, TRIAL_ATTEND, TRIAL_COMMIT,
                                                            READ};

/* Recipes, operations and faults: a cover, and all of them in check-full. */
static struct pairs steps;
enum { STEPS_SEED = 1 };

START_TEST(test_steps_fail_cleanly)
{
	static struct stream base, once;
	static double out[2 * 6 * 64];
	struct feed feed = {.geometry = feed_usual(2)};
	const unsigned char *row = steps.row[_i];
	const char *recipe = stepped[row[0]];
	struct trial t = {
		.phase = CLKV_DECODE, .fault = (enum fault)row[2], .operation = operations[row[1]]};
	uint64_t host = inject_host_bytes(), device = inject_device_bytes();
	clkv_context *context = fixture_open();
	cl_command_queue queue = fixture_queue_of(context);
	clkv_cache_options o = CLKV_INIT(clkv_cache_options);
	o.max_tokens = 4096;
	o.max_sequences = 3;
	feed_open(&feed, context, queue, recipe, &o);
	stream_open(&feed, &base);
	feed_one(&feed, &base, 300, CLKV_PROMPT_END, 1, NULL);
	feed_one(&feed, &base, 127, CLKV_DECODE, 2, NULL); /* one more, and they are sealed */
	trial_open(&t, &feed, 1);
	run_pair(&t, &base, &once, TRIAL_NOTHING, out); /* lists of what tables must learn have grown */
	stream_close(&once);
	int failed = t.operation == READ ? try_reads(&t, &base) : try_all(&t, &base);
	ck_assert_msg(t.fault == FAULT_ALLOC || failed > 0, "no call was made to fail");
	trial_close(&t);
	feed_close(&feed);
	clReleaseCommandQueue(queue);
	clkv_context_destroy(context);
	ck_assert_uint_eq(inject_host_bytes(), host);
	ck_assert_uint_eq(inject_device_bytes(), device);
}
END_TEST

/* ---------------------------------------------------------------- refused ---- */

static const struct {
	const char *recipe;
	clkv_status status;
	bool apart; /* the device's memory is its own */
	int window; /* of the second layer */
	const char *words[3];
} refusals[] = {
	{"f16 | place:host", CLKV_ERROR_UNSUPPORTED, 0, 0, {"seals nothing", "skip"}},
	{"kivi | place:host ; skip=2", CLKV_ERROR_UNSUPPORTED, 0, 0, {"seals nothing", "skip"}},
	{"kivi | place:host,via=map", CLKV_ERROR_UNSUPPORTED, 1, 0, {"shares its memory", "via=copy"}},
	{"kivi | place:host", CLKV_ERROR_UNSUPPORTED, 1, 0, {"via=copy needs", "recalls"}},
	{"kivi | place:host,via=copy", CLKV_ERROR_UNSUPPORTED, 0, 0, {"recalls tokens", "via=map"}},
	{"kivi | place:host,via=attend", CLKV_ERROR_UNSUPPORTED, 0, 0, {"via=attend needs", "pages"}},
	{"topk | place:host,via=copy", CLKV_ERROR_UNSUPPORTED, 0, 0, {"topk reads all keys"}},
	{"kivi | pages | place:host,via=copy", CLKV_ERROR_UNSUPPORTED, 0, 0, {"whole rows in half"}},
	{"think | pages | place:host,via=attend", CLKV_ERROR_UNSUPPORTED, 0, 0, {"whole rows in half"}},
	{"pages | place:host,via=copy ; seal=chunk", CLKV_ERROR_UNSUPPORTED, 0, 0, {"seal=chunk"}},
	{"pages | place:host,via=copy", CLKV_ERROR_UNSUPPORTED, 0, 100, {"layer 1", "window of 100"}},
	{"pages | place:device,via=copy", CLKV_ERROR_INVALID_RECIPE, 0, 0, {"where=host"}},
	{"pages | place:device,cached=5", CLKV_ERROR_INVALID_RECIPE, 0, 0, {"where=host"}},
	{"pages | place:host,via=attend,cached=5", CLKV_ERROR_INVALID_RECIPE, 0, 0, {"via=copy"}},
	{"pages | place:hots", CLKV_ERROR_INVALID_RECIPE, 0, 0, {"where", "hots", "device|host"}},
	{"pages | place:via=copy,host", CLKV_ERROR_INVALID_RECIPE, 0, 0, {"unknown key 'host'"}},
	{"pages | place:host,where=host", CLKV_ERROR_INVALID_RECIPE, 0, 0, {"where", "twice"}},
	{"place:host | kivi", CLKV_ERROR_INVALID_RECIPE, 0, 0, {"kivi", "place"}},
};
enum { REFUSALS = sizeof refusals / sizeof refusals[0] };

START_TEST(test_refusals_say_why)
{
	clkv_geometry g = feed_usual(2);
	const int window[] = {0, refusals[_i].window};
	clkv_error why;
	clkv_context *context = fixture_open();
	g.window = window;
	if (refusals[_i].apart)
		context->unified = false;
	clkv_status status = clkv_recipe_check(context, &g, refusals[_i].recipe, &why);
	ck_assert_msg(status == refusals[_i].status, "%s: %s: %s", refusals[_i].recipe,
	              clkv_status_string(status), why.text);
	for (int i = 0; i < 3 && refusals[_i].words[i]; i++)
		ck_assert_msg(strstr(why.text, refusals[_i].words[i]) != NULL, "%s: '%s' isn't in: %s",
		              refusals[_i].recipe, refusals[_i].words[i], why.text);
	ck_assert_uint_lt(strlen(why.text), sizeof why.text - 1);
	/* a layer that sees a window is no matter where it doesn't seal, or where kernels read the host's memory */
	if (refusals[_i].window)
		ck_assert_int_eq(clkv_recipe_check(context, &g, "pages | place:host,via=map", NULL),
		                 CLKV_OK);
	clkv_context_destroy(context);
}
END_TEST

START_TEST(test_auto_depends_on_the_device)
{
	clkv_context *context = fixture_open();
	struct feed feed = {.geometry = feed_usual(1)};
	for (int apart = 0; apart < 2; apart++) {
		context->unified = !apart;
		feed_open(&feed, context, NULL, "pages:recall=64 | place:host", NULL);
		ck_assert_int_eq(feed.cache->plan.place.via, apart ? CLKV__VIA_COPY : CLKV__VIA_MAP);
		feed_close(&feed);
	}
	clkv_context_destroy(context);
}
END_TEST

START_TEST(test_names_stand_alone)
{
	static const struct {
		const char *recipe, *full;
	} texts[] = {
		{"kivi|place:host", "place:where=host,via=auto ;"},
		{"kivi | place : device ", "place:where=device,via=auto ;"},
		{"kivi|place", "place:where=host,via=auto ;"},
		{"kivi|place:host,via=copy,cached=77", "place:where=host,via=copy,cached=77 ;"},
		{"kivi|place:cached=77,where=host", "place:where=host,via=auto,cached=77 ;"},
	};
	char text[256], again[256];
	clkv_error error;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		feed_ok(clkv_recipe_print(texts[i].recipe, text, sizeof text, &error), &error, "print");
		ck_assert_msg(strstr(text, texts[i].full) != NULL, "%s", text);
		feed_ok(clkv_recipe_print(text, again, sizeof again, &error), &error, "print again");
		ck_assert_str_eq(text, again);
	}
}
END_TEST

START_TEST(test_what_a_cache_refuses)
{
	static struct stream s;
	struct feed feed = {.geometry = feed_usual(2)};
	clkv_error error;
	clkv_cache *cache = NULL;
	clkv_cache_options o = CLKV_INIT(clkv_cache_options);
	clkv_step *step = NULL;
	o.max_tokens = 2048;
	ck_assert_int_eq(clkv_cache_create(fixture.context, &feed.geometry,
	                                   CLUSTERS " | place:host,via=copy,cached=191" GENERAL, &o,
	                                   &cache, &error),
	                 CLKV_ERROR_INVALID_RECIPE);
	ck_assert_ptr_nonnull(strstr(error.text, "'cached' is 191; allowed: 192"));

	feed_open(&feed, fixture.context, fixture.queue,
	          _i ? CLUSTERS " | place:host,via=attend" GENERAL
	             : CLUSTERS " | place:host,via=copy" GENERAL,
	          NULL);
	stream_open(&feed, &s);
	feed_one(&feed, &s, 300, CLKV_PROMPT_END, 1, NULL);
	clkv_stats before = feed_stats(&feed), after;
	clkv_step_item item = {s.seq, 4, CLKV_PROMPT};
	ck_assert_int_eq(clkv_step_begin(feed.cache, &item, 1, feed.queue, &step, &error),
	                 CLKV_ERROR_UNSUPPORTED);
	ck_assert_ptr_nonnull(strstr(error.text, "a prompt attends to all 263 sealed tokens"));
	after = feed_stats(&feed);
	before.host_ns = after.host_ns = 0;
	ck_assert_int_eq(memcmp(&before, &after, sizeof before), 0);
	feed_one(&feed, &s, 4, CLKV_DECODE, 2, NULL);
	feed_ok(clkv_seq_truncate(s.seq, 0, &error), &error, "truncate");
	s.n = 0;
	feed_one(&feed, &s, 100, CLKV_PROMPT_END, 3, NULL); /* nothing is sealed: it may */
	feed_close(&feed);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("place_fails");
	TCase *fail = fixture_case(suite, "failures", 120);
	TCase *refused = fixture_case(suite, "refused", 60);
	tcase_add_loop_test(fail, test_creation_fails_cleanly, 0, PLACED * FAULTS);
	pairs_draw(&steps, 3, (const size_t[]){STEPPED, OPERATIONS, FAULTS}, fixture_full(),
	           STEPS_SEED);
	tcase_add_loop_test(fail, test_steps_fail_cleanly, 0, (int)steps.rows);
	tcase_add_loop_test(refused, test_refusals_say_why, 0, REFUSALS);
	tcase_add_test(refused, test_auto_depends_on_the_device);
	tcase_add_test(refused, test_names_stand_alone);
	tcase_add_loop_test(refused, test_what_a_cache_refuses, 0, 2);
	return fixture_run(suite);
}
