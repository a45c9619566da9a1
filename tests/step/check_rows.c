/* SPDX-License-Identifier: MIT */
/** \file check_rows.c \brief Rows of a step that lie anywhere in the caller's tensors. */
#include "support/each.h"
#include "support/expect.h"
#include "support/fixture.h"
#include "support/kinds.h"

#include <string.h>

enum { ITEMS = 3, STEPS = 5 };

/* Of each item in each step: rows in one piece, single rows, drafts. The first rows lie out of order, with rows of nobody
 * in front, between and, for rows that are taken together, just behind. */
static const struct {
	size_t n[ITEMS], first[ITEMS];
	clkv_phase phase;
	size_t dropped;
} steps[STEPS] = {
	{{131, 70, 17}, {40, 175, 3}, CLKV_PROMPT, 0},
	{{90, 150, 180}, {190, 0, 300}, CLKV_PROMPT_END, 0},
	{{1, 1, 1}, {7, 30, 0}, CLKV_DECODE, 0},
	{{5, 9, 1}, {10, 0, 20}, CLKV_DECODE, 1},
	{{1, 1, 1}, {0, 1, 2}, CLKV_DECODE, 0},
};

static void step(struct feed *feed, struct stream *streams, int i, bool apart,
                 struct feed_result *result)
{
	struct feed_item items[ITEMS];
	for (size_t s = 0; s < ITEMS; s++)
		items[s] = (struct feed_item){&streams[s], steps[i].n[s], steps[i].phase, steps[i].dropped,
		                              100 + s};
	feed->first_rows = apart ? steps[i].first : NULL;
	feed_step(feed, items, ITEMS, result);
	feed->first_rows = NULL;
}

/* The recipes of kinds, and keys and queries that the library rotates and attends to by the host. */
static const struct kind more[] = {
	{.recipe = "clusterkv:recall=64,per=8,every=128 | place:host,via=attend ; window=32,sinks=5",
     .layers = 2,
     .moves = true,
     .indexes = true},
	{.recipe = "a2ats:recall=64,codes=32,every=128,most=1024 ; window=32,sinks=5",
     .layers = 2,
     .indexes = true},
};
enum { MORE = sizeof more / sizeof more[0] };

static void open_feed(struct feed *feed, int i, struct stream *streams)
{
	clkv_cache_options o = feed_room(2000, 6);
	const struct kind *kind = i < MORE ? &more[i] : &kinds[i - MORE];
	*feed = (struct feed){.geometry = feed_usual(kind->layers), .lse = true};
	feed->geometry.rope.kind = CLKV_ROPE_HALVES; /* as kind_open has it */
	feed->geometry.rope.by_library = i < MORE;
	feed_open(feed, fixture.context, fixture.queue, kind->recipe, &o);
	for (size_t s = 0; s < ITEMS; s++)
		stream_open(feed, &streams[s]);
}

/* Outputs, and all that is stored, have the bits of the same rows behind each other; rows of nobody are NaN where they're
 * read and stay as they are where they aren't written. */
START_TEST(test_rows_apart_equal_rows_behind_each_other)
{
	static struct stream packed[ITEMS], apart[ITEMS];
	const struct kind *kind = _i < MORE ? &more[_i] : &kinds[_i - MORE];
	struct feed a, b;
	open_feed(&a, _i, packed);
	open_feed(&b, _i, apart);
	for (int i = 0; i < STEPS; i++) {
		struct feed_result x, y;
		/* prompts can't follow what has left the device */
		if (kind->moves && i == 0)
			continue;
		step(&a, packed, i, false, &x);
		step(&b, apart, i, true, &y);
		kind_same_outputs(&a, &x, &y, kind->recipe);
		feed_result_close(&x);
		feed_result_close(&y);
	}
	for (size_t s = 0; s < ITEMS; s++)
		kind_same_streams(kind, &a, &packed[s], &b, &apart[s], kind->recipe);
	ck_assert_uint_eq(feed_stats(&b).not_finite, 0);
	feed_close(&a);
	feed_close(&b);
}
END_TEST

/* Queries that are handed in instead of attended with come from the same rows. */
START_TEST(test_observed_rows_apart)
{
	static struct stream packed[ITEMS], apart[ITEMS];
	const struct kind kind = {.recipe = "think:keep=0.5 ; window=0", .layers = 1, .looks = true};
	struct feed a = {.geometry = feed_usual(1), .lse = true}, b;
	b = a;
	feed_open(&a, fixture.context, fixture.queue, kind.recipe, NULL);
	b.observe = true;
	feed_open(&b, fixture.context, fixture.queue, kind.recipe, NULL);
	for (size_t s = 0; s < ITEMS; s++) {
		stream_open(&a, &packed[s]);
		stream_open(&b, &apart[s]);
	}
	step(&a, packed, 1, false, NULL);
	step(&b, apart, 1, true, NULL);
	for (size_t s = 0; s < ITEMS; s++)
		kind_same_streams(&kind, &a, &packed[s], &b, &apart[s], "observed");
	feed_close(&a);
	feed_close(&b);
}
END_TEST

/* Rows of probes, each an item by itself. */
START_TEST(test_probes_apart)
{
	enum { HEADS = 6, DIM = 64, ROWS = 5, ALL = 11 };
	static const size_t first[] = {6, 1}, row_of[ROWS] = {6, 7, 8, 1, 2};
	static const uint64_t number[ROWS] = {77, 78, 79, 80, 81};
	static double q[ALL * HEADS * DIM], out[2][ALL * HEADS * DIM];
	static struct stream s[ITEMS];
	struct feed feed;
	open_feed(&feed, MORE + 1, s);
	step(&feed, s, 1, false, NULL);
	const clkv_step_item items[] = {{s[0].seq, 3, CLKV_PROBE}, {s[1].seq, 2, CLKV_PROBE}};
	for (int apart = 0; apart < 2; apart++) {
		struct tensor in, to;
		clkv_step *open;
		clkv_error error;
		clkv_attend_args args = CLKV_INIT(clkv_attend_args);
		for (size_t r = 0; r < ROWS; r++)
			feed_rows(&feed, 1, FEED_Q, &number[r], 1, q + (apart ? row_of[r] : r) * HEADS * DIM);
		tensor_open(&in, feed.queue, (struct tensor_layout){.dtype = CLKV_F32}, ALL, HEADS, DIM, q);
		tensor_open(&to, feed.queue, (struct tensor_layout){.dtype = CLKV_F32}, ALL, HEADS, DIM,
		            NULL);
		feed_ok(clkv_step_begin_rows(feed.cache, items, apart ? first : NULL, 2, feed.queue, &open,
		                             &error),
		        &error, "begin");
		args.q = in.t, args.out = to.t;
		feed_ok(clkv_step_attend(open, 1, &args, 0, NULL, NULL, &error), &error, "attend");
		tensor_read(&to, feed.queue, out[apart]);
		clkv_step_abort(open);
		tensor_close(&in);
		tensor_close(&to);
	}
	for (size_t r = 0; r < ROWS; r++)
		ck_assert_mem_eq(out[0] + r * HEADS * DIM, out[1] + row_of[r] * HEADS * DIM,
		                 HEADS * DIM * sizeof(double));
	feed_close(&feed);
}
END_TEST

static void expect_error(struct feed *feed, const clkv_step_item *items, const size_t *first,
                         const char *part)
{
	clkv_step *open = NULL;
	clkv_error error;
	ck_assert_int_eq(clkv_step_begin_rows(feed->cache, items, first, 2, feed->queue, &open, &error),
	                 CLKV_ERROR_INVALID_ARGUMENT);
	ck_assert_msg(strstr(error.text, part), "'%s' lacks '%s'", error.text, part);
	ck_assert_ptr_null(open);
}

/* Rows of two items, numbers that 32 bits don't hold, tensors that end too early: last rows count, not how many. */
START_TEST(test_rows_that_cannot_be_are_refused)
{
	static struct stream s[ITEMS];
	struct tensor k;
	struct feed feed;
	clkv_step *open;
	clkv_error error;
	open_feed(&feed, MORE, s);
	const clkv_step_item items[] = {{s[0].seq, 3, CLKV_DECODE}, {s[1].seq, 2, CLKV_DECODE}};
	expect_error(&feed, items, (size_t[]){0, 2},
	             "first_rows[1] is 2: its 2 rows and item 0's 3 rows");
	expect_error(&feed, items, (size_t[]){5, 4}, "overlap");
	expect_error(&feed, items, (size_t[]){0, UINT32_MAX - 1}, "first_rows[1]");
	expect_error(&feed, items, (size_t[]){SIZE_MAX, 0}, "first_rows[0]");
	feed_ok(clkv_step_begin_rows(feed.cache, items, (size_t[]){4, 2}, 2, feed.queue, &open, &error),
	        &error, "begin");
	for (size_t rows = 6; rows <= 7; rows++) {
		tensor_open(&k, feed.queue, (struct tensor_layout){.dtype = CLKV_F16}, rows, 2, 64, NULL);
		/* the buffer has 64 bytes behind its last row: less than a row */
		ck_assert_int_eq(clkv_step_append(open, 0, &k.t, &k.t, 0, NULL, NULL, &error),
		                 rows == 7 ? CLKV_OK : CLKV_ERROR_INVALID_ARGUMENT);
		tensor_close(&k);
	}
	clkv_step_abort(open);
	feed_close(&feed);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rows");
	TCase *tcase = fixture_case(suite, "rows", 20);
	tcase_add_loop_test(tcase, test_rows_apart_equal_rows_behind_each_other, 0, MORE + n_kinds);
	tcase_add_test(tcase, test_observed_rows_apart);
	tcase_add_test(tcase, test_probes_apart);
	tcase_add_test(tcase, test_rows_that_cannot_be_are_refused);
	return fixture_run_shared(suite);
}
