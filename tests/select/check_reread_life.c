/* SPDX-License-Identifier: MIT */
/** \file check_reread_life.c \brief Prompts that are read again, over forks, cuts and files; what is refused. */
#include "support/fixture.h"
#include "support/memory_file.h"
#include "support/selected.h"

#include <string.h>

#define AROUND " ; window=16,sinks=4,block=32,seal=prompt,skip=0"

enum { LAYERS = 2, HEADS = 2, PROMPT = 200, KEPT = 96 - 4 - 16 };

static const struct selected_case cases[] = {{.recipe = "kvzip:budget=96,alloc=uniform" AROUND},
                                             {.recipe = "kvzip:budget=96 | kivi:bits=4" AROUND}};

static struct feed open_case(int i)
{
	struct feed feed = {.geometry = feed_usual(LAYERS)};
	selected_cache(&feed, &cases[i], NULL);
	return feed;
}

static void read_again(struct feed *feed, struct stream *stream, size_t n, uint64_t seed)
{
	struct feed_item item = {stream, n, CLKV_REREAD, n, seed};
	feed_step(feed, &item, 1, NULL);
}

static void end_prompt(const struct feed *feed, const struct stream *stream)
{
	clkv_error error;
	feed_ok(clkv_seq_end_prompt(stream->seq, feed->queue, &error), &error, "clkv_seq_end_prompt");
}

/* A prompt of so many tokens, read again, not ended. */
static void open_read(struct feed *feed, struct stream *stream, size_t n)
{
	stream_open(feed, stream);
	feed_one(feed, stream, n, CLKV_PROMPT, 1, NULL);
	read_again(feed, stream, 40, 7);
}

/* Its prompt's end is refused, which says why, and nothing changes. */
static void end_refused(const struct feed *feed, const struct stream *stream, const char *read)
{
	clkv_error error;
	clkv_seq_info before = stream_info(stream), after;
	ck_assert_int_eq(clkv_seq_end_prompt(stream->seq, feed->queue, &error),
	                 CLKV_ERROR_INVALID_STATE);
	ck_assert_msg(strstr(error.text, "'kvzip'") && strstr(error.text, "CLKV_REREAD") &&
	                  strstr(error.text, read),
	              "%s", error.text);
	after = stream_info(stream);
	ck_assert(before.length == after.length && before.sealed == after.sealed);
}

/* What both have kept is the same, to the bit. */
static void same_kept(const struct feed *feed_a, const struct stream *a, const struct feed *feed_b,
                      const struct stream *b)
{
	for (int layer = 0; layer < LAYERS; layer++)
		for (size_t head = 0; head < HEADS; head++) {
			struct selected_kept x, y;
			selected_read(feed_a, a, layer, head, &x);
			selected_read(feed_b, b, layer, head, &y);
			ck_assert_uint_eq(x.kept.n, y.kept.n);
			ck_assert(memcmp(x.kept.positions, y.kept.positions,
			                 x.kept.n * sizeof *x.kept.positions) == 0);
			ck_assert(memcmp(x.kept.scores, y.kept.scores, x.kept.n * sizeof *x.kept.scores) == 0);
			ck_assert(memcmp(x.kept.k, y.kept.k, x.kept.n * x.dk * sizeof *x.kept.k) == 0);
			ck_assert(memcmp(x.kept.v, y.kept.v, x.kept.n * x.dv * sizeof *x.kept.v) == 0);
			selected_free(&x);
			selected_free(&y);
		}
}

/* ---------------------------------------------------------------- forks, cuts ---- */

/* What is read of one of two forks is no part of the other; each ends by its own. */
START_TEST(test_forks_are_read_apart)
{
	static struct stream a, b, c;
	struct feed feed = open_case(_i);
	stream_open(&feed, &a);
	feed_one(&feed, &a, PROMPT, CLKV_PROMPT, 1, NULL);
	stream_fork(&feed, &a, &b);
	read_again(&feed, &a, 40, 7);
	end_refused(&feed, &b, "read 0");
	stream_fork(&feed, &a, &c);
	read_again(&feed, &c, 25, 8); /* no part of a's */
	end_prompt(&feed, &a);
	read_again(&feed, &b, 40, 7);
	end_prompt(&feed, &b);
	same_kept(&feed, &a, &feed, &b);
	end_prompt(&feed, &c);
	feed_one(&feed, &a, 70, CLKV_DECODE, 2, NULL);
	feed_one(&feed, &b, 70, CLKV_DECODE, 2, NULL);
	same_kept(&feed, &a, &feed, &b);
	feed_close(&feed);
}
END_TEST

/* What is left of a prompt that was read was read; what comes behind it wasn't. */
START_TEST(test_cuts)
{
	static struct stream a, b;
	struct feed feed = open_case(_i);
	clkv_error error;
	open_read(&feed, &a, PROMPT);
	feed_ok(clkv_seq_truncate(a.seq, 180, &error), &error, "clkv_seq_truncate");
	a.n = 180;
	stream_fork(&feed, &a, &b);
	end_prompt(&feed, &b);
	feed_one(&feed, &a, 20, CLKV_PROMPT, 9, NULL);
	end_refused(&feed, &a, "read 180");
	read_again(&feed, &a, 30, 10);
	end_prompt(&feed, &a);
	/* an emptied sequence is like a new one */
	feed_ok(clkv_seq_truncate(b.seq, 0, &error), &error, "clkv_seq_truncate");
	b.n = 0;
	feed_one(&feed, &b, PROMPT, CLKV_PROMPT, 1, NULL);
	end_refused(&feed, &b, "read 0");
	feed_close(&feed);
}
END_TEST

/* ---------------------------------------------------------------- files ---- */

/* A sequence goes on behind a file as it would without, also with turns that nobody reads; one that was saved before its prompt's
 * end is read again. */
START_TEST(test_files)
{
	static struct stream a, b;
	struct feed feed = open_case(_i), other = open_case(_i);
	struct memory_file file = {0};
	open_read(&feed, &a, PROMPT);
	memory_save(&feed, &a, NULL, &file);
	memory_load(&other, &file, &a, &b);
	end_refused(&other, &b, "read 0");
	read_again(&other, &b, 40, 7);
	end_prompt(&feed, &a);
	end_prompt(&other, &b);
	same_kept(&feed, &a, &other, &b);
	stream_close(&b);
	memory_save(&feed, &a, NULL, &file);
	memory_load(&other, &file, &a, &b);
	for (size_t i = 0; i < 4; i++) {
		clkv_phase phase = i == 2 ? CLKV_PROMPT_END : CLKV_DECODE;
		feed_one(&feed, &a, 30, phase, 20 + i, NULL);
		feed_one(&other, &b, 30, phase, 20 + i, NULL);
	}
	same_kept(&feed, &a, &other, &b);
	memory_close(&file);
	feed_close(&feed);
	feed_close(&other);
}
END_TEST

/* ---------------------------------------------------------------- layers ---- */

/* Of several recipes each goes its own way: what is read again counts where it's asked for. */
START_TEST(test_recipes_by_layer)
{
	static struct stream a, b;
	struct feed both = {.geometry = feed_usual(LAYERS)}, alone = both;
	const struct selected_case c = {.recipe = "layers=0: h2o:budget=96,recent=0.5" AROUND
	                                          " ; 1: kvzip:budget=96,alloc=uniform" AROUND};
	selected_cache(&both, &c, NULL);
	selected_cache(&alone, &cases[0], NULL);
	ck_assert_int_eq(clkv_cache_rereads(both.cache), 1);
	open_read(&both, &a, PROMPT);
	end_prompt(&both, &a);
	open_read(&alone, &b, PROMPT);
	end_prompt(&alone, &b);
	for (size_t head = 0; head < HEADS; head++) {
		struct selected_kept x, y;
		selected_read(&both, &a, 1, head, &x);
		selected_read(&alone, &b, 1, head, &y);
		ck_assert_uint_eq(x.kept.n, KEPT);
		ck_assert(memcmp(x.kept.positions, y.kept.positions, x.kept.n * sizeof *x.kept.positions) ==
		          0);
		selected_free(&x);
		selected_free(&y);
	}
	feed_close(&both);
	feed_close(&alone);
}
END_TEST

/* ---------------------------------------------------------------- refusals ---- */

START_TEST(test_bad_steps)
{
	static struct stream a, b;
	struct feed feed = open_case(0);
	clkv_error error;
	clkv_step *step = NULL;
	size_t one = 1;
	ck_assert_int_eq(clkv_cache_rereads(feed.cache), 1);
	ck_assert_int_eq(clkv_cache_weighs(feed.cache), 1);
	ck_assert_uint_eq(clkv_cache_observes(feed.cache), 0);
	stream_open(&feed, &a);
	stream_open(&feed, &b);
	clkv_step_item empty = {b.seq, 5, CLKV_REREAD};
	ck_assert_int_eq(clkv_step_begin(feed.cache, &empty, 1, feed.queue, &step, &error),
	                 CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_msg(strstr(error.text, "CLKV_REREAD"), "%s", error.text);
	/* rows of the prompt needn't be attended with, those that read it must */
	feed.append_only = true;
	feed_one(&feed, &a, PROMPT, CLKV_PROMPT, 1, NULL);
	struct feed_item item = {&a, 40, CLKV_REREAD, 40, 7};
	step = feed_begin(&feed, &item, 1, NULL);
	ck_assert_int_eq(clkv_step_commit(step, NULL, &error), CLKV_ERROR_INVALID_STATE);
	ck_assert_msg(strstr(error.text, "layer 0") && strstr(error.text, "'kvzip'"), "%s", error.text);
	clkv_step_abort(step);
	feed.append_only = false;
	/* they are never kept */
	step = feed_begin(&feed, &item, 1, NULL);
	ck_assert_int_eq(clkv_step_commit(step, &one, &error), CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_msg(strstr(error.text, "allowed: 0 to 0"), "%s", error.text);
	feed_ok(clkv_step_commit(step, NULL, &error), &error, "clkv_step_commit");
	ck_assert_uint_eq(stream_info(&a).length, PROMPT);
	/* rows that come with a prompt's end were not read: the step stays open, and may be aborted */
	struct feed_item last = {&a, 10, CLKV_PROMPT_END, 0, 3};
	step = feed_begin(&feed, &last, 1, NULL);
	ck_assert_int_eq(clkv_step_commit(step, NULL, &error), CLKV_ERROR_INVALID_STATE);
	ck_assert_msg(strstr(error.text, "210 tokens") && strstr(error.text, "read 200"), "%s",
	              error.text);
	clkv_step_abort(step);
	end_prompt(&feed, &a);
	feed_close(&feed);
}
END_TEST

/* A prompt whose tokens have a slot each may end unread. */
START_TEST(test_short_prompts_need_no_reading)
{
	static struct stream a;
	struct feed feed = open_case(_i);
	stream_open(&feed, &a);
	feed_one(&feed, &a, 90, CLKV_PROMPT_END, 1, NULL);
	feed_one(&feed, &a, 60, CLKV_DECODE, 2, NULL);
	ck_assert_uint_eq(stream_info(&a).length, 150);
	feed_close(&feed);
}
END_TEST

START_TEST(test_bad_recipes)
{
	static const struct {
		const char *recipe, *word;
	} all[] = {
		{"kvzip:budget=0", "budget"},        {"kvzip:gqa=min", "gqa"},
		{"kvzip ; seal=chunk", "seal"},      {"kvzip:budget=64 | kvmerger", "'kvzip'"},
		{"kvzip:budget=20", "window of 32"}, {"kvzip | topk", "recalled"},
	};
	clkv_error error;
	clkv_geometry g = feed_usual(LAYERS);
	ck_assert_int_eq(clkv_recipe_check(fixture.context, &g, all[_i].recipe, &error),
	                 CLKV_ERROR_INVALID_RECIPE);
	ck_assert_msg(strstr(error.text, all[_i].word), "%s", error.text);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("reread life");
	TCase *life = fixture_case(suite, "life", 60), *bad = fixture_case(suite, "bad", 30);
	tcase_add_loop_test(life, test_forks_are_read_apart, 0, 2);
	tcase_add_loop_test(life, test_cuts, 0, 2);
	tcase_add_loop_test(life, test_files, 0, 2);
	tcase_add_test(life, test_recipes_by_layer);
	tcase_add_test(bad, test_bad_steps);
	tcase_add_loop_test(bad, test_short_prompts_need_no_reading, 0, 2);
	tcase_add_loop_test(bad, test_bad_recipes, 0, 6);
	return fixture_run_shared(suite);
}
