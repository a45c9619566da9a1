/* SPDX-License-Identifier: MIT */
/** \file check_figures.c \brief Figures by name, and which calls block. */
#include "support/feed.h"
#include "support/fixture.h"
#include "support/inject.h"
#include "support/kinds.h"

#include <string.h>

/* ---------------------------------------------------------------- figures ---- */

struct names {
	const clkv_cache *cache;
	int n;
	char text[32][40];
};

static void note(void *opaque, const char *name, const char *unit, const char *meaning)
{
	struct names *names = opaque;
	ck_assert_int_lt(names->n, 32);
	ck_assert(unit != NULL && strlen(meaning) > 5 && strlen(name) < sizeof names->text[0]);
	for (int i = 0; i < names->n; i++)
		ck_assert_str_ne(names->text[i], name);
	strcpy(names->text[names->n++], name);
}

static struct feed open_recipe(const char *recipe)
{
	struct feed feed;
	kind_open(&feed, &(const struct kind){.recipe = recipe, .layers = 1}, fixture.context,
	          fixture.queue);
	return feed;
}

START_TEST(test_a_cache_has_the_figures_that_it_lists)
{
	static const struct {
		const char *recipe;
		int n;
		const char *has;
	} rows[] = {
		{"f16", 0, NULL},
		{"kivi", 0, NULL},
		{"kvcomp", 4, "kvcomp.bound_k"},
		{"think:keep=0.5 | kvcomp:verify=1", 4, "kvcomp.values_broken"},
		{"pages:recall=64 | place:host,via=copy", 4, "place.rows_found"},
		{"kvcomp ; skip=1", 0, NULL},
	};
	struct names all = {0};
	clkv_cache_list_figures(NULL, note, &all);
	ck_assert_int_ge(all.n, 8);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct feed feed = open_recipe(rows[i].recipe);
		struct names own = {.cache = feed.cache};
		double value = -1;
		clkv_error error;
		clkv_cache_list_figures(feed.cache, note, &own);
		ck_assert_msg(own.n == rows[i].n, "'%s': %d figures", rows[i].recipe, own.n);
		for (int j = 0; j < all.n; j++) {
			bool listed = false;
			for (int k = 0; k < own.n; k++)
				listed = listed || strcmp(own.text[k], all.text[j]) == 0;
			ck_assert_int_eq(clkv_cache_figure(feed.cache, all.text[j], &value, &error),
			                 listed ? CLKV_OK : CLKV_ERROR_UNSUPPORTED);
			ck_assert(!listed || value == 0);
		}
		if (rows[i].has)
			ck_assert_int_eq(clkv_cache_figure(feed.cache, rows[i].has, &value, &error), CLKV_OK);
		feed_close(&feed);
	}
}
END_TEST

/* What OpenCL's calls take isn't the library's, whoever makes them: reads that wait, behind a step, change nothing. */
START_TEST(test_time_is_that_inside_step_functions)
{
	static struct stream stream;
	static double k[100 * 2 * 64];
	struct feed feed = open_recipe("kivi:bits=4 ; window=40,sinks=3");
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, 100, CLKV_PROMPT_END, 1, NULL);
	uint64_t before = feed_stats(&feed).host_ns;
	ck_assert_uint_gt(before, 0);
	for (int i = 0; i < 3; i++)
		feed_read(&feed, &stream, 0, 0, 100, k, NULL);
	ck_assert_uint_eq(feed_stats(&feed).host_ns, before);
	feed_close(&feed);
}
END_TEST

START_TEST(test_other_names_are_refused)
{
	struct feed feed = open_recipe("f16");
	double value = 7;
	clkv_error error;
	static const char *const names[] = {"", "kvcomp", "kvcomp.bound", "kvcomp.bound_kk", "%n"};
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		ck_assert_int_eq(clkv_cache_figure(feed.cache, names[i], &value, &error),
		                 CLKV_ERROR_INVALID_ARGUMENT);
		ck_assert_ptr_nonnull(strstr(error.text, "clkv_cache_list_figures"));
	}
	ck_assert_int_eq(clkv_cache_figure(NULL, "kvcomp.bound_k", &value, &error),
	                 CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_int_eq(clkv_cache_figure(feed.cache, NULL, &value, &error),
	                 CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_int_eq(clkv_cache_figure(feed.cache, "kvcomp.bound_k", NULL, &error),
	                 CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert(value == 7);
	clkv_cache_list_figures(feed.cache, NULL, NULL);
	feed_close(&feed);
}
END_TEST

/* ---------------------------------------------------------------- what blocks ---- */

/* Whether it's said to wait for the device. */
static bool waits(const struct feed *feed, clkv_call call)
{
	const char *why = NULL;
	unsigned flags = clkv_cache_blocks(feed->cache, call, &why);
	ck_assert_int_eq(flags != 0, why[0] != '\0');
	return flags & CLKV_BLOCKS_DEVICE;
}

/* Without a read from the device a commit that seals fails if it waits for one, and is done if it doesn't. The counters'
 * read is no reason to fail. */
START_TEST(test_commits_that_are_said_to_wait_do)
{
	static struct stream stream;
	struct feed feed;
	clkv_error error;
	kind_open(&feed, &kinds[_i], fixture.context, fixture.queue);
	stream_open(&feed, &stream);
	struct feed_item item = {&stream, 300, CLKV_PROMPT_END, 0, 1};
	clkv_step *step = feed_begin(&feed, &item, 1, NULL);
	ck_assert_int_eq(clFinish(fixture.queue), CL_SUCCESS);
	inject_refuse("clEnqueueReadBuffer", 0, 1000, CL_OUT_OF_RESOURCES);
	clkv_status status = clkv_step_commit(step, NULL, &error);
	inject_refuse("clEnqueueReadBuffer", 0, 0, CL_SUCCESS);
	ck_assert_msg((status == CLKV_OK) == !waits(&feed, CLKV_CALL_STEP_COMMIT), "'%s': commit: %s",
	              kinds[_i].recipe, clkv_status_string(status));
	clkv_step_abort(status == CLKV_OK ? NULL : step);
	feed_close(&feed);
}
END_TEST

/* The same of attention of a decoded row, once something is sealed. */
START_TEST(test_attention_that_is_said_to_wait_does)
{
	static struct stream stream;
	struct feed feed;
	clkv_error error;
	clkv_step *step;
	struct tensor q, out, k;
	static const double zeros[6 * 64];
	const struct tensor_layout f32 = {.dtype = CLKV_F32};
	clkv_attend_args args = CLKV_INIT(clkv_attend_args);
	kind_open(&feed, &kinds[_i], fixture.context, fixture.queue);
	stream_open(&feed, &stream);
	feed_one(&feed, &stream, 300, CLKV_PROMPT_END, 1, NULL);
	tensor_open(&k, fixture.queue, f32, 1, 2, 64, zeros);
	tensor_open(&q, fixture.queue, f32, 1, 6, 64, zeros);
	tensor_open(&out, fixture.queue, f32, 1, 6, 64, NULL);
	args.q = q.t, args.out = out.t;
	const clkv_step_item item = {stream.seq, 1, CLKV_DECODE};
	feed_ok(clkv_step_begin(feed.cache, &item, 1, fixture.queue, &step, &error), &error, "begin");
	int layer = kinds[_i].layers - 1;
	inject_refuse("clEnqueueReadBuffer", 0, 1000, CL_OUT_OF_RESOURCES);
	feed_ok(clkv_step_append(step, layer, &k.t, &k.t, 0, NULL, NULL, &error), &error, "append");
	clkv_status status = clkv_step_attend(step, layer, &args, 0, NULL, NULL, &error);
	inject_refuse("clEnqueueReadBuffer", 0, 0, CL_SUCCESS);
	ck_assert_msg((status == CLKV_OK) == !waits(&feed, CLKV_CALL_STEP_ATTEND), "'%s': attend: %s",
	              kinds[_i].recipe, clkv_status_string(status));
	ck_assert(!waits(&feed, CLKV_CALL_STEP_APPEND));
	clkv_step_abort(step);
	tensor_close(&k);
	tensor_close(&q);
	tensor_close(&out);
	feed_close(&feed);
}
END_TEST

/* In a step, once all is built, nothing waits for a compiler. Files always may: they go through other recipes. */
START_TEST(test_who_warms_a_cache_meets_no_compiler_later)
{
	struct feed feed = open_recipe("kivi:bits=4 ; window=40,sinks=3");
	const char *why;
	clkv_error error;
	feed_ok(clkv_cache_warm(feed.cache, NULL, NULL, &error), &error, "warm");
	for (int call = CLKV_CALL_STEP_BEGIN; call <= CLKV_CALL_SEQ_GET_KEPT; call++)
		ck_assert(!(clkv_cache_blocks(feed.cache, (clkv_call)call, NULL) & CLKV_BLOCKS_COMPILER));
	ck_assert(clkv_cache_blocks(feed.cache, CLKV_CALL_CACHE_WARM, &why) == 0 && why[0] == '\0');
	ck_assert(clkv_cache_blocks(feed.cache, CLKV_CALL_SEQ_SAVE, NULL) & CLKV_BLOCKS_COMPILER);
	ck_assert(clkv_cache_blocks(feed.cache, CLKV_CALL_SEQ_READ, NULL) == CLKV_BLOCKS_DEVICE);
	ck_assert(clkv_cache_blocks(NULL, CLKV_CALL_SEQ_READ, &why) == 0 && why[0] == '\0');
	ck_assert_str_eq(clkv_call_string(CLKV_CALL_CACHE_WARM), "clkv_cache_warm");
	ck_assert_str_eq(clkv_call_string((clkv_call)99), "unknown call");
	feed_close(&feed);
}
END_TEST

START_TEST(test_a_cache_that_is_cold_meets_a_compiler)
{
	/* a shape of its own, so that no other test of this process has built it */
	struct feed feed = {.geometry = feed_geometry(1, 4, 2, 48, 48)};
	clkv_context *context = fixture_open_tuned("lanes=1,vec=4");
	cl_command_queue queue = fixture_queue_of(context);
	feed_open(&feed, context, queue, "f16", NULL);
	ck_assert(clkv_cache_blocks(feed.cache, CLKV_CALL_STEP_APPEND, NULL) & CLKV_BLOCKS_COMPILER);
	ck_assert(clkv_cache_blocks(feed.cache, CLKV_CALL_CACHE_WARM, NULL) & CLKV_BLOCKS_COMPILER);
	ck_assert(clkv_cache_blocks(feed.cache, CLKV_CALL_STEP_ABORT, NULL) == 0);
	ck_assert(clkv_cache_blocks(feed.cache, (clkv_call)99, NULL) == 0);
	feed_close(&feed);
	clReleaseCommandQueue(queue);
	clkv_context_destroy(context);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("figures");
	TCase *figures = fixture_case(suite, "figures", 60),
		  *blocks = fixture_case(suite, "blocks", 60);
	tcase_add_test(figures, test_a_cache_has_the_figures_that_it_lists);
	tcase_add_test(figures, test_other_names_are_refused);
	tcase_add_test(figures, test_time_is_that_inside_step_functions);
	tcase_add_loop_test(blocks, test_commits_that_are_said_to_wait_do, 0, n_kinds);
	tcase_add_loop_test(blocks, test_attention_that_is_said_to_wait_does, 0, n_kinds);
	tcase_add_test(blocks, test_who_warms_a_cache_meets_no_compiler_later);
	tcase_add_test(blocks, test_a_cache_that_is_cold_meets_a_compiler);
	return fixture_run(suite);
}
